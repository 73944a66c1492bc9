"""Replays held to what was billed: a plan replayed over its own past comes to its invoices."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions import api
from local.emulator import Aws
from shared.domain.catalogue import Meter, Plan, Rate
from shared.domain.events import UsageEvent
from shared.domain.prices import Percentage, Tier, Volume
from shared.services.audience import Question
from shared.services.replay import Compared
from shared.wire.plans import PlanAnswer
from tests.integration.conftest import Tables
from tests.support.builders import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    PEAK,
    VISITORS,
    a_plan_with_visits,
    usage,
    visit,
)
from tests.support.stack import Stack, stack
from tests.support.streams import Pump
from tests.unit.http.events import api_event

PAYMENTS = Meter("payments", "payment", "sum", "amount")
STORED = Meter("stored", "payment", "sum", "bytes", ("zone",))
BY_EVENT = Percentage(Decimal("2.9"), Decimal("0.3"), max_per_event=Decimal(5))
BULK = Volume((Tier(Decimal(50), Decimal("0.1")), Tier(None, Decimal("0.05"), Decimal(1))))
ODD = timedelta(minutes=7, seconds=13)


def the_plan() -> Plan:
    """Every kind of price: by totals and by event, in money and credits, some that can fall.

    A plan may be called a draft: it is still told from the draft that is replayed.
    """
    plan = a_plan_with_visits()
    rates = (Rate("payments", BY_EVENT, "USD"), Rate("stored", BULK, "USD"))
    return replace(plan, key="draft", rates=(*plan.rates, *rates))


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish(VISITORS, PEAK, PAYMENTS, STORED)
        running.publish_defaults(the_plan())
        running.runtime.__dict__["secret_keys"] = type(
            "Keys", (), {"key": staticmethod(lambda purpose: purpose.encode().ljust(32))}
        )
        yield running


def body_of(plan: Plan, **changes: object) -> dict[str, Any]:
    """The plan as somebody drafts it."""
    published = PlanAnswer.of(plan).model_dump(mode="json", exclude={"key", "version"})
    return {**{name: value for name, value in published.items() if value is not None}, **changes}


def replay(plan: dict[str, Any], status: int = 200, **asked: object) -> Any:
    body = {"plan": plan, "from": "2026-03-01T00:00:00Z", "to": "2026-05-01T00:00:00Z", **asked}
    answer = api.handler(api_event("POST", "/v1/pricing/replay", body, scopes="read"), None)
    assert answer["statusCode"] == status, answer["body"]
    return json.loads(answer["body"])


def traffic(customer: str, seed: int, start: datetime, end: datetime) -> list[UsageEvent]:
    """Usage at any second, busiest around the bounds of periods."""
    rng = random.Random(seed)
    span = int((end - start).total_seconds())
    times = [start + timedelta(seconds=rng.randrange(span)) for _ in range(40)]
    times += [start + ODD + timedelta(seconds=n * 40) for n in range(12)]
    times += [end - timedelta(seconds=n * 50 + 1) for n in range(12)]
    return [an_event(customer, n, at, rng) for n, at in enumerate(sorted(times))]


def an_event(customer: str, number: int, at: datetime, rng: random.Random) -> UsageEvent:
    match rng.randrange(3):
        case 0:
            tokens = Decimal(rng.randrange(1, 40_000)) / 100
            model = rng.choice(("large", "small"))
            return usage(customer, number, at, {"tokens": tokens, "model": model})
        case 1:
            return visit(customer, number, at, f"who-{rng.randrange(9)}", rng.randrange(100))
    amount = Decimal(rng.randrange(1, 50_000)) / 100
    data = {"amount": amount, "bytes": Decimal(rng.randrange(60)), "zone": rng.choice("ab")}
    return usage(customer, number, at, data, type="payment")


def bill(meterline: Stack, customer: str, events: Sequence[UsageEvent], until: datetime) -> None:
    """The usage, every period that has ended until then, and its invoices."""
    pump: Pump = meterline.pump()
    for event in events:  # Credits go to usage in the order of the stream, which is that of writes.
        meterline.store(event)
    pump.run()
    meterline.billing_run(pump).bill(customer, until)
    pump.run()


def billed(meterline: Stack, customer: str, start: str, end: str) -> tuple[Decimal, Decimal]:
    """What invoices charge of fees and of usage for service periods that begin in [start, end)."""
    fees = used = Decimal(0)
    for document in meterline.runtime.store.invoices(customer, 1000, None).items:
        lines: Any = document["lines"]
        for line in lines:
            if start <= line["service_period"]["start"] < end:
                if line["type"] in ("fee", "proration"):
                    fees += Decimal(line["amount"])
                elif line["type"] in ("usage", "credits_applied", "overage"):
                    used += Decimal(line["amount"])
    return fees, used


@pytest.mark.parametrize("seed", range(3))
def test_a_plan_replayed_over_its_own_past_comes_to_its_invoices(
    meterline: Stack, seed: int
) -> None:
    customer = f"own-{seed}"
    events = traffic(customer, seed, MARCH + ODD, MAY)
    bill(meterline, customer, events, MAY + 2 * HOUR)
    fees, used = billed(meterline, customer, "2026-03-01T00:00:00Z", "2026-05-01T00:00:00Z")
    assert fees > 0 < used
    answer = replay(body_of(the_plan()), customers=[customer])
    [compared] = answer["data"]
    assert (compared["phases"], compared["recounted"]) == (2, True)
    for side in ("before", "after"):
        outcome = compared[side]
        assert (Decimal(outcome["fees"]), Decimal(outcome["usage"])) == (fees, used)
    assert compared["difference"] == "0.00"


def test_a_draft_is_compared_customer_by_customer(meterline: Stack) -> None:
    """By hand: 200 small tokens under two prices, a fee of 20 for a whole month, costs of 0.5."""
    few = {"tokens": Decimal(40), "model": "small"}
    for customer, seats in (("winner", 5), ("loser", 1)):
        events = [usage(customer, n, MARCH + n * DAY, few) for n in range(seats)]
        bill(meterline, customer, events, APRIL + 2 * HOUR)
    draft = {
        "name": "Draft",
        "currency": "USD",
        "fee": "3",
        "period": "calendar",
        "rates": [{"meter": "tokens", "price": {"model": "per_unit", "unit_price": "0.2"}}],
    }
    asked = {"customers": ["loser", "winner", "nobody-yet"], "to": "2026-03-02T00:00:00Z"}
    assert replay(draft, 404, **asked)["code"] == "not-found"
    asked["customers"] = ["loser", "winner"]
    answer = replay(draft, **asked)
    # Before: the first tier's fee of 1, 40 or 100 at 0.01 and 100 at 0.002 with that tier's 0.5.
    assert [
        (each["customer"], each["before"]["revenue"], each["after"]["revenue"], each["difference"])
        for each in answer["data"]
    ] == [("loser", "21.40", "11.00", "-10.40"), ("winner", "22.70", "43.00", "20.30")]
    assert answer["totals"]["difference"] == "9.90"
    assert (answer["totals"]["winners"], answer["totals"]["losers"]) == (1, 1)
    pages, cursor = [], None
    while not pages or cursor:
        page = replay(draft, **asked, limit=1, **({"cursor": cursor} if cursor else {}))
        pages += page["data"]
        cursor = page["next_cursor"]
    assert sorted(pages, key=lambda each: each["customer"]) == answer["data"]


def test_who_cannot_be_compared_is_named_and_a_draft_must_fit(meterline: Stack) -> None:
    bill(meterline, "apart", [usage("apart", 1, MARCH + DAY)], APRIL + 2 * HOUR)
    draft = body_of(the_plan())
    asked: dict[str, Any] = {"customers": ["apart"]}
    for changes, reason in (
        ({"interval": "year"}, "other-interval"),
        ({"currency": "EUR", "rates": [], "fee": "1"}, "other-currency"),
    ):
        answer = replay({**draft, **changes}, **asked)
        assert answer["left_out"] == [{"customer": "apart", "reason": reason}]
        assert answer["data"] == []
    early = replay(draft, **asked, **{"from": "2025-01-01T00:00:00Z", "to": "2025-02-01T00:00:00Z"})
    assert early["left_out"] == [{"customer": "apart", "reason": "no-phase"}]
    wrong = {**draft, "allowances": [{"meter": "nothing", "quantity": "1"}]}
    pointers = [each["pointer"] for each in replay(wrong, 422, **asked)["errors"]]
    assert pointers == ["/plan/allowances/0/meter"]
    assert replay(draft, 422, **asked, to="2026-01-01T00:00:00Z")["code"] == "validation"
    token = api_event("POST", "/v1/pricing/replay", {"plan": draft}, customer="apart")
    assert api.handler(token, None)["statusCode"] == 403


def test_other_usage_than_what_was_billed_is_told(meterline: Stack) -> None:
    """Usage hours that hold more than the account are replayed, and said to be more."""
    bill(meterline, "more", [usage("more", 1, MARCH + DAY)], APRIL + 2 * HOUR)
    store = meterline.runtime.store
    [hour] = store.usage_between("tokens", "more", MARCH, APRIL)
    quarters = tuple(replace(q, value=q.value * 2) if q.count else q for q in hour.quarters)
    doubled = replace(hour, quarters=quarters)
    store_usage = SimpleNamespace(
        **{name: getattr(store, name) for name in dir(store) if not name.startswith("_")}
    )
    store_usage.usage_between = lambda meter, *_: [doubled] if meter == "tokens" else []
    usage_of = replace(meterline.runtime.replays.usage, store=store_usage)
    replays = replace(meterline.runtime.replays, usage=usage_of)
    question = Question(("more",))
    [compared] = replays.compare(the_plan(), question, MARCH, APRIL).items
    assert isinstance(compared, Compared)
    assert not compared.recounted
