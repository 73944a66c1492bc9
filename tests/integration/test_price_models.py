"""Every price model through the real handlers and tables: published, billed, late, proven."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from cli.exported_events import read_event
from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.domain.proof import Fate
from shared.domain.verification import verify
from shared.services.billing_run import due_token
from shared.services.line_events import ContradictionError
from shared.services.setting_aside import StreamRecord
from shared.wire.strict_json import loads
from tests.integration.api import SHARD, Api
from tests.integration.conftest import Tables

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
_SEQUENCE = itertools.count(1)
TIERS = [
    {"up_to": "10", "unit_price": "1", "flat_fee": "3"},
    {"up_to": None, "unit_price": "0.5", "flat_fee": "0"},
]
RATES = [{"up_to": "10", "rate": "10", "flat_fee": "0"}, {"up_to": None, "rate": "50"}]
PRICES: dict[str, dict[str, Any]] = {
    "flat": {"model": "flat", "amount": "7"},
    "per_unit": {"model": "per_unit", "unit_price": "2", "free_units": "5"},
    "graduated": {"model": "graduated", "tiers": TIERS, "discount_percentage": "10"},
    "volume": {"model": "volume", "tiers": TIERS},
    "package": {"model": "package", "package_size": "5", "package_price": "4"},
    "percentage": {"model": "percentage", "rate": "10", "fixed_fee": "0.3", "free_events": "1"},
    "by_event": {"model": "percentage", "rate": "10", "min_per_event": "1"},
    "graduated_percentage": {
        "model": "graduated_percentage",
        "tiers": RATES,
        "minimum_amount": "2",
    },
}
# What 4 and 6 come to, and what another 1 that came late adds.
AMOUNTS = {
    "flat": ("7.00", "0.00"),
    "per_unit": ("10.00", "2.00"),
    "graduated": ("11.70", "0.45"),
    "volume": ("13.00", "-7.50"),
    "package": ("8.00", "4.00"),
    "percentage": ("1.30", "0.40"),
    "by_event": ("2.00", "1.00"),
    "graduated_percentage": ("2.00", "0.00"),
}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    for model in PRICES:
        meter = {"event_type": "work", "aggregation": "sum", "value": "size"}
        made.put(f"/v1/meters/{model}", {**meter, "filter": {"model": [model]}})
    rates = [{"meter": model, "price": price} for model, price in PRICES.items()]
    plan = {"name": "All", "currency": "USD", "period": "calendar", "default": True}
    published = made.put("/v1/plans/all", {**plan, "rates": rates})
    for model, rate in zip(PRICES, published["rates"], strict=True):
        assert rate["price"]["model"] == PRICES[model]["model"]
    return made


def use(api: Api, customer: str, at: datetime, size: int) -> None:
    """One event of each model's meter, stored and aggregated."""
    catalogue = api.runtime.catalogue.newest().version
    for model in PRICES:
        number = next(_SEQUENCE)
        data = {"size": Decimal(size), "model": model}
        event = UsageEvent(
            customer, "test", str(number), "work", at, api.clock.at, catalogue, data, {}
        )
        assert api.runtime.event_store.insert([event]) == ["stored"]
        api.runtime.aggregator.apply(SHARD, [StreamRecord(number, customer, event.key, event)])


def bill(api: Api, customer: str, month: int) -> Any:
    """The invoice of the month before."""
    api.clock.at = datetime(2026, month, 1, 1, tzinfo=UTC)
    for due in (datetime(2026, month, 1, tzinfo=UTC), api.clock.at):
        api.runtime.barriers.mark_passed(customer, due_token(due))
    api.runtime.billing_run.bill(customer, api.clock.at)
    return api.get(f"/v1/customers/{customer}/invoices")["data"][0]


def amounts(invoice: Any, *, late: bool) -> dict[str, str]:
    lines = [line for line in invoice["lines"] if line["late"] == late]
    return {line["meter"]: line["amount"] for line in lines}


def told(api: Api, customer: str) -> list[tuple[UsageEvent, Fate]]:
    """The customer's events and what became of them, as they are exported."""
    query = f"customer={customer}&from=2026-02-20T00:00:00Z&to=2026-05-01T00:00:00Z&limit=1000"
    listed: Any = loads(api.call("GET", "/v1/events", query=query, scopes="read").text.encode())
    return [read_event(event) for event in listed["data"]]


def test_every_model_is_billed_late_too_and_proven(api: Api) -> None:
    api.clock.at = MARCH
    customer = api.new_customer().removeprefix("/v1/customers/")
    api.clock.at = MARCH + 5 * HOUR
    use(api, customer, MARCH + HOUR, 4)
    use(api, customer, MARCH + 2 * HOUR, 6)
    on_time = {model: amount for model, (amount, _) in AMOUNTS.items()}
    upcoming = api.get(f"/v1/customers/{customer}/invoices/upcoming")
    assert amounts(upcoming, late=False) == on_time
    march = bill(api, customer, 4)
    assert amounts(march, late=False) == on_time
    use(api, customer, MARCH + 3 * HOUR, 1)
    upcoming = api.get(f"/v1/customers/{customer}/invoices/upcoming")
    april = bill(api, customer, 5)
    late = {model: amount for model, (_, amount) in AMOUNTS.items()}
    assert amounts(upcoming, late=True) == amounts(april, late=True) == late
    events = told(api, customer)
    assert len(events) == 3 * len(PRICES)
    assert verify(march, events) == ()
    assert verify(april, events) == ()
    for line in april["lines"]:
        if line["late"]:
            page = api.get(f"/v1/invoices/{april['id']}/lines/{line['n']}/events")
            assert page["state"] == "proven"


def test_what_single_events_came_to_is_recounted(api: Api) -> None:
    api.clock.at = MARCH
    customer = api.new_customer().removeprefix("/v1/customers/")
    use(api, customer, MARCH + HOUR, 4)
    document = bill(api, customer, 4)
    [line] = [line for line in document["lines"] if line["meter"] == "by_event"]
    proofs = api.runtime.line_proofs
    assert proofs.page(document, line["n"], 10).state == "proven"
    assert line["events"]["amounts"] == "1"
    line["events"]["amounts"] = "2"
    assert proofs.page(document, line["n"], 10).state == "settling"
    drained: Any = SimpleNamespace(has_passed=lambda *_: True)
    with pytest.raises(ContradictionError):
        replace(proofs, barriers=drained).page(document, line["n"], 10)


@pytest.mark.parametrize("model", PRICES)
def test_a_preview_says_what_the_invoice_bills(api: Api, model: str) -> None:
    body = {"price": PRICES[model], "events": [{"value": 4}, {"value": "6"}], "currency": "USD"}
    preview = api.call("POST", "/v1/pricing/preview", body, scopes="read").json
    assert preview["rounded"] == AMOUNTS[model][0]
    parts = sum(Decimal(detail["amount"]) for detail in preview["details"])
    assert parts == Decimal(preview["amount"])
