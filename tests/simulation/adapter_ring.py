"""The slower ring: the real handlers through the real DynamoDB adapters, faults beneath botocore.

The machine's clock is real here, so months do not pass; billing is ordered as of times to come,
and what is sent after that is late.
"""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from unittest import mock

from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session
from urllib3 import HTTPResponse

from functions import bill_customer
from local.streams.model import Faults
from shared.adapters.dynamodb.attributes import from_item
from shared.domain.dimension_cap import MAX_GROUPS
from shared.domain.events import utc_text
from shared.domain.publishing import fitted
from tests.simulation.auditor import Evidence, Finding, audit
from tests.simulation.offers import METERS, MODELS, a_plan, credit_units
from tests.simulation.plain import (
    plain_account,
    plain_catalogue,
    plain_closed,
    plain_entry,
    plain_grant,
    plain_hour,
    plain_quarantine,
    plain_terms,
    plain_value,
)
from tests.support.faults import WRITES, Killed, hooked, operation_of
from tests.support.stack import Stack
from tests.unit.http.events import api_event

CANCELLATIONS = ("ThrottlingError", "TransactionConflict")
REFUSALS = (
    "ProvisionedThroughputExceededException",
    "ThrottlingException",
    "InternalServerError",
    *CANCELLATIONS,
)
MONTH = timedelta(days=32)
LONG = 1000


@dataclass
class Ring:
    """One seed on tables of its own."""

    stack: Stack
    seed: int
    seen: Counter[str] = field(default_factory=Counter)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    on: bool = True

    def __post_init__(self) -> None:
        self.rng = random.Random(f"{self.seed}/adapters")
        self.customers = [f"ring{self.seed}-{n}" for n in range(self.rng.randint(1, 3))]
        self.rates = {
            name: self.rng.choice((0.0, 0.03, 0.1))
            for name in ("killed before", "killed after", "reply lost", "no connection")
        }
        self.rates |= {code: self.rng.choice((0.0, 0.03, 0.1)) for code in REFUSALS}
        self.outbox: list[list[dict[str, Any]]] = []
        self.next_id = 0
        faults = Faults(lambda due: self.rng.randint(1, due), lambda: self.on and self._one_in(5))
        self.pump = self.stack.pump(faults)

    def _one_in(self, times: int) -> bool:
        return self.rng.randrange(times) == 0

    # -- faults

    @contextmanager
    def storm(self) -> Iterator[None]:
        """Beneath the client: its process dies, or replies and connections are lost."""
        session = URLLib3Session()

        def strike(event_name: str, request: Any, **_: Any) -> Any:
            write = operation_of(event_name) in WRITES
            for name, rate in self.rates.items():
                if not self.on or self.rng.random() >= rate:
                    continue
                if name in REFUSALS:
                    if name in CANCELLATIONS and operation_of(event_name) != "TransactWriteItems":
                        continue
                    self.seen[f"refused: {name}"] += 1
                    return refusal(request, name)
                if not (write or name == "no connection"):
                    continue
                self.seen[name] += 1
                if name in ("killed after", "reply lost"):
                    session.send(request)
                if name.startswith("killed"):
                    raise Killed
                raise ReadTimeoutError(endpoint_url=request.url)
            return None

        client = self.stack.runtime.dynamodb
        with hooked(client, "before-send", strike), mock.patch.object(time, "sleep"):
            yield

    def safely(self, step: Any, *arguments: Any) -> Any:
        """The step's result; None if its process was killed."""
        try:
            return step(*arguments)
        except Killed:
            return None

    # -- actors

    def send(self) -> None:
        """A new request or one again, until it is answered with 200."""
        if not self.outbox or self._one_in(2):
            count = self.rng.randint(1, 30)
            self.outbox.append([self._event() for _ in range(count)])
        body = self.rng.choice(self.outbox)
        answer = self.safely(self.stack.ingest, api_event("POST", "/v1/events", body))
        if answer and answer["statusCode"] == 200:
            self.seen["requests answered"] += 1
            self.acknowledged += [_told(event) for event in body]
            if not self._one_in(4) or not self.on:
                self.outbox.remove(body)

    def _event(self) -> dict[str, Any]:
        self.next_id += 1
        quantity = self.rng.choice(("1", "7", "12.5", "0.000000001"))
        return {
            "specversion": "1.0",
            "id": str(self.next_id),
            "source": "ring",
            "type": self.rng.choice(("chat", "disk")),
            "subject": self.rng.choice(self.customers),
            "time": utc_text(datetime.now(UTC) - timedelta(seconds=self.rng.randrange(90))),
            "data": {"tokens": quantity, "gb": quantity, "model": self.rng.choice(MODELS)},
        }

    def bill(self, as_of: datetime) -> bool:
        """One message for each customer; whether all came to their end."""
        store = self.stack.runtime.store
        known = [key for key in self.customers if store.account(key)]
        orders = [json.dumps({"customer": key, "as_of": utc_text(as_of)}) for key in known]
        records = [{"messageId": str(n), "body": body} for n, body in enumerate(orders)]
        answer = self.safely(bill_customer.handler, {"Records": records}, None)
        return answer == {"batchItemFailures": []}

    def play(self) -> list[Finding]:
        """Everything, with faults, then without; and what the auditor says."""
        runtime = self.stack.runtime
        waiting = replace(runtime.billing_run, sleep=lambda _: self.pump.run())
        with mock.patch.dict(runtime.__dict__, {"billing_run": waiting}), self.storm():
            for month in range(3):
                self.on = True
                for _ in range(6):
                    self.send()
                    self.safely(self.pump.run)
                as_of = datetime.now(UTC) + month * MONTH
                self.bill(as_of)
                self.on = False
                while self.outbox:
                    self.send()
                self.pump.run()
                while not self.bill(as_of):
                    self.seen["billing delivered again"] += 1
            self.pump.run()
            return audit(self.evidence())

    # -- what is stored

    def evidence(self) -> Evidence:
        runtime = self.stack.runtime
        catalogue = runtime.catalogue.newest()
        customers = {key: self._customer(key) for key in self.customers}
        scan = runtime.dynamodb.scan(TableName=self.stack.events_table, ConsistentRead=True)
        raw = [from_item(item) for item in scan["Items"] if "source" in item]
        return Evidence(
            settled=True,
            raw=[
                {**item, "fingerprint": bytes(item["fingerprint"]).hex()}
                for item in raw
                if item["pk"] in customers
            ],
            acknowledged=self.acknowledged,
            catalogue={
                **plain_catalogue(catalogue),
                "version": catalogue.version,
                "max_groups": MAX_GROUPS,
            },
            customers={key: kept for key, kept in customers.items() if kept["account"]},
            versions={},
            numbers={"INV": runtime.store.last_invoice_number("INV")},
            orders=[],
            contradictions=[],
            pending=0,
            lost=set(),
            lost_versions=set(),
            troubles={},
            now={},
            grace_seconds=int(runtime.grace.total_seconds()),
        )

    def _customer(self, key: str) -> dict[str, Any]:
        store = self.stack.runtime.store
        account, terms = store.account(key), store.subscription(key)
        closed = store.closed_phases(key, LONG)
        aside = store.set_aside(key)
        now = datetime.now(UTC)
        hours = [
            hour
            for meter in METERS
            for hour in store.usage_between(meter.key, key, now - MONTH, now + MONTH)
        ]
        values = [
            value
            for meter in METERS
            for value in store.values_between(meter.key, key, now - MONTH, now + MONTH)
        ]
        return {
            "test_clock": None,
            "repaired": [],
            "subscription": plain_terms(terms) if terms else None,
            "account": plain_account(account) if account else None,
            "closed": [plain_closed(each) for each in reversed(closed)],
            "grants": {grant.id: plain_grant(grant) for grant in store.all_grants(key)},
            "reservations": {},
            "ledger": [plain_entry(entry) for entry in store.ledger(key, LONG, None).items],
            "late": [
                {"phase": each.phase.number, "key": event, "period": period}
                for each in closed
                for event, period in store.late_usage(key, each.phase.number).items()
            ],
            "quarantine": [plain_quarantine(kept) for kept in aside.values()],
            "invoices": list(reversed(store.invoices(key, LONG, None).items)),
            "hours": [plain_hour(hour) for hour in hours],
            "values": [plain_value(value) for value in values],
        }


def refusal(request: Any, code: str) -> AWSResponse:
    """What DynamoDB answers that does nothing: a code, or a cancellation with it as a reason."""
    body: dict[str, Any] = {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code}
    if code in CANCELLATIONS:
        items = json.loads(request.body)["TransactItems"]
        reasons = [{"Code": code}, *({"Code": "None"} for _ in items[1:])]
        body["__type"] = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException"
        body["CancellationReasons"] = reasons
    status = 500 if code == "InternalServerError" else 400
    content = BytesIO(json.dumps(body).encode())
    raw = HTTPResponse(content, preload_content=False)
    return AWSResponse(request.url, status, {"content-type": "application/x-amz-json-1.0"}, raw)


def publish(stack: Stack, seed: int) -> None:
    """The catalogue of one seed: plans that any catalogue would accept."""
    rng = random.Random(f"{seed}/offers")
    plan = a_plan(rng, "basic", "USD", "month", default=True)
    catalogue = stack.publish(*METERS, *credit_units("USD"))
    stack.publish(fitted(catalogue, replace(plan, version=1, fee_nanos=20 * 10**9)))


def _told(event: dict[str, Any]) -> dict[str, Any]:
    """What a client knows after a 200: each of its events is stored."""
    return {
        "customer": event["subject"],
        "source": event["source"],
        "id": event["id"],
        "type": event["type"],
        "data": {name: json.dumps(value) for name, value in event["data"].items()},
        "outcome": "duplicate",
    }
