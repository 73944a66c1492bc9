"""Days of 24 hours, which begin at midnight UTC."""

from collections.abc import Iterator
from datetime import datetime, timedelta

DAY = timedelta(days=1)


def floor_day(at: datetime) -> datetime:
    """The midnight (UTC) at or before the instant."""
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


def days_touched(start: datetime, end: datetime) -> Iterator[datetime]:
    """The midnights that the days begin with which [start, end) touches."""
    day = floor_day(start)
    while day < end:
        yield day
        day += DAY
