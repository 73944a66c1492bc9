"""Quarters of an hour, the finest time that usage is kept by: boundaries in UTC."""

from datetime import datetime, timedelta

QUARTER_MINUTES = 15
QUARTER = timedelta(minutes=QUARTER_MINUTES)


def floor_quarter(at: datetime) -> datetime:
    """The start of the quarter hour (UTC) that the instant is in."""
    return at.replace(minute=at.minute - at.minute % QUARTER_MINUTES, second=0, microsecond=0)


def next_quarter(at: datetime) -> datetime:
    """The end of the quarter hour (UTC) that the instant is in."""
    return floor_quarter(at) + QUARTER
