"""Every aggregation through the aggregator: any cut and order of delivery gives a plain recount."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import cast, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain import dimension_cap
from shared.domain.catalogue import Aggregation, Catalogue, Meter, Rate
from shared.domain.corrections import History, correct
from shared.domain.events import Correction, UsageEvent, Value
from shared.domain.periods import Period
from shared.domain.prices import PerUnit
from shared.domain.quarters import QUARTER
from shared.domain.usage_answers import AnswerRow, Kept, Shape, usage_answer
from shared.domain.usage_windows import usage_windows
from shared.services.aggregate import Aggregator, Outcome
from shared.services.event_list import EventIndex
from shared.services.phase_check import PhaseCheck
from shared.services.recounting import Recounting
from shared.services.revaluing import Revaluing
from shared.services.setting_aside import StreamRecord
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.events import MemoryBarrierStore, MemoryEventStore
from tests.fakes.reconciliation import MemoryRawEvents
from tests.support.builders import APRIL, DAY, HOUR, MARCH, a_plan, usage

AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)
METERS = {
    name: Meter(name.replace("_", "-"), "call", name, None if name == "count" else "v", ("model",))
    for name in AGGREGATIONS
}
# Around the European change to summer time, in zones of full, half and quarter hours.
ORIGIN = datetime.fromisoformat("2026-03-28T20:00:00+00:00")
ZONES = ("UTC", "Europe/Berlin", "Asia/Kathmandu")
VALUES: Sequence[Value] = (Decimal(0), Decimal("2.5"), Decimal("2.50"), Decimal(7), "7", None)


@dataclass
class FixedCatalogue:
    """See CatalogueSource."""

    catalogue: Catalogue

    def fresh(self) -> Catalogue:
        return self.catalogue

    def newest(self) -> Catalogue:
        return self.catalogue

    def at_least(self, version: int) -> Catalogue:
        return self.catalogue


class FixedClock:
    def now(self) -> datetime:
        return APRIL


RATES = (
    Rate("max", PerUnit(Decimal(2)), "USD", {"model": "a"}),
    Rate("max", PerUnit(Decimal(1)), "USD"),
    Rate("unique-count", PerUnit(Decimal(5)), "USD", {"model": "a"}),
    Rate("unique-count", PerUnit(Decimal(3)), "USD"),
)
PLAN = a_plan(allowances=(), credits=(), rates=RATES)
CATALOGUE = Catalogue(5, {m.key: m for m in METERS.values()}, {"basic": (PLAN,)})


def an_aggregator(store: MemoryBillingStore, raw: MemoryEventStore) -> Aggregator:
    catalogue, clock, index = FixedCatalogue(CATALOGUE), FixedClock(), cast("EventIndex", raw)
    events = MemoryRawEvents(raw)
    recounting = Recounting(store, events, catalogue, PhaseCheck(store, events, index))
    revalue = Revaluing(store, recounting, clock).revalue
    barriers = MemoryBarrierStore()
    return Aggregator(store, barriers, catalogue, clock, timedelta(hours=1), revalue)


def call(number: int, at: datetime, value: Value, model: str = "a") -> UsageEvent:
    data = {"v": value, "model": model}
    return usage("ada", number, at, data, type="call")


EVENTS = st.lists(
    st.tuples(
        st.integers(0, 4 * 16).map(lambda n: ORIGIN + n * QUARTER),
        st.sampled_from(VALUES),
        st.sampled_from(["a", "b", ""]),
    ),
    max_size=24,
).map(lambda drawn: [call(n, at, v, model) for n, (at, v, model) in enumerate(drawn)])


@given(events=EVENTS, cuts=st.lists(st.integers(1, 24), max_size=8), zone=st.sampled_from(ZONES))
@settings(max_examples=60, deadline=None)
def test_windows_are_a_recount_of_raw_events(
    events: list[UsageEvent], cuts: list[int], zone: str
) -> None:
    store = MemoryBillingStore()
    deliver(store, events, cuts)
    windows = usage_windows(ORIGIN + QUARTER, ORIGIN + 15 * HOUR, "day", zone, 100)
    for meter in METERS.values():
        for group_by in ((), ("model",)):
            rows = asked(store, meter, windows, group_by)
            assert {(r.start, r.group.values): r.value for r in rows} == dict(
                recount(meter, events, windows, group_by)
            ), meter.key


@given(events=EVENTS, cuts=st.lists(st.integers(1, 24), max_size=8))
@settings(max_examples=40, deadline=None)
def test_billing_counts_maxima_and_values_once(events: list[UsageEvent], cuts: list[int]) -> None:
    store = MemoryBillingStore()
    first = call(-1, MARCH, Decimal(0), "a")
    deliver(store, [first, *events], cuts)
    assert_billed(store, [first, *events])


def assert_billed(store: MemoryBillingStore, events: Sequence[UsageEvent]) -> None:
    for index, rate in enumerate(RATES):
        meter = METERS["max" if rate.meter == "max" else "unique_count"]
        narrow = rate.where.get("model") == "a"
        mine = [e for e in events if (e.data["model"] == "a") == narrow]
        expected = brute(meter, mine) or Decimal(0)
        totals = store.accounts["ada"].current.totals[index]
        assert totals.value == expected
        assert totals.amount == expected * {0: 2, 1: 1, 2: 5, 3: 3}[index] * 10**9


@st.composite
def corrected(draw: st.DrawFn) -> tuple[list[UsageEvent], list[UsageEvent]]:
    """Events with entries that correct some of them, in any order; and those in force."""
    entries, in_force = list[UsageEvent](), list[UsageEvent]()
    for event in draw(EVENTS):
        history = History(event)
        for value in draw(st.lists(st.sampled_from((*VALUES, "cancel")), max_size=2)):
            data = None if value == "cancel" else {"v": value, "model": draw(st.sampled_from("ab"))}
            made = Correction(0, "reversal", "key", APRIL, event.received_at)
            if history.effective is not None:
                new = correct(history, data, made, event.received_at + HOUR)
                history = History(event, (*history.entries, *new))
        entries += [event, *history.entries]
        in_force += [history.effective] if history.effective else []
    return draw(st.permutations(entries)), in_force


@given(drawn=corrected(), cuts=st.lists(st.integers(1, 24), max_size=8))
@settings(max_examples=150, deadline=None)
def test_what_was_corrected_counts_as_what_is_in_force(
    drawn: tuple[list[UsageEvent], list[UsageEvent]], cuts: list[int]
) -> None:
    events, in_force = drawn
    store = MemoryBillingStore()
    first = call(-1, MARCH, Decimal(0), "a")
    deliver(store, [first, *events], cuts)
    assert store.accounts["ada"].stale == {}
    windows = usage_windows(ORIGIN + QUARTER, ORIGIN + 15 * HOUR, "day", "UTC", 100)
    for meter in METERS.values():
        for group_by in ((), ("model",)):
            rows = asked(store, meter, windows, group_by)
            assert {(r.start, r.group.values): r.value for r in rows} == dict(
                recount(meter, in_force, windows, group_by)
            ), meter.key
    assert_billed(store, [first, *in_force])


@given(
    models=st.lists(st.sampled_from("abcdefg"), max_size=20),
    cuts=st.lists(st.integers(1, 9), max_size=8),
)
@settings(max_examples=60, deadline=None)
def test_groups_over_the_cap_are_the_same_however_often_they_come(
    models: list[str], cuts: list[int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dimension_cap, "MAX_GROUPS", 3)
        store = MemoryBillingStore()
        events = [call(n, ORIGIN, Decimal(n), model) for n, model in enumerate(models)]
        outcome = deliver(store, events, cuts)
        first = set(list(dict.fromkeys(models))[:3])
        over = [model for model in models if model not in first]
        assert outcome.over_cap >= len(over) * len(METERS)
        windows = usage_windows(ORIGIN, ORIGIN + HOUR, "total", "UTC", 9)
        rows = asked(store, METERS["count"], windows, ("model",))
        shown = {(row.group.values[0], row.group.other): row.value for row in rows}
        expected = {(model, False): Decimal(models.count(model)) for model in first}
        if over:
            expected["other", True] = Decimal(len(over))
        assert shown == expected
        [total] = asked(store, METERS["count"], windows, ())
        assert (total.value, total.group.other) == (len(models), False)


def test_more_new_values_than_a_transaction_takes_are_written_in_order() -> None:
    store = MemoryBillingStore()
    events = [call(n, ORIGIN, f"user-{n % 150}") for n in range(400)]
    deliver(store, events, [])
    windows = usage_windows(ORIGIN, ORIGIN + HOUR, "total", "UTC", 9)
    [row] = asked(store, METERS["unique_count"], windows, ())
    assert row.value == 150
    assert store.accounts["ada"].current.totals[2].value == 150


def test_a_value_on_two_days_counts_once_in_a_window_over_both() -> None:
    store = MemoryBillingStore()
    days = [call(n, MARCH + n * DAY, "ada@example.com") for n in range(2)]
    deliver(store, [*days, call(2, MARCH, "bob@example.com")], [])
    whole = usage_windows(MARCH, MARCH + 2 * DAY, "total", "UTC", 9)
    single = usage_windows(MARCH, MARCH + 2 * DAY, "day", "UTC", 9)
    assert [r.value for r in asked(store, METERS["unique_count"], whole, ())] == [2]
    assert [r.value for r in asked(store, METERS["unique_count"], single, ())] == [2, 1]


def deliver(store: MemoryBillingStore, events: Sequence[UsageEvent], cuts: list[int]) -> Outcome:
    """Delivers the events in batches of these sizes, everything again, and the rest at once."""
    raw = MemoryEventStore()
    raw.insert(events)
    aggregator, outcome = an_aggregator(store, raw), Outcome()
    records = [
        StreamRecord(number, event.customer, event.key, event)
        for number, event in enumerate(events, start=1)
    ]
    start = 0
    for size in cuts:
        # Each batch goes back to the middle of the one before.
        outcome.add(aggregator.apply("shard", records[max(0, start - size // 2) : start + size]))
        start += size
    outcome.add(aggregator.apply("shard", records[min(start, len(records)) :]))
    outcome.add(aggregator.apply("shard", records))
    assert outcome.error is None
    assert outcome.quarantined == 0
    return outcome


def asked(
    store: MemoryBillingStore, meter: Meter, windows: Sequence[Period], group_by: Sequence[str]
) -> Sequence[AnswerRow]:
    if not windows:
        return []
    start, end = windows[0].start, windows[-1].end
    kept: Iterable[Kept] = store.usage_between(meter.key, "ada", start.replace(minute=0), end)
    if meter.aggregation == "unique_count":
        kept = store.values_between(meter.key, "ada", start, end)
    return usage_answer(meter, kept, Shape(windows, tuple(group_by)), 10_000).rows


def recount(
    meter: Meter, events: Iterable[UsageEvent], windows: Sequence[Period], group_by: Sequence[str]
) -> Iterable[tuple[tuple[datetime, tuple[str, ...]], Decimal]]:
    """The rows by raw events alone."""
    places: dict[tuple[datetime, tuple[str, ...]], list[UsageEvent]] = defaultdict(list)
    for event in events:
        for window in windows:
            if window.start <= event.occurred_at < window.end:
                group = tuple(str(event.data[name]) for name in group_by)
                places[window.start, group].append(event)
    for place, mine in places.items():
        value = brute(meter, mine)
        if value is not None:
            yield place, value
    counts = meter.aggregation in ("count", "unique_count")
    measured = [e for mine in places.values() for e in mine if brute(meter, [e]) is not None]
    if counts and len(windows) == 1 and not group_by and not measured:
        yield (windows[0].start, ()), Decimal(0)


def brute(meter: Meter, events: Sequence[UsageEvent]) -> Decimal | None:
    """The aggregation as anybody would write it down."""
    if meter.aggregation == "count":
        return Decimal(len(events)) if events else None
    held = [e for e in events if e.data["v"] is not None]
    if not held:
        return None
    numbers = [Decimal(str(e.data["v"])) for e in held]
    latest = max(held, key=lambda e: (e.occurred_at, e.source, e.id))
    nine = Decimal("0.000000001")
    return {
        "sum": lambda: sum(numbers, Decimal(0)),
        "min": lambda: min(numbers),
        "max": lambda: max(numbers),
        "latest": lambda: Decimal(str(latest.data["v"])),
        "average": lambda: (sum(numbers, Decimal(0)) / len(numbers)).quantize(nine, ROUND_HALF_UP),
        "unique_count": lambda: Decimal(len({f"{n.normalize():f}" for n in numbers})),
    }[meter.aggregation]()
