"""Rates on meters that average: priced when they are read and when the period closes."""

import copy
import itertools
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.domain.invoice_document import document_hash
from shared.domain.verification import verify
from shared.services.setting_aside import StreamRecord
from tests.integration.api import SHARD, Api, per_unit
from tests.integration.conftest import Tables
from tests.integration.test_price_models import HOUR, MARCH, bill, told

_SEQUENCE = itertools.count(1)
PLAN = {"name": "Loads", "currency": "USD", "period": "calendar"}
TIERS = [{"up_to": "5", "unit_price": "1"}, {"up_to": None, "unit_price": "10"}]
RATES = [
    {"meter": "load", "where": {"zone": "eu"}, "price": {"model": "graduated", "tiers": TIERS}},
    {"meter": "load", "price": per_unit("2")},
]


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    meter = {"event_type": "probe", "value": "load", "dimensions": ["zone"]}
    for aggregation in ("average", "min", "latest"):
        key = "load" if aggregation == "average" else aggregation
        made.put(f"/v1/meters/{key}", {**meter, "aggregation": aggregation})
    made.put("/v1/credit-units/sparks", {"name": "Sparks", "decimals": 0, "values": []})
    made.put("/v1/plans/loads", {**PLAN, "default": True, "rates": RATES})
    return made


def probe(api: Api, customer: str, at: datetime, load: str, zone: str = "us") -> None:
    number = next(_SEQUENCE)
    data = {"load": Decimal(load), "zone": zone}
    newest = api.runtime.catalogue.newest().version
    event = UsageEvent(customer, "test", str(number), "probe", at, api.clock.at, newest, data, {})
    assert api.runtime.event_store.insert([event]) == ["stored"]
    api.runtime.aggregator.apply(SHARD, [StreamRecord(number, customer, event.key, event)])


def usage(invoice: Any) -> list[tuple[bool, str, str, str]]:
    return [
        (line["late"], line["where"].get("zone", ""), line["quantity"], line["amount"])
        for line in invoice["lines"]
        if line["type"] == "usage"
    ]


def test_averages_are_priced_at_read_at_close_and_late(api: Api) -> None:
    api.clock.at = MARCH
    customer = api.new_customer().removeprefix("/v1/customers/")
    api.clock.at = MARCH + 9 * HOUR
    for hour, load in enumerate(("4", "6", "0.000000001"), 1):
        probe(api, customer, MARCH + hour * HOUR, load)
    for hour, load in ((1, "9"), (2, "3")):
        probe(api, customer, MARCH + hour * HOUR, load, zone="eu")
    # 5 at 1 and 1 at 10; (4 + 6 + 0.000000001) / 3 at nine places.
    on_time = [
        (False, "eu", "6", "15.00"),
        (False, "", "3.333333334", "6.67"),
    ]
    assert usage(api.get(f"/v1/customers/{customer}/invoices/upcoming")) == on_time
    march = bill(api, customer, 4)
    assert usage(march) == on_time
    probe(api, customer, MARCH + 3 * HOUR, "0", zone="eu")
    probe(api, customer, MARCH + 4 * HOUR, "8")
    late = [
        (True, "eu", "-2", "-11.00"),
        (True, "", "1.166666666", "2.33"),
    ]
    assert usage(api.get(f"/v1/customers/{customer}/invoices/upcoming")) == late
    april = bill(api, customer, 5)
    assert usage(april) == late
    events = told(api, customer)
    for invoice in (march, april):
        assert verify(invoice, events) == ()
        for line in invoice["lines"]:
            if line["type"] == "usage":
                page = api.get(f"/v1/invoices/{invoice['id']}/lines/{line['n']}/events")
                assert page["state"] == "proven"
        for member, other in (("quantity", "1"), ("unit_amount", "7"), ("amount", "7.00")):
            forged = copy.deepcopy(invoice)
            forged["lines"][0][member] = other
            forged["hash"] = document_hash(forged)
            assert verify(forged, events) != ()


def test_publishing_the_same_rates_again_makes_no_version(api: Api) -> None:
    assert api.put("/v1/plans/loads", {**PLAN, "default": True, "rates": RATES})["version"] == 1


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"rates": [{**RATES[1], "unit": "sparks"}]}, "/rates/0/unit", "price-can-fall"),
        (
            {"rates": [{"meter": "load", "price": {"model": "percentage", "rate": "1"}}]},
            None,
            None,
        ),
        (
            {
                "rates": [
                    {
                        "meter": "load",
                        "price": {"model": "percentage", "rate": "1", "min_per_event": "1"},
                    }
                ]
            },
            "/rates/0/price",
            "per-event-needs-a-sum",
        ),
        (
            {"allowances": [{"meter": "load", "quantity": "1"}]},
            "/allowances/0/meter",
            "unsupported",
        ),
        ({"rates": [{"meter": "min", "price": per_unit("1")}]}, "/rates/0/meter", "unsupported"),
        ({"rates": [{"meter": "latest", "price": per_unit("1")}]}, "/rates/0/meter", "unsupported"),
    ],
)
def test_what_plans_take_of_it(
    api: Api, changes: dict[str, Any], pointer: str | None, code: str | None
) -> None:
    plan = {**PLAN, "on_exhausted": "block", **changes}
    reply = api.call("PUT", "/v1/plans/other", plan)
    if code is None:
        assert reply.status == 200
    else:
        assert {"pointer": pointer, "code": code} in reply.json["errors"]
