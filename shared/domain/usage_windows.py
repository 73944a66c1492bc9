"""Windows of local time, which answers about usage are cut by.

Windows are half-open and cut off at the bounds asked for. Both bounds stand on quarter hours, as
that is how finely usage hours are kept.
"""

from datetime import datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from shared.domain.catalogue import Interval
from shared.domain.periods import Period, period_containing
from shared.domain.quarters import QUARTER_MINUTES

Window = Literal["hour", "day", "week", "month", "total"]

HOUR_MINUTES = 60


def on_quarter(instant: datetime) -> bool:
    """Whether the instant can bound a question about usage."""
    return instant.minute % QUARTER_MINUTES == 0 and not instant.second and not instant.microsecond


def usage_windows(
    start: datetime, end: datetime, window: Window, timezone: str, limit: int
) -> list[Period]:
    """The windows that tile [start, end), the first and last cut off there; `limit` + 1 at most.

    Hours, days, weeks (from Monday) and months are those of the zone's clocks: a day of a change
    to or from daylight saving time has 23 or 25 hours.
    """
    windows: list[Period] = []
    while start < end and len(windows) <= limit:
        bound = end if window == "total" else min(end, _next_bound(start, window, timezone))
        windows.append(Period(start, bound))
        start = bound
    return windows


def _next_bound(instant: datetime, window: Interval | Literal["hour"], timezone: str) -> datetime:
    """The first bound of such windows after the instant."""
    if window != "hour":
        return period_containing(window, "calendar", instant, timezone, instant).end
    zone = ZoneInfo(timezone)
    bound = instant
    # A zone that moves its clocks by half an hour needs a second step to the next full hour.
    while bound == instant or bound.astimezone(zone).minute:
        bound += timedelta(minutes=HOUR_MINUTES - bound.astimezone(zone).minute)
    return bound
