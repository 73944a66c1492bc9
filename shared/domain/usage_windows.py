"""Usage by windows of local time: usage hours summed into rows, per window and group.

Windows are half-open and cut off at the bounds asked for. Both bounds stand on quarter hours, as
that is how finely usage hours are kept.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal
from zoneinfo import ZoneInfo

from shared.domain.catalogue import Interval, Meter
from shared.domain.money import EXACT
from shared.domain.periods import Period, period_containing
from shared.domain.usage_hours import QUARTER_MINUTES, UsageHour

Window = Literal["hour", "day", "week", "month", "total"]
Group = tuple[tuple[str, str], ...]  # (dimension, value) in the order asked for

QUARTER = timedelta(minutes=QUARTER_MINUTES)
HOUR_MINUTES = 60


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one group in one window, [start, end)."""

    start: datetime
    end: datetime
    group: Group
    value: Decimal


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


def usage_rows(
    meter: Meter,
    hours: Iterable[UsageHour],
    windows: Sequence[Period],
    group_by: Sequence[str] = (),
) -> list[UsageRow]:
    """One row for each window and group with any event, by time, then by group.

    The windows must be contiguous. One window of a count, not grouped, has a row even if empty.
    """
    starts = [window.start for window in windows]
    sums: dict[tuple[int, Group], Decimal] = {}
    for hour in hours:
        values = dict(hour.key.dimensions)
        group = tuple((name, values.get(name, "")) for name in group_by)
        for number, quarter in enumerate(hour.quarters):
            at = hour.key.hour + number * QUARTER
            if quarter.count and windows and starts[0] <= at < windows[-1].end:
                place = bisect_right(starts, at) - 1, group
                added = Decimal(quarter.count) if meter.aggregation == "count" else quarter.value
                sums[place] = EXACT.add(sums.get(place, Decimal(0)), added)
    if not sums and meter.aggregation == "count" and not group_by and len(windows) == 1:
        sums[0, ()] = Decimal(0)
    return [
        UsageRow(windows[index].start, windows[index].end, group, value)
        for (index, group), value in sorted(sums.items())
    ]
