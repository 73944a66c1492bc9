"""Billing periods: worked examples on calendars' edges, and that they tile time everywhere."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.catalogue import Interval, PeriodMode
from shared.domain.periods import Period, parse_days, period_containing, prorate

ZONES = (
    "UTC",
    "America/New_York",
    "America/Sao_Paulo",  # clocks went back and forward at midnight
    "America/St_Johns",  # clocks went back at 00:01, so that a day began twice
    "Asia/Kathmandu",  # +05:45
    "Australia/Lord_Howe",  # half an hour of daylight saving
    "Pacific/Apia",  # skipped 30 December 2011
    "Pacific/Kwajalein",  # skipped 21 August 1993
    "Asia/Beirut",
    "Africa/Cairo",
)
MICROSECOND = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(text: str, zone: str, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(UTC)


def starts(
    interval: Interval, mode: PeriodMode, anchor: datetime, zone: str, count: int
) -> list[datetime]:
    """The starts of `count` periods from the anchor's on."""
    period = period_containing(interval, mode, anchor, zone, anchor)
    found = [period.start]
    while len(found) < count:
        period = period_containing(interval, mode, anchor, zone, period.end)
        found.append(period.start)
    return found


def test_a_short_month_does_not_stick() -> None:
    found = starts("month", "anniversary", utc("2023-12-31T15:00"), "UTC", 4)
    days = ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31"]
    assert found == [utc(f"{day}T15:00") for day in days]


def test_a_leap_day_falls_to_28_february() -> None:
    found = starts("year", "anniversary", utc("2024-02-29T00:00"), "UTC", 5)
    days = ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]
    assert found == [utc(f"{day}T00:00") for day in days]


def test_a_calendar_month_is_local() -> None:
    zone = "America/New_York"
    period = period_containing("month", "calendar", utc("2020-01-01"), zone, utc("2026-03-15"))
    assert period == (local("2026-03-01", zone), local("2026-04-01", zone))
    assert period == (utc("2026-03-01T05:00"), utc("2026-04-01T04:00"))


def test_a_calendar_week_starts_on_monday() -> None:
    sunday = utc("2026-11-22T23:59")
    period = period_containing("week", "calendar", utc("2020-01-01"), "UTC", sunday)
    assert period == (utc("2026-11-16"), utc("2026-11-23"))


def test_an_instant_on_a_boundary_belongs_to_the_new_period() -> None:
    anchor = utc("2026-01-01")
    boundary = utc("2027-01-01")
    assert period_containing("year", "calendar", anchor, "UTC", boundary).start == boundary


def test_an_anniversary_keeps_its_wall_time_over_daylight_saving() -> None:
    zone = "America/New_York"
    found = starts("month", "anniversary", local("2026-02-10T09:30", zone), zone, 3)
    assert found == [local(f"2026-{month}-10T09:30", zone) for month in ("02", "03", "04")]
    assert found[2] - found[1] == timedelta(days=31)
    assert found[1] - found[0] == timedelta(days=28, hours=-1)


def test_a_wall_time_in_a_gap_moves_to_the_instant_of_the_jump() -> None:
    zone = "America/New_York"
    found = starts("day", "anniversary", local("2026-03-07T02:30", zone), zone, 3)
    assert found[1] == utc("2026-03-08T07:00")
    assert found[2] == local("2026-03-09T02:30", zone)


@pytest.mark.parametrize("fold", [0, 1])
def test_an_anchor_in_a_repeated_hour_starts_its_own_period(fold: int) -> None:
    zone = "America/New_York"
    anchor = local("2026-11-01T01:30", zone, fold)
    assert starts("month", "anniversary", anchor, zone, 2) == [
        anchor,
        local("2026-12-01T01:30", zone),
    ]


def test_a_day_without_midnight_starts_at_the_jump() -> None:
    zone = "America/Sao_Paulo"
    anchor = local("2018-11-03T12:00", zone)
    found = starts("day", "calendar", anchor, zone, 3)
    assert found == [utc("2018-11-03T03:00"), utc("2018-11-04T03:00"), utc("2018-11-05T02:00")]


def test_a_midnight_inside_a_gap_is_the_instant_of_the_jump() -> None:
    zone = "America/Toronto"  # 1919: 23:30 was followed by 00:30
    period = period_containing("day", "calendar", utc("1919-01-01"), zone, utc("1919-03-31T12:00"))
    assert period.start == utc("1919-03-31T04:30")


def test_a_skipped_day_has_no_period() -> None:
    zone = "Pacific/Apia"
    found = starts("day", "calendar", local("2011-12-29T12:00", zone), zone, 3)
    assert found == [local(f"2011-12-{day}", zone) for day in ("29", "31")] + [
        local("2012-01-01", zone)
    ]
    assert found[1] - found[0] == timedelta(days=1)


@given(
    st.sampled_from(get_args(Interval)),
    st.sampled_from(get_args(PeriodMode)),
    st.sampled_from(ZONES),
    st.integers(0, 34 * 366 * 86_400).map(lambda s: utc("1993-01-01") + timedelta(seconds=s)),
    st.timedeltas(timedelta(days=-7305), timedelta(days=7305)),
)
def test_the_period_containing_an_instant_contains_it_and_meets_its_neighbours(
    interval: Interval, mode: PeriodMode, zone: str, anchor: datetime, distance: timedelta
) -> None:
    instant = anchor + distance

    def containing(at: datetime) -> Period:
        return period_containing(interval, mode, anchor, zone, at)

    period = containing(instant)
    assert period.start <= instant < period.end
    assert containing(period.start) == period == containing(period.end - MICROSECOND)
    assert containing(period.start - MICROSECOND).end == period.start
    assert containing(period.end).start == period.end


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("mode", get_args(PeriodMode))
@pytest.mark.parametrize(("interval", "most_days"), [("week", 9), ("month", 32), ("year", 367)])
def test_periods_tile_twenty_years(
    interval: Interval, most_days: int, mode: PeriodMode, zone: str
) -> None:
    anchor = utc("2004-12-31T10:15:30")
    period = period_containing(interval, mode, anchor, zone, anchor)
    tiles = [period]
    while tiles[-1].end < utc("2025-01-01"):
        tiles.append(period_containing(interval, mode, anchor, zone, tiles[-1].end))
    assert all(a.end == b.start for a, b in pairwise(tiles))
    assert all(timedelta(0) < t.end - t.start <= timedelta(days=most_days) for t in tiles)
    if mode == "anniversary":
        assert tiles[0].start == anchor


@pytest.mark.parametrize("zone", ZONES)
def test_calendar_days_are_the_days_that_clocks_show(zone: str) -> None:
    anchor = utc("2005-01-01")
    period = period_containing("day", "calendar", anchor, zone, anchor)
    while period.end < utc("2012-06-01"):
        shown = period.start.astimezone(ZoneInfo(zone))
        earlier = (period.start - MICROSECOND).astimezone(ZoneInfo(zone))
        assert earlier.date() < shown.date()
        period = period_containing("day", "calendar", anchor, zone, period.end)


def test_prorate() -> None:
    assert prorate(10, 1, 3) == 3
    assert prorate(10, 1, 4) == 3  # 2.5, half away from zero
    assert prorate(-10, 1, 4) == -3
    assert prorate(10, 0, 0) == 0


@given(st.integers(0, 10**18), st.integers(0, 10**9), st.integers(1, 10**9))
def test_prorated_parts_add_up_within_a_nano(amount: int, part: int, rest: int) -> None:
    whole = part + rest
    assert prorate(amount, whole, whole) == amount
    assert abs(prorate(amount, part, whole) + prorate(amount, rest, whole) - amount) <= 1


def test_parse_days() -> None:
    assert parse_days("P90D") == 90
    for wrong in ("P0D", "P-1D", "P1M", "90", "p90d", "P99999D", "P90D\n", "P٩D"):
        with pytest.raises(ValueError, match="duration"):
            parse_days(wrong)
