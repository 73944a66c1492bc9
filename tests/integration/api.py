"""The API's real handlers on a real DynamoDB engine, under a clock that tests set."""

import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from functions._runtime import Runtime
from functions._settings import Settings
from functions.api import router
from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.services.setting_aside import StreamRecord
from tests.fakes.clocks import SettableClock
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
SHARD = "shardId-000000000000"
_SEQUENCE = itertools.count(1)
_CUSTOMERS = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """An answer as a client sees it."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Api:
    """One operator's view of a system of its own."""

    def __init__(self, aws: Aws, tables: Tables) -> None:
        settings = Settings.from_environment()
        names = {"events_table": tables.events_table, "billing_table": tables.billing_table}
        known = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
        self.clock = SettableClock(NOON)
        self.runtime = Runtime(Settings(**{**known, **names, "test_clocks": True}))
        self.runtime.__dict__ |= {
            "clock": self.clock,
            "dynamodb": aws.client("dynamodb"),
            "secret_keys": SimpleNamespace(key=lambda purpose: purpose.encode().ljust(32)),
        }

    def call(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        """Sends one request; `key` is its Idempotency-Key, the rest is api_event's."""
        headers = dict(more.pop("headers", {}))
        if "key" in more:
            headers["idempotency-key"] = more.pop("key")
        event = api_event(method, path, body, headers=headers, **more)
        answer = router.serve(event, lambda: self.runtime)
        return Reply(answer["statusCode"], answer["headers"], answer["body"])

    def get(self, path: str, **more: Any) -> Any:
        """The JSON of a GET that succeeds."""
        reply = self.call("GET", path, scopes="read", **more)
        assert reply.status == 200, reply.text
        return reply.json

    def put(self, path: str, body: object) -> Any:
        """The JSON of a PUT that succeeds."""
        reply = self.call("PUT", path, body)
        assert reply.status == 200, reply.text
        return reply.json

    def post(self, path: str, body: object, key: str) -> Any:
        """The JSON of a money write that succeeds."""
        reply = self.call("POST", path, body, key=key)
        assert reply.status in (200, 201), reply.text
        return reply.json

    def new_customer(self) -> str:
        """The path of a customer that nobody else uses, made now."""
        path = f"/v1/customers/customer-{next(_CUSTOMERS)}"
        self.put(path, {})
        return path

    def use(self, customer: str, kind: str, at: datetime, **data: str | int) -> None:
        """One usage event, taken all the way through aggregation."""
        number = next(_SEQUENCE)
        event = UsageEvent(
            customer=customer,
            source="test",
            id=str(number),
            type=kind,
            occurred_at=at,
            received_at=self.clock.at,
            catalogue_version=self.runtime.catalogue.newest().version,
            data={k: Decimal(v) if isinstance(v, int) else v for k, v in data.items()},
            extensions={},
        )
        record = StreamRecord(number, customer, event.key, event)
        outcome = self.runtime.aggregator.apply(SHARD, [record])
        assert (outcome.applied, outcome.error) == (1, None)


def publish_catalogue(api: Api) -> None:
    """Two meters, a credit unit, a free default plan and two with a fee."""
    api.put("/v1/meters/messages", {"event_type": "chat.message", "aggregation": "count"})
    tokens = {"event_type": "ai.completion", "aggregation": "sum", "value": "tokens"}
    api.put("/v1/meters/tokens", {**tokens, "dimensions": ["model"]})
    value = {"effective_at": "2020-01-01T00:00:00Z", "currency": "USD", "value": "0.02"}
    api.put("/v1/credit-units/sparks", {"name": "Sparks", "decimals": 2, "values": [value]})
    rates = [
        {"meter": "messages", "price": per_unit("1"), "unit": "sparks"},
        {"meter": "tokens", "price": per_unit("0.001")},
    ]
    monthly = {"currency": "USD", "interval": "month", "period": "calendar"}
    free = {**monthly, "name": "Free", "default": True}
    allowances = [{"meter": "tokens", "quantity": "1000"}]
    api.put("/v1/plans/free", {**free, "rates": rates, "allowances": allowances})
    for key, fee in (("pro", "31.00"), ("max", "62.00")):
        plan = {**monthly, "name": key.title(), "fee": fee}
        api.put(f"/v1/plans/{key}", {**plan, "rates": rates})


def per_unit(price: str) -> dict[str, str]:
    """A price on the wire."""
    return {"model": "per_unit", "unit_price": price}
