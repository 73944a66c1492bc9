"""Which windows there are between two instants, by the clocks of a zone."""

from datetime import UTC, datetime, timedelta

from shared.domain.usage_windows import (
    Window,
    on_quarter,
    usage_windows,
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def lengths(start: str, end: str, window: Window, timezone: str) -> list[float]:
    """The windows' lengths in hours."""
    windows = usage_windows(utc(start), utc(end), window, timezone, 100)
    return [(w.end - w.start) / timedelta(hours=1) for w in windows]


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
