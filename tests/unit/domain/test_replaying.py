"""A draft is replayed as if the customer had been on it all the time."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import Phase
from shared.domain.catalogue import Allowance, Catalogue, PhaseState, Plan, Rate
from shared.domain.customers import Subscription
from shared.domain.events import Measurement
from shared.domain.money import to_nanos
from shared.domain.prices import PerUnit
from shared.domain.replaying import (
    Past,
    Replay,
    Replayed,
    past_phases,
    under_one_plan,
    with_draft,
)
from shared.domain.shares import Share
from tests.support.builders import APRIL, DAY, MARCH, a_catalogue, a_plan, units

FREE = Plan("free", 1, "Free", "USD", "month", period="calendar")
DRAFT = Plan(
    key="(draft)",
    version=1,
    name="Draft",
    currency="USD",
    interval="month",
    period="anniversary",
    fee_nanos=units(31),
    allowances=(Allowance("messages", Decimal(31)),),
    rates=(Rate("messages", PerUnit(Decimal(1)), "USD"),),
)
CHANGED = MARCH + 10 * DAY


def catalogue() -> Catalogue:
    anew = replace(a_plan(), key="anew", period="anniversary")
    return with_draft(a_catalogue(a_plan(), anew, FREE), DRAFT)


def a_phase(number: int, period: int, start: datetime, end: datetime, plan: str) -> Phase:
    return Phase(number, period, start, end, plan, 1, ())


def used(at: datetime, quantity: int) -> Share:
    return Share(at, Measurement("messages", Decimal(quantity), {}, 0, "count", count=quantity))


def replayed(anchor: datetime, *phases: tuple[Phase, list[Share]]) -> list[Replayed]:
    """The phases under the draft."""
    terms = Subscription("ada", "free", 1, anchor, "UTC", APRIL)
    pasts = past_phases([phase for phase, _ in phases], terms, catalogue())
    taken: list[tuple[Past, list[Share]]] = [
        (past, shares) for past, (_, shares) in zip(pasts, phases, strict=True)
    ]
    replay = Replay(terms, catalogue())
    return [replay.phase(past, DRAFT, shares) for past, shares in under_one_plan(taken)]


def told(each: Replayed) -> tuple[int, int]:
    """What its fee and its usage come to, in whole dollars."""
    return each.fee // units(1), each.usage // units(1)


def test_a_phase_without_length_goes_with_the_next_whose_allowance_is_given_once() -> None:
    """So begins everybody who is made first and subscribes in the same second."""
    first = a_phase(1, 1, MARCH, MARCH, "free")
    chosen = a_phase(2, 2, MARCH, APRIL, "basic")
    early = used(MARCH - DAY, 1)
    [whole] = replayed(MARCH, (first, [early]), (chosen, [used(CHANGED, 99)]))
    assert told(whole) == (31, 100 - 31)
    assert whole.phase.number == 2


def test_a_change_of_plan_inside_a_period_would_not_have_been_one() -> None:
    before = a_phase(1, 1, MARCH, CHANGED, "free")
    after = a_phase(2, 1, CHANGED, APRIL, "basic")
    phases = [(before, [used(MARCH, 50)]), (after, [used(CHANGED, 50)])]
    [whole] = replayed(MARCH, *phases)
    assert told(whole) == (31, 100 - 31)


def test_a_period_that_was_cut_off_gives_and_costs_by_the_second() -> None:
    """Free for ten days of a calendar month, then another plan, whose periods begin anew."""
    cut_off = a_phase(1, 1, MARCH, CHANGED, "free")
    anew = a_phase(2, 2, CHANGED, CHANGED.replace(month=4), "anew")
    first, second = replayed(CHANGED, (cut_off, [used(MARCH, 50)]), (anew, [used(CHANGED, 50)]))
    assert told(first) == (10, 50 - 10)
    assert told(second) == (31, 50 - 31)


def test_an_anniversary_that_was_cut_off_costs_by_the_second_as_well() -> None:
    terms = Subscription("ada", "anew", 1, CHANGED, "UTC", APRIL)
    phases = [
        a_phase(1, 1, MARCH, CHANGED, "anew"),
        a_phase(2, 2, CHANGED, CHANGED.replace(month=4), "anew"),
    ]
    [first, second] = past_phases(phases, terms, catalogue())
    assert (first.span.whole_start, first.span.end, first.cut_off) == (MARCH, APRIL, True)
    assert (second.span.end, second.cut_off) == (CHANGED.replace(month=4), False)


@pytest.mark.parametrize(("state", "quantity"), [("paused", 1), ("active", 2)])
def test_pauses_and_seats_stay_phases_of_their_own(state: PhaseState, quantity: int) -> None:
    """The draft would have gone through them as well."""
    before = a_phase(1, 1, MARCH, CHANGED, "basic")
    after = replace(a_phase(2, 1, CHANGED, APRIL, "basic"), state=state, quantity=quantity)
    first, second = replayed(MARCH, (before, []), (after, []))
    assert (first.phase.end, second.phase.start) == (CHANGED, CHANGED)
    assert first.fee == units(10)
    assert second.fee == (0 if state == "paused" else 2 * units(21))


def test_seats_that_changed_inside_a_phase_cost_from_then_on() -> None:
    """One seat, eleven after ten days, two for the last day; then only the plan changes."""
    last_day = APRIL - DAY
    seats = ((CHANGED, 11), (last_day, 2))
    whole = replace(a_phase(1, 1, MARCH, APRIL, "basic"), seats=seats)
    [alone] = replayed(MARCH, (whole, []))
    assert alone.fee == units(10 + 11 * 20 + 2)
    cut = replace(a_phase(1, 1, MARCH, last_day, "basic"), seats=seats[:1])
    after = replace(a_phase(2, 1, last_day, APRIL, "free"), quantity=11)
    [merged] = replayed(MARCH, (cut, []), (after, []))
    assert merged.fee == units(10 + 11 * 21)
    assert merged.phase.quantity == 1


def test_each_change_of_seats_is_rounded_as_its_invoice_was() -> None:
    third = replace(a_phase(1, 1, MARCH, APRIL, "basic"), seats=((MARCH + DAY / 7, 2),))
    [found] = replayed(MARCH, (third, []))
    # 30.857142… of a seat for the rest: credited once, charged twice.
    assert found.fee == units(31) - to_nanos(Decimal("30.86")) + to_nanos(Decimal("61.71"))


def test_usage_keeps_its_time_when_phases_are_put_together() -> None:
    before = a_phase(1, 1, MARCH, CHANGED, "free")
    after = a_phase(2, 1, CHANGED, APRIL, "basic")
    shares = [used(MARCH + timedelta(hours=1), 5)]
    terms = Subscription("ada", "free", 1, MARCH, "UTC", APRIL)
    pasts = past_phases([before, after], terms, catalogue())
    [(past, taken)] = under_one_plan([(pasts[0], shares), (pasts[1], [])])
    assert (past.phase.start, past.span.start, past.span.whole_start) == (MARCH, MARCH, MARCH)
    assert taken == shares
