"""Revenue, margin and credits owed: all numbers here are done by hand."""

import json
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from functions import api
from local.emulator import Aws
from shared.domain.catalogue import Rate
from shared.domain.prices import PerUnit
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, DAY, HOUR, MARCH, a_plan, units, usage
from tests.support.stack import Stack, stack
from tests.support.streams import Pump
from tests.unit.http.events import api_event

PRICES = (
    Rate("tokens", PerUnit(Decimal("0.01")), "USD"),
    Rate("messages", PerUnit(Decimal(1)), "sparks"),
)
PLAN = a_plan(fee_nanos=units(31), allowances=(), credits=(), rates=PRICES)
SPRING = "from=2026-03-01T00:00:00Z&to=2026-05-01T00:00:00Z"


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults(PLAN)
        running.runtime.__dict__["secret_keys"] = type(
            "Keys", (), {"key": staticmethod(lambda purpose: purpose.encode().ljust(32))}
        )
        yield running


def call(method: str, path: str, body: object = None, status: int = 200, **more: Any) -> Any:
    answer = api.handler(api_event(method, path, body, **more), None)
    assert answer["statusCode"] == status, answer["body"]
    return json.loads(answer["body"])


def ask(what: str, query: str, status: int = 200, **more: Any) -> Any:
    scopes = {"scopes": "read"} | more
    return call("GET", f"/v1/analytics/{what}", status=status, query=query, **scopes)


def grant(customer: str, **changes: object) -> None:
    body = {"unit": "sparks", "amount": "100", "source": "purchase", **changes}
    headers = {"idempotency-key": json.dumps(body, sort_keys=True)}
    call("POST", f"/v1/customers/{customer}/grants", body, 201, headers=headers)


@pytest.fixture(scope="module")
def pump(meterline: Stack) -> Pump:
    return meterline.pump()


@pytest.fixture(scope="module")
def acme(meterline: Stack, pump: Pump) -> str:
    """Since 1 March: 30 messages and 500 tokens on the 5th, 100 sparks bought and 10 given.

    The rest of the bought ones expires on 10 April; it is 15 April.
    """
    for meter, currency, price in (("tokens", "USD", "0.004"), ("messages", "EUR", "0.5")):
        rates = [{"price": {"model": "per_unit", "unit_price": price}}]
        call("PUT", f"/v1/cost-rates/{meter}", {"currency": currency, "rates": rates})
    clock = meterline.test_clocks(pump).create(MARCH)
    profile = {"test_clock": clock.id, "traits": {"tier": "gold"}}
    call("PUT", "/v1/customers/acme", profile)
    grant("acme", cost_basis="0.04", expires_at="2026-04-10T00:00:00Z")
    grant("acme", source="promotion", amount="10", priority=1)
    at = MARCH + 4 * DAY
    meterline.test_clocks(pump).advance(clock.id, at + DAY, bool)
    none = {"tokens": Decimal(0), "model": "small"}
    events = [usage("acme", n, at + n * timedelta(minutes=20), none) for n in range(29)]
    events.append(usage("acme", 29, at, {"tokens": Decimal(500), "model": "small"}))
    meterline.store(*events)
    pump.run()
    meterline.test_clocks(pump).advance(clock.id, APRIL + 14 * DAY, bool)
    pump.run()
    return "acme"


def told(answer: Any) -> list[dict[str, Any]]:
    """The rows without their bounds."""
    return [{k: v for k, v in row.items() if k not in ("start", "end")} for row in answer["data"]]


def test_margin_is_what_was_earned_less_what_the_usage_cost(acme: str) -> None:
    answer = ask("margin", f"customer=acme&window=month&{SPRING}")
    euros, dollars = told(answer)[:2]
    assert euros == {
        "currency": "EUR", "group": {}, "revenue": "0", "parts": {}, "accrued": "0",
        "invoiced": "0", "cost": "15", "margin": "-15",
    }  # fmt: skip
    # Of 30 sparks 10 were given, and 20 bought for 0.04 each.
    assert dollars == {
        "currency": "USD",
        "group": {},
        "revenue": "36.8",
        "parts": {"credits": "0.8", "fees": "31", "usage": "5"},
        "accrued": "0",
        "invoiced": "31",
        "cost": "2",
        "margin": "34.8",
    }
    [april] = told(answer)[2:]
    assert april["parts"] == {"breakage": "3.2", "fees": "31"}
    assert (april["revenue"], april["invoiced"], april["cost"]) == ("34.2", "36", "0")
    assert (answer["customers"], answer["uncosted"]) == (1, [])


def test_amounts_are_earned_evenly_over_the_time_that_they_are_for(acme: str) -> None:
    first = ask("revenue", "customer=acme&from=2026-03-01T00:00:00Z&to=2026-03-16T12:00:00Z")
    [row] = told(first)
    assert row["parts"] == {"credits": "0.8", "fees": "15.5", "usage": "2.5"}
    odd = "customer=acme&from=2026-03-16T12:00:00Z&to=2026-04-01T00:00:00Z&window=day"
    days = told(ask("revenue", odd))
    rest = sum(Decimal(day["parts"]["fees"]) + Decimal(day["parts"]["usage"]) for day in days)
    assert rest == Decimal(18)
    assert len(days) == 16


def test_rows_are_grouped_by_customer_plan_meter_and_segment(acme: str) -> None:
    gold = {"name": "Gold", "filter": {"tier": ["gold"]}}
    call("PUT", "/v1/segments/gold", gold)
    query = f"segment=gold&group_by=customer,plan,meter&group_by=segment&{SPRING}"
    rows = {
        (row["group"]["plan"], row["group"]["meter"]): row
        for row in told(ask("margin", query))
        if row["currency"] == "USD"
    }
    assert all(row["group"]["customer"] == "acme" for row in rows.values())
    assert {row["group"]["segment"] for row in rows.values()} == {"gold"}
    assert {place: row["margin"] for place, row in rows.items()} == {
        ("", ""): "4",
        ("basic", ""): "62",
        ("basic", "tokens"): "3",
    }


def test_credits_issued_are_used_expired_voided_or_held(acme: str, meterline: Stack) -> None:
    given, bought = told(ask("credits", f"customer=acme&{SPRING}"))
    names = ("opening", "issued", "used", "expired", "voided", "held")
    assert [given[name] for name in names] == ["0", "10", "10", "0", "0", "0"]
    assert [bought[name] for name in names] == ["0", "100", "20", "80", "0", "0"]
    assert (bought["source"], bought["cost_basis"], bought["currency"]) == (
        "purchase", "0.04", "USD"
    )  # fmt: skip
    assert (bought["liability"], bought["revenue"], bought["breakage"]) == ("0", "0.8", "3.2")
    april = "customer=acme&group_by=customer&from=2026-04-01T00:00:00Z&to=2026-04-09T00:00:00Z"
    [later] = told(ask("credits", april))
    assert [later[name] for name in names] == ["80", "0", "0", "0", "0", "80"]
    assert (later["customer"], later["liability"]) == ("acme", "3.2")
    drawn = sum(t.drawn for p in meterline.runtime.store.closed_phases("acme", 9) for t in p.billed)
    assert drawn == units(Decimal(given["used"]) + Decimal(bought["used"]))


def test_what_is_voided_is_neither_used_nor_expired(meterline: Stack, pump: Pump) -> None:
    clock = meterline.test_clocks(pump).create(MARCH)
    call("PUT", "/v1/customers/undone", {"test_clock": clock.id})
    grant("undone", amount="7")
    [held] = call("GET", "/v1/customers/undone/grants", scopes="read")["data"]
    headers = {"idempotency-key": "void"}
    call("POST", f"/v1/customers/undone/grants/{held['id']}/void", headers=headers)
    [row] = told(ask("credits", f"customer=undone&{SPRING}"))
    assert (row["issued"], row["voided"], row["held"]) == ("7", "7", "0")


def test_pages_of_customers_add_up_to_all(acme: str, meterline: Stack, pump: Pump) -> None:
    meterline.store(usage("busy", 1, MARCH + DAY), usage("other", 1, MARCH + DAY))
    pump.run()
    for each in ("busy", "other"):
        meterline.billing_run(pump).bill(each, APRIL + 2 * HOUR)
    [dollars] = [r for r in told(ask("revenue", SPRING)) if r["currency"] == "USD"]
    seen, total, cursor = 0, Decimal(0), ""
    while True:
        page = ask("revenue", f"limit=1&{SPRING}{cursor}")
        seen += page["customers"]
        total += sum(Decimal(r["revenue"]) for r in page["data"] if r["currency"] == "USD")
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen >= 3
    assert total == Decimal(dollars["revenue"])


@pytest.mark.parametrize("what", ["revenue", "margin", "credits", "customers"])
def test_only_operators_ask_and_bounds_are_quarter_hours(what: str) -> None:
    assert ask(what, SPRING, 403, customer="acme", scopes="portal")
    refused = ask(what, "from=2026-03-01T00:01:00Z&to=2026-02-01T00:00:00Z", 422)
    codes = {(each["pointer"], each["code"]) for each in refused["errors"]}
    assert codes == {("/from", "not-on-quarter-hour"), ("/to", "not-after-from")}
    assert ask(what, f"segment=none&{SPRING}", 422)["errors"] == [
        {"pointer": "/segment", "code": "unknown-segment"}
    ]


def test_very_many_windows_are_refused(acme: str) -> None:
    refused = ask("margin", "window=hour&from=2026-01-01T00:00:00Z&to=2026-04-01T00:00:00Z", 422)
    assert refused["errors"] == [{"pointer": "/window", "code": "too-many"}]


def test_customers_are_counted_as_they_come_convert_and_cancel(
    meterline: Stack, pump: Pump
) -> None:
    price = {"model": "per_unit", "unit_price": "0.01"}
    rates = [{"meter": "tokens", "price": price}]
    paid = {"name": "Paid", "currency": "USD", "fee": "100.00", "rates": rates}
    call("PUT", "/v1/plans/paid", paid)
    call("PUT", "/v1/segments/counted", {"name": "Counted", "filter": {"counted": ["yes"]}})
    clock = meterline.test_clocks(pump).create(MARCH)
    for name in ("stays", "leaves", "looks"):
        profile = {"test_clock": clock.id, "traits": {"counted": "yes"}}
        call("PUT", f"/v1/customers/{name}", profile)
    meterline.test_clocks(pump).advance(clock.id, MARCH + 4 * DAY, bool)
    for name in ("stays", "leaves"):
        order = {"action": "change", "plan": "paid"}
        headers = {"idempotency-key": "paid"}
        call("POST", f"/v1/customers/{name}/subscription", order, headers=headers)
    order = {"action": "cancel", "at": "2026-04-05T00:00:00Z"}
    headers = {"idempotency-key": "cancel"}
    call("POST", "/v1/customers/leaves/subscription", order, headers=headers)
    meterline.test_clocks(pump).advance(clock.id, APRIL + 14 * DAY, bool)

    def counts(query: str) -> dict[str, tuple[int, ...]]:
        rows = ask("customers", f"segment=counted&group_by=plan&{query}")["data"]
        names = ("customers", "new", "converted", "cancelled")
        return {row["group"]["plan"]: tuple(row[name] for name in names) for row in rows}

    march = counts("from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z")
    assert march == {"basic": (1, 3, 0, 0), "paid": (2, 0, 2, 0)}
    april = counts("from=2026-04-01T00:00:00Z&to=2026-05-01T00:00:00Z")
    assert april == {"basic": (2, 0, 0, 0), "paid": (1, 0, 0, 1)}
    assert counts("from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z") == {}
    pages = ask("customers", f"limit=1&segment=counted&group_by=state,segment&{SPRING}")
    [row] = pages["data"]
    assert (row["group"], row["customers"]) == ({"state": "active", "segment": "counted"}, 1)
    assert pages["next_cursor"]
