"""Answers about usage, against a recount of the raw events that made what was kept."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.domain.catalogue import Aggregation, Meter
from shared.domain.distinct import sighting
from shared.domain.events import UsageEvent, measure
from shared.domain.quarters import QUARTER
from shared.domain.usage_answers import Group, Kept, Rows, Shape, aggregate, usage_answer
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, hour_key
from shared.domain.usage_windows import Window, usage_windows

# Twelve days around the European and Australian changes of clocks in spring 2026.
ORIGIN = datetime(2026, 3, 26, tzinfo=UTC)
QUARTERS = 4 * 24 * 12
LIMIT = 10_000
AGGREGATIONS: tuple[Aggregation, ...] = (
    "count",
    "sum",
    "min",
    "max",
    "latest",
    "average",
    "unique_count",
)
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe")


def meter_of(aggregation: Aggregation, dimensions: tuple[str, ...] = ("model", "region")) -> Meter:
    value = None if aggregation == "count" else "n"
    return Meter("m", "t", aggregation, value, dimensions)


def kept_of(meter: Meter, events: Iterable[UsageEvent], over_cap: int = 99) -> list[Kept]:
    """What metering keeps of the events; values of `n` above the cap go to the other group."""
    hours: dict[HourKey, list[Quarter]] = {}
    values: list[Kept] = []
    for event in events:
        found = measure(event, meter)
        assert found is not None
        key = hour_key(event.customer, found, event.occurred_at)
        if int(str(event.data["n"]).partition(".")[0]) > over_cap:
            key = HourKey(key.customer, key.meter, key.hour, (), other=True)
        if found.distinct is not None:
            values.append(sighting(key, event.occurred_at, found.distinct))
        quarters = hours.setdefault(key, [Quarter()] * 4)
        index = event.occurred_at.minute // 15
        quarters[index] = quarters[index].plus(found)
    if meter.aggregation == "unique_count":
        return values
    return [UsageHour(key, (q[0], q[1], q[2], q[3])) for key, q in hours.items()]


def event(
    number: int, at: datetime, value: int | Decimal = 1, customer: str = "ada", **data: str
) -> UsageEvent:
    return UsageEvent(
        customer=customer,
        source="tests",
        id=f"{number:04}",
        type="t",
        occurred_at=at,
        received_at=at,
        catalogue_version=1,
        data={**data, "n": Decimal(value)},
        extensions={},
    )


def recounted(aggregation: Aggregation, events: list[UsageEvent]) -> Decimal:
    """The aggregation of some events, at least one, told from the events themselves."""
    numbers = [Fraction(str(each.data["n"])) for each in events]
    match aggregation:
        case "count":
            return Decimal(len(events))
        case "sum":
            total = sum(numbers, Fraction())
        case "min":
            total = min(numbers)
        case "max":
            total = max(numbers)
        case "latest":
            last = max(events, key=lambda each: (each.occurred_at, each.source, each.id))
            total = Fraction(str(last.data["n"]))
        case "unique_count":
            return Decimal(len(set(numbers)))
        case "average":
            total = sum(numbers, Fraction()) / len(numbers)
    exact = Decimal(total.numerator) / Decimal(total.denominator)
    return exact.quantize(Decimal("1e-9"), ROUND_HALF_UP)


@dataclass(frozen=True)
class Asked:
    """A question in a test's own words."""

    aggregation: Aggregation
    zone: str
    window: Window
    bounds: tuple[int, int]
    group_by: tuple[str, ...]
    where: dict[str, tuple[str, ...]]
    top: int | None
    fill: bool

    @property
    def start(self) -> datetime:
        return ORIGIN + min(self.bounds) * QUARTER

    @property
    def end(self) -> datetime:
        return ORIGIN + (max(self.bounds) + 1) * QUARTER

    def taken(self, events: Iterable[UsageEvent]) -> list[UsageEvent]:
        return [
            each
            for each in events
            if self.start <= each.occurred_at < self.end
            and all(each.data.get(name, "") in values for name, values in self.where.items())
        ]

    def group(self, found: UsageEvent) -> tuple[str, ...]:
        return tuple(
            found.customer if name == "customer" else str(found.data.get(name, ""))
            for name in self.group_by
        )

    def window_start(self, at: datetime) -> datetime:
        """Walks back, quarter by quarter, to where the local window began."""
        zone = ZoneInfo(self.zone)
        at -= timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)
        while at > self.start and not self._begins(
            at.astimezone(zone), (at - QUARTER).astimezone(zone)
        ):
            at -= QUARTER
        return at

    def _begins(self, local: datetime, before: datetime) -> bool:
        match self.window:
            case "total":
                return False
            case "hour":
                return local.minute == 0
            case "day":
                return local.date() != before.date()
            case "week":
                return local.isocalendar()[:2] != before.isocalendar()[:2]
            case "month":
                return local.month != before.month

    def answer(self, events: list[UsageEvent], *, rest: bool = True) -> Rows:
        meter = meter_of(self.aggregation)
        windows = usage_windows(self.start, self.end, self.window, self.zone, LIMIT)
        shape = Shape(windows, self.group_by, self.where, self.top, rest, self.fill)
        return usage_answer(meter, kept_of(meter, events), shape, LIMIT)


EVENTS = st.lists(
    st.builds(
        lambda quarter, offset, value, customer, data: (quarter, offset, value, customer, data),
        st.integers(0, QUARTERS - 1),
        st.integers(0, 899),
        st.decimals(-5, 5, places=2),
        st.sampled_from(["ada", "bob"]),
        st.dictionaries(st.sampled_from(["model", "region"]), st.sampled_from(["a", "b", ""])),
    ),
    max_size=30,
).map(
    lambda drawn: [
        event(
            number, ORIGIN + quarter * QUARTER + timedelta(seconds=offset), value, customer, **data
        )
        for number, (quarter, offset, value, customer, data) in enumerate(drawn)
    ]
)
QUESTIONS = st.builds(
    Asked,
    st.sampled_from(AGGREGATIONS),
    st.sampled_from(ZONES),
    st.sampled_from(["hour", "day", "week", "month", "total"]),
    st.tuples(st.integers(0, QUARTERS - 1), st.integers(0, QUARTERS - 1)),
    st.lists(st.sampled_from(["model", "region", "customer"]), unique=True).map(tuple),
    st.dictionaries(
        st.sampled_from(["model", "region"]),
        st.lists(st.sampled_from(["a", "b", ""]), min_size=1, unique=True).map(tuple),
    ),
    st.none() | st.integers(1, 3),
    st.booleans(),
)


@settings(max_examples=300)
@given(events=EVENTS, asked=QUESTIONS)
def test_every_answer_is_a_recount_of_the_raw_events(
    events: list[UsageEvent], asked: Asked
) -> None:
    taken = asked.taken(events)
    by_group: dict[tuple[str, ...], list[UsageEvent]] = {}
    for each in taken:
        by_group.setdefault(asked.group(each), []).append(each)
    ranked = sorted(by_group)
    if asked.top is not None:
        ranked.sort(key=lambda group: -recounted(asked.aggregation, by_group[group]))
    kept = ranked[: asked.top]
    answer = asked.answer(events)
    expected: dict[tuple[datetime, tuple[str, ...]], Decimal] = {}
    for group in kept:
        expected |= {
            (start, group): value for start, value in _by_window(asked, by_group[group]).items()
        }
    found = {(row.start, row.group.values): row.value for row in answer.rows}
    for place, value in expected.items():
        assert found.pop(place) == value
    assert set(found.values()) <= {Decimal(0), None}
    assert asked.fill or len(found) <= 1
    left = [each for group in ranked[len(kept) :] for each in by_group[group]]
    rest = {row.start: row.value for row in answer.rest}
    for start, value in _by_window(asked, left).items():
        assert rest.pop(start) == value
    assert set(rest.values()) <= {Decimal(0), None}
    assert asked.fill or not rest


def _by_window(asked: Asked, events: list[UsageEvent]) -> dict[datetime, Decimal]:
    windows: dict[datetime, list[UsageEvent]] = {}
    for each in events:
        windows.setdefault(asked.window_start(each.occurred_at), []).append(each)
    return {start: recounted(asked.aggregation, found) for start, found in windows.items()}


def days(*events: UsageEvent, aggregation: Aggregation = "sum", **shape: Any) -> Rows:
    """The first three days by day."""
    meter = meter_of(aggregation)
    windows = usage_windows(ORIGIN, ORIGIN + timedelta(days=3), "day", "UTC", LIMIT)
    return usage_answer(meter, kept_of(meter, events), Shape(windows, **shape), LIMIT)


def values(rows: Rows) -> list[tuple[int, tuple[str, ...], Decimal | None]]:
    return [(row.start.day, row.group.values, row.value) for row in rows.rows]


def test_the_top_is_taken_over_the_whole_time_and_ties_fall_to_the_first_name() -> None:
    day = timedelta(days=1)
    found = days(
        event(1, ORIGIN, 3, model="c"),
        event(2, ORIGIN, 2, model="b"),
        event(3, ORIGIN + day, 2, model="b"),
        event(4, ORIGIN + day, 3, model="a"),
        group_by=("model",),
        top=2,
        rest=True,
    )
    assert values(found) == [(26, ("b",), 2), (27, ("b",), 2), (27, ("a",), 3)]
    assert [(row.start.day, row.value) for row in found.rest] == [(26, 3)]


@pytest.mark.parametrize(
    ("aggregation", "rest"), [("unique_count", 2), ("max", 8), ("average", 7), ("min", 6)]
)
def test_the_rest_is_counted_itself(aggregation: Aggregation, rest: int) -> None:
    found = days(
        event(1, ORIGIN, 9, model="top"),
        event(2, ORIGIN, 10, model="top"),
        event(7, ORIGIN, 11, model="top"),
        event(3, ORIGIN, 6, model="b"),
        event(4, ORIGIN, 8, model="b"),
        event(5, ORIGIN, 6, model="c"),
        event(6, ORIGIN, 8, model="c"),
        aggregation=aggregation,
        group_by=("model",),
        top=1,
        rest=True,
    )
    assert [row.value for row in found.rest] == [rest]


def test_ranks_go_by_the_whole_time_not_by_its_windows() -> None:
    day = timedelta(days=1)
    found = days(
        event(1, ORIGIN, 5, model="a"),
        event(2, ORIGIN + day, 5, model="a"),
        event(3, ORIGIN, 6, model="b"),
        aggregation="average",
        group_by=("model",),
        top=1,
    )
    assert values(found) == [(26, ("b",), 6)]


@pytest.mark.parametrize(
    ("aggregation", "empty"), [("count", [0]), ("unique_count", [0]), ("sum", [])]
)
def test_one_total_of_a_count_has_a_row_without_usage(
    aggregation: Aggregation, empty: list[int]
) -> None:
    windows = usage_windows(ORIGIN, ORIGIN + QUARTER, "total", "UTC", LIMIT)
    answer = usage_answer(meter_of(aggregation), [], Shape(windows), LIMIT)
    assert [row.value for row in answer.rows] == empty


@pytest.mark.parametrize("aggregation", AGGREGATIONS)
def test_empty_windows_are_filled_with_what_no_usage_comes_to(aggregation: Aggregation) -> None:
    empty = Decimal(0) if aggregation in ("count", "sum", "unique_count") else None
    grouped = days(
        event(1, ORIGIN + timedelta(days=1), 1, model="a"),
        aggregation=aggregation,
        group_by=("model",),
        fill=True,
    )
    assert values(grouped) == [(26, ("a",), empty), (27, ("a",), 1), (28, ("a",), empty)]
    nothing = days(aggregation=aggregation, fill=True)
    assert values(nothing) == [(day, (), empty) for day in (26, 27, 28)]
    assert days(aggregation=aggregation, group_by=("model",), fill=True).rows == ()


def test_what_was_over_the_cap_is_a_group_of_its_own_and_no_filter_can_judge_it() -> None:
    events = [event(1, ORIGIN, 1, model="other"), event(2, ORIGIN, 100, model="a")]
    rows = days(*events, group_by=("customer", "model")).rows
    assert [(row.group, row.value) for row in rows] == [
        (Group(("ada", "other")), 1),
        (Group(("ada", "other"), other=True), 100),
    ]
    assert values(days(*events, group_by=("customer",))) == [(26, ("ada",), 101)]
    filtered = days(*events, where={"model": ("a", "other")})
    assert (values(filtered), filtered.other_left_out) == ([(26, (), 1)], True)
    assert not days(*events).other_left_out


def test_a_dimension_that_is_called_customer_goes_first() -> None:
    meter = Meter("m", "t", "sum", "n", ("customer",))
    kept = kept_of(meter, [event(1, ORIGIN, 1, "ada", customer_="x")])
    windows = usage_windows(ORIGIN, ORIGIN + QUARTER, "total", "UTC", LIMIT)
    [row] = usage_answer(meter, kept, Shape(windows, ("customer",)), LIMIT).rows
    assert row.group.values == ("",)


def test_an_answer_that_is_too_long_stops_one_past_the_limit() -> None:
    meter = meter_of("count")
    windows = usage_windows(ORIGIN, ORIGIN + timedelta(days=3), "hour", "UTC", LIMIT)
    assert len(usage_answer(meter, [], Shape(windows, fill=True), 9).rows) == 10


def test_a_value_counts_once_whoever_used_it_whenever() -> None:
    found = days(
        event(1, ORIGIN, 5, "ada"),
        event(2, ORIGIN, 5, "bob"),
        event(3, ORIGIN + timedelta(hours=23), 5, "ada"),
        event(4, ORIGIN + timedelta(days=1), 5, "ada"),
        aggregation="unique_count",
    )
    assert values(found) == [(26, (), 1), (27, (), 1)]


@pytest.mark.parametrize(
    ("total", "count", "mean"),
    [
        ("2", 3, "0.666666667"),
        ("0.000000001", 2, "0.000000001"),
        ("-0.000000001", 2, "-0.000000001"),
        ("10", 4, "2.5"),
    ],
)
def test_an_average_is_rounded_half_away_from_zero_at_nine_decimals(
    total: str, count: int, mean: str
) -> None:
    assert aggregate(meter_of("average"), Quarter(count, Decimal(total), 0)) == Decimal(mean)


def test_a_boundary_belongs_to_the_window_that_it_starts() -> None:
    day = timedelta(days=1)
    found = days(event(1, ORIGIN + day - QUARTER, 1), event(2, ORIGIN + day, 2))
    assert values(found) == [(26, (), 1), (27, (), 2)]
