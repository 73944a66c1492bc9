"""Usage by windows: which windows there are, and what is summed into each."""

from collections import defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalogue import Meter
from shared.domain.usage_hours import HourKey, Quarter, UsageHour
from shared.domain.usage_windows import (
    QUARTER,
    UsageRow,
    Window,
    on_quarter,
    usage_rows,
    usage_windows,
)

SUM = Meter("tokens", "ai.completion", "sum", "tokens", ("model", "region"))
COUNT = Meter("calls", "ai.completion", "count", None, ("model",))
ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe")


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lengths(start: str, end: str, window: Window, timezone: str) -> list[float]:
    """The windows' lengths in hours."""
    windows = usage_windows(utc(start), utc(end), window, timezone, 100)
    return [(w.end - w.start) / timedelta(hours=1) for w in windows]


def hour_of(at: datetime, value: str, count: int = 1, **dimensions: str) -> UsageHour:
    """An hour whose only usage is in the quarter that starts at the instant."""
    quarters = [Quarter()] * 4
    quarters[at.minute // 15] = Quarter(count, Decimal(value), 0)
    hour = at.replace(minute=0)
    key = HourKey("ada", "tokens", hour, tuple(sorted(dimensions.items())))
    return UsageHour(key, (quarters[0], quarters[1], quarters[2], quarters[3]))


def test_days_of_a_change_to_or_from_summer_time_have_23_or_25_hours() -> None:
    berlin = "Europe/Berlin"
    assert lengths("2026-03-27T23:00", "2026-03-30T22:00", "day", berlin) == [24, 23, 24]
    assert lengths("2026-10-23T22:00", "2026-10-26T23:00", "day", berlin) == [24, 25, 24]


def test_weeks_start_on_monday_and_months_on_the_first() -> None:
    weeks = usage_windows(utc("2026-03-04T00:00"), utc("2026-03-17T00:00"), "week", "UTC", 9)
    assert [w.start.day for w in weeks] == [4, 9, 16]
    months = usage_windows(utc("2026-01-31T00:00"), utc("2026-03-02T00:00"), "month", "UTC", 9)
    assert [(w.start.month, w.start.day) for w in months] == [(1, 31), (2, 1), (3, 1)]


def test_hours_are_full_hours_of_the_zone_also_where_clocks_move_by_half_an_hour() -> None:
    assert lengths("2026-03-10T00:00", "2026-03-10T02:00", "hour", "Asia/Kathmandu") == [
        0.25,
        1,
        0.75,
    ]
    # At 15:00 UTC Lord Howe's clocks go back from 02:00 to 01:30.
    back = lengths("2026-04-04T13:00", "2026-04-04T16:30", "hour", "Australia/Lord_Howe")
    assert back == [1, 1.5, 1]


def test_a_question_that_is_too_wide_stops_one_past_the_limit() -> None:
    assert len(usage_windows(utc("2026-01-01"), utc("2027-01-01"), "hour", "UTC", 10)) == 11


def test_only_quarter_hours_bound_a_question() -> None:
    assert on_quarter(utc("2026-01-01T10:45"))
    assert not on_quarter(utc("2026-01-01T10:46"))
    assert not on_quarter(utc("2026-01-01T10:45:00.000001"))


def test_a_boundary_belongs_to_the_window_that_it_starts() -> None:
    start, middle, end = utc("2026-03-10"), utc("2026-03-11"), utc("2026-03-12")
    windows = usage_windows(start, end, "day", "UTC", 9)
    hours = [hour_of(middle - QUARTER, "1"), hour_of(middle, "2"), hour_of(end, "4")]
    assert usage_rows(SUM, hours, windows) == [
        UsageRow(start, middle, (), Decimal(1)),
        UsageRow(middle, end, (), Decimal(2)),
    ]


def test_groups_are_those_asked_for_and_a_missing_value_is_its_own() -> None:
    at = utc("2026-03-10")
    hours = [
        hour_of(at, "1", model="a", region="eu"),
        hour_of(at, "2", model="a", region="us"),
        hour_of(at, "4", model="", region="us"),
        hour_of(at, "8", region="us"),
    ]
    windows = usage_windows(at, at + timedelta(days=1), "total", "UTC", 9)
    rows = usage_rows(SUM, hours, windows, ("model",))
    assert [(row.group, row.value) for row in rows] == [
        ((("model", ""),), Decimal(12)),
        ((("model", "a"),), Decimal(3)),
    ]


def test_a_count_counts_events_and_an_empty_total_is_zero() -> None:
    at = utc("2026-03-10")
    windows = usage_windows(at, at + timedelta(days=1), "total", "UTC", 9)
    [row] = usage_rows(COUNT, [hour_of(at, "3", count=3)], windows)
    assert row.value == 3
    assert [row.value for row in usage_rows(COUNT, [], windows)] == [0]
    assert usage_rows(COUNT, [], windows, ("model",)) == []
    assert usage_rows(SUM, [], windows) == []


def test_usage_that_sums_to_nothing_has_a_row() -> None:
    at = utc("2026-03-10")
    windows = usage_windows(at, at + timedelta(days=1), "day", "UTC", 9)
    assert [row.value for row in usage_rows(SUM, [hour_of(at, "0")], windows)] == [0]


QUARTERS = st.integers(0, 4 * 24 * 12)
EVENTS = st.lists(
    st.tuples(QUARTERS, st.decimals(-5, 5, places=3), st.sampled_from(["", "a", "b"])), max_size=40
)


@pytest.mark.parametrize("timezone", ZONES)
@given(events=EVENTS, bounds=st.tuples(QUARTERS, QUARTERS), window=st.sampled_from(["hour", "day"]))
def test_rows_are_a_recount_of_events_by_their_local_time(
    timezone: str,
    events: list[tuple[int, Decimal, str]],
    bounds: tuple[int, int],
    window: Window,
) -> None:
    # Twelve days around the European and Australian changes of clocks in spring 2026.
    origin = utc("2026-03-26")
    start, end = origin + min(bounds) * QUARTER, origin + max(bounds) * QUARTER
    hours = [hour_of(origin + n * QUARTER, str(value), model=model) for n, value, model in events]
    windows = usage_windows(start, end, window, timezone, 10_000)
    zone = ZoneInfo(timezone)
    recount: dict[tuple[datetime, str], Decimal] = defaultdict(Decimal)
    for n, value, model in events:
        at = origin + n * QUARTER
        if start <= at < end:
            recount[_first_of(at, start, window, zone), model] += value
    rows = usage_rows(SUM, hours, windows, ("model",))
    assert {(row.start, row.group[0][1]): row.value for row in rows} == recount


def _first_of(at: datetime, start: datetime, window: Window, zone: ZoneInfo) -> datetime:
    """Walks back, quarter by quarter, to where the local day or full hour began."""
    while at > start:
        local, before = at.astimezone(zone), (at - QUARTER).astimezone(zone)
        if local.date() != before.date() or (window == "hour" and local.minute == 0):
            break
        at -= QUARTER
    return at


def test_an_average_is_rounded_half_away_from_zero_at_nine_decimals() -> None:
    at = utc("2026-03-10")
    windows = usage_windows(at, at + timedelta(days=1), "total", "UTC", 9)
    mean = replace(SUM, aggregation="average")
    for total, count, shown in (
        ("2", 3, "0.666666667"),
        ("0.000000001", 2, "0.000000001"),
        ("-0.000000001", 2, "-0.000000001"),
        ("10", 4, "2.5"),
    ):
        [row] = usage_rows(mean, [hour_of(at, total, count=count)], windows)
        assert row.value == Decimal(shown)
    assert usage_rows(mean, [], windows) == []


def test_a_group_over_the_cap_is_told_apart_from_a_value_of_its_name() -> None:
    at = utc("2026-03-10")
    over = UsageHour(HourKey("ada", "tokens", at, (), other=True))
    over = replace(over, quarters=(Quarter(1, Decimal(5), 0), *over.quarters[1:]))
    hours = [over, hour_of(at, "2", model="other")]
    windows = usage_windows(at, at + timedelta(days=1), "total", "UTC", 9)
    rows = usage_rows(SUM, hours, windows, ("model",))
    assert [(row.group, row.value, row.other) for row in rows] == [
        ((("model", "other"),), Decimal(2), False),
        ((("model", "other"),), Decimal(5), True),
    ]
    [total] = usage_rows(SUM, hours, windows)
    assert (total.value, total.other) == (Decimal(7), False)
