"""Days that were rolled up answer as their hours do, and no longer than they hold."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.customers import Customer
from shared.domain.days import floor_day
from shared.domain.distinct import DistinctValue
from shared.domain.events import UsageEvent
from shared.domain.periods import Period
from shared.domain.usage_answers import Kept, Shape, usage_answer
from shared.domain.usage_days import (
    CLOSED_HOLDS_FOR,
    CLOSES_AFTER,
    HOLDS_FOR,
    NOTED_AFTER,
    SETTLES_AFTER,
    DayKey,
    UsageDay,
    is_noted,
    settled,
    settled_days,
    stretches,
)
from shared.domain.usage_windows import usage_windows
from shared.services.changes import CreateCustomer
from shared.services.spread import one_by_one
from shared.services.usage_days import (
    BUSY_ITEMS_AN_HOUR,
    READY_AHEAD,
    READY_FOR,
    WORTH_ROLLING_UP,
    DayReads,
    busy_meters,
    weeks_to_make_ready,
)
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.clocks import SettableClock
from tests.fakes.usage_days import MemoryUsageDays
from tests.support.builders import HOUR
from tests.unit.services.test_usage_answers import (
    EVENTS,
    LIMIT,
    ORIGIN,
    QUESTIONS,
    Asked,
    event,
    kept_of,
    meter_of,
)

DAY = timedelta(days=1)


class Metering:
    """What is kept of one meter's usage, and how it is read."""

    def __init__(self, now: datetime, kept: Sequence[Kept] = ()) -> None:
        store = MemoryBillingStore()
        store.commit([CreateCustomer(Customer("ada", ORIGIN))])
        self.kept = list(kept)
        self.copies = MemoryUsageDays(store)
        self.clock = SettableClock(now)
        self.days = DayReads(self.copies, self.clock, one_by_one)
        self.reads: list[Period] = []

    def by_hour(self, stretch: Period) -> list[Kept]:
        self.reads.append(stretch)
        return [item for item in self.kept if stretch.start <= instant(item) < stretch.end]

    def ask(self, span: Period, least: int | None = WORTH_ROLLING_UP) -> list[Kept]:
        _, days = self.days.opening("ada", "m", span)
        self.reads.clear()
        return self.days.kept(span, days, self.by_hour, roll_up_from=least)


def instant(item: Kept) -> datetime:
    return item.key.day if isinstance(item, DistinctValue) else item.key.hour


def busy(days: int, models: int = 50) -> list[Kept]:
    """Usage in every hour of the first days."""
    events = [
        event(models * hour + model, ORIGIN + hour * HOUR, model=str(model))
        for hour in range(24 * days)
        for model in range(models)
    ]
    return kept_of(meter_of("sum"), events)


def same(found: Sequence[Kept], expected: Sequence[Kept]) -> bool:
    return sorted(found, key=repr) == sorted(expected, key=repr)


@settings(max_examples=150)
@given(
    events=EVENTS,
    asked=QUESTIONS,
    now=st.integers(0, 24 * 16),
    copied=st.sets(st.integers(0, 11)),
)
def test_an_answer_is_the_same_whatever_days_were_rolled_up(
    events: list[UsageEvent], asked: Asked, now: int, copied: set[int]
) -> None:
    own = [each for each in events if each.customer == "ada"]
    meter = meter_of(asked.aggregation)
    metering = Metering(ORIGIN + now * HOUR, kept_of(meter, own))
    for day in (ORIGIN + number * DAY for number in copied):
        if settled(day, metering.clock.now()):
            found = tuple(item for item in metering.kept if floor_day(instant(item)) == day)
            copy = UsageDay(DayKey("ada", "m", day), 0, found, metering.clock.now())
            metering.copies.roll_up(copy)
    windows = usage_windows(asked.start, asked.end, asked.window, asked.zone, LIMIT)
    shape = Shape(windows, asked.group_by, asked.where, asked.top, True, asked.fill)
    for _ in range(2):
        kept = metering.ask(Period(asked.start, asked.end))
        assert usage_answer(meter, kept, shape, LIMIT) == asked.answer(own)


def test_a_month_asked_twice_is_read_by_the_hour_once() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12))
    span = Period(ORIGIN, ORIGIN + 12 * DAY)
    assert same(metering.ask(span), metering.kept)
    assert metering.reads == [span]
    assert same(metering.ask(span), metering.kept)
    # The last day is not over, and two have not settled.
    assert metering.reads == [Period(ORIGIN + 10 * DAY, span.end)]


def test_a_day_that_changed_is_read_by_the_hour_and_rolled_up_anew() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12))
    span = Period(ORIGIN, ORIGIN + 12 * DAY)
    metering.ask(span)
    late = kept_of(meter_of("sum"), [event(999_999, ORIGIN + 5 * DAY, 7, model="late")])
    metering.kept += late
    metering.copies.note_changes([DayKey("ada", "m", ORIGIN + 5 * DAY)])
    assert same(metering.ask(span), metering.kept)
    changed = Period(ORIGIN + 5 * DAY, ORIGIN + 6 * DAY)
    assert metering.reads == [changed, Period(ORIGIN + 10 * DAY, span.end)]
    assert same(metering.ask(span), metering.kept)
    assert changed not in metering.reads


def test_what_changes_while_it_is_read_is_not_kept() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12))
    span = Period(ORIGIN, ORIGIN + 12 * DAY)
    _, days = metering.days.opening("ada", "m", span)
    key = DayKey("ada", "m", ORIGIN)
    metering.copies.note_changes([key])
    metering.days.kept(span, days, metering.by_hour)
    assert metering.copies.days[key].kept is None
    assert metering.copies.days[key._replace(day=ORIGIN + DAY)].kept is not None


def test_little_usage_is_never_rolled_up() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12, models=3))
    assert len(metering.kept) < WORTH_ROLLING_UP
    span = Period(ORIGIN, ORIGIN + 12 * DAY)
    assert same(metering.ask(span), metering.kept)
    assert metering.copies.days == {}


def test_nothing_is_rolled_up_of_a_customer_whose_usage_can_be_deleted() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12))
    metering.ask(Period(ORIGIN, ORIGIN + 12 * DAY), least=None)
    assert metering.copies.days == {}


def test_a_copy_is_made_anew_after_a_week() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(4))
    span = Period(ORIGIN, ORIGIN + 4 * DAY)
    metering.ask(span)
    metering.kept.pop()  # A change that nobody noted.
    metering.clock.at += HOLDS_FOR - HOUR
    assert len(metering.ask(span)) == len(metering.kept) + 1
    metering.clock.at += HOUR
    assert same(metering.ask(span), metering.kept)
    assert same(metering.ask(span), metering.kept)
    assert metering.reads == []


def test_a_copy_of_a_day_that_gets_no_more_usage_holds_longer() -> None:
    metering = Metering(ORIGIN + DAY + CLOSES_AFTER - HOUR, busy(2))
    span = Period(ORIGIN, ORIGIN + 2 * DAY)
    metering.ask(span)
    metering.clock.at += HOLDS_FOR
    assert same(metering.ask(span), metering.kept)
    assert metering.reads == [span]
    metering.clock.at += CLOSED_HOLDS_FOR - HOUR
    assert same(metering.ask(span), metering.kept)
    assert metering.reads == []
    metering.copies.note_changes([DayKey("ada", "m", ORIGIN)])
    metering.ask(span)
    assert metering.reads == [Period(ORIGIN, ORIGIN + DAY)]
    metering.clock.at += HOUR
    metering.ask(span)
    assert metering.reads == [Period(ORIGIN + DAY, span.end)]


def test_a_meter_is_busy_with_more_items_than_a_months_page_holds_at_that_rate() -> None:
    most = BUSY_ITEMS_AN_HOUR * 24
    assert busy_meters({"m": most + 1, "n": most}, DAY) == {"m"}
    assert busy_meters({"m": most + 1}, HOUR) == {"m"}
    assert busy_meters({"m": most + 1}, DAY + HOUR) == set()


def test_weeks_are_made_ready_from_the_newest_settled_day_back_over_two_months() -> None:
    weeks = list(weeks_to_make_ready(ORIGIN + 5 * HOUR))
    assert weeks[0] == Period(ORIGIN - 9 * DAY, ORIGIN - 2 * DAY)
    assert [week.end for week in weeks[1:]] == [week.start for week in weeks[:-1]]
    assert weeks[-1].start == ORIGIN - READY_FOR


def test_copies_that_lapse_before_the_next_days_pass_are_made_anew() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(4))
    span = Period(ORIGIN, ORIGIN + 4 * DAY)
    metering.ask(span)
    metering.clock.at += HOLDS_FOR - DAY
    kept = [metering.days.opening("ada", "m", span, ahead)[1] for ahead in (HOUR, READY_AHEAD)]
    assert [[day.kept is None for day in days.values()] for days in kept] == [
        [False] * 4,
        [True] * 4,
    ]


def test_days_of_another_span_are_left_alone() -> None:
    metering = Metering(ORIGIN + 12 * DAY, busy(12))
    _, days = metering.days.opening("ada", "m", Period(ORIGIN, ORIGIN + 2 * DAY))
    later = Period(ORIGIN + 4 * DAY, ORIGIN + 8 * DAY)
    metering.days.kept(later, days, metering.by_hour)
    assert metering.copies.days == {}
    assert metering.reads == [later]


def test_bounds_within_a_day_read_settled_days_whole_and_the_last_one_to_the_end() -> None:
    day = DayKey("ada", "m", ORIGIN)
    settled_ones = {ORIGIN: UsageDay(day), ORIGIN + DAY: UsageDay(day, 0, (), ORIGIN)}
    span = Period(ORIGIN + 5 * HOUR, ORIGIN + 2 * DAY + 3 * HOUR)
    assert list(stretches(span, settled_ones)) == [
        Period(ORIGIN, ORIGIN + DAY),
        Period(ORIGIN + 2 * DAY, span.end),
    ]
    assert list(stretches(Period(ORIGIN, ORIGIN + HOUR), settled_ones)) == [
        Period(ORIGIN, ORIGIN + DAY)
    ]
    assert list(stretches(Period(ORIGIN + DAY, ORIGIN + DAY + HOUR), settled_ones)) == []


def test_changes_are_noted_before_any_clock_lets_a_day_be_rolled_up() -> None:
    over = ORIGIN + DAY
    assert not settled(ORIGIN, over + SETTLES_AFTER - timedelta(seconds=1))
    assert settled(ORIGIN, over + SETTLES_AFTER)
    assert is_noted(ORIGIN, over + NOTED_AFTER)
    assert not is_noted(ORIGIN, over + NOTED_AFTER - timedelta(seconds=1))
    assert list(settled_days(Period(ORIGIN + HOUR, over + DAY), over + SETTLES_AFTER)) == [ORIGIN]
    assert list(settled_days(Period(ORIGIN, ORIGIN), over + 9 * DAY)) == []
