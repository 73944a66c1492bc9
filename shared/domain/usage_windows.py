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
from shared.domain.distinct import DistinctValue
from shared.domain.money import divide, from_nanos, to_nanos
from shared.domain.periods import Period, period_containing
from shared.domain.usage_hours import OTHER, QUARTER_MINUTES, Quarter, UsageHour

Window = Literal["hour", "day", "week", "month", "total"]
Group = tuple[tuple[str, str], ...]  # (dimension, value) in the order asked for
Place = tuple[int, Group, bool]  # window, group, and whether it is the one over the cap

QUARTER = timedelta(minutes=QUARTER_MINUTES)
HOUR_MINUTES = 60
EMPTY = Quarter()


@dataclass(frozen=True, slots=True)
class UsageRow:
    """The usage of one group in one window, [start, end).

    `other`: the usage that was over the cap of dimension values, all of it together.
    """

    start: datetime
    end: datetime
    group: Group
    value: Decimal
    other: bool = False


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
    values: Iterable[DistinctValue] = (),
) -> list[UsageRow]:
    """One row for each window and group with any event, by time, then by group.

    The windows must be contiguous. `unique_count` is told from `values`, everything else from
    `hours`. One window of either count, not grouped, has a row even if it is empty.
    """
    if meter.aggregation == "unique_count":
        found = _distinct_counts(values, windows, group_by)
    else:
        merged = _merged(hours, windows, group_by)
        found = {place: aggregate(meter, quarter) for place, quarter in merged.items()}
    counts = meter.aggregation in ("count", "unique_count")
    if not found and counts and not group_by and len(windows) == 1:
        found[0, (), False] = Decimal(0)
    return [
        UsageRow(windows[index].start, windows[index].end, group, value, other)
        for (index, group, other), value in sorted(found.items())
    ]


def aggregate(meter: Meter, quarter: Quarter) -> Decimal:
    """What the meter's aggregation makes of usage that is not empty.

    An average is rounded to 9 decimals, half away from zero. Not for `unique_count`.
    """
    if meter.aggregation == "count":
        return Decimal(quarter.count)
    if meter.aggregation == "average":
        return from_nanos(divide(to_nanos(quarter.value), quarter.count))
    return quarter.mark.quantity if quarter.mark is not None else quarter.value


def _merged(
    hours: Iterable[UsageHour], windows: Sequence[Period], group_by: Sequence[str]
) -> dict[Place, Quarter]:
    merged: dict[Place, Quarter] = {}
    for hour in hours:
        group = _group(hour.key.dimensions, group_by, other=hour.key.other)
        for number, quarter in enumerate(hour.quarters):
            window = _window(hour.key.hour + number * QUARTER, windows)
            if quarter.count and window is not None:
                place = window, *group
                merged[place] = quarter.merged(merged.get(place, EMPTY))
    return merged


def _distinct_counts(
    values: Iterable[DistinctValue], windows: Sequence[Period], group_by: Sequence[str]
) -> dict[Place, Decimal]:
    """How many values each window and group has: a value counts once, whoever's it is."""
    found: dict[Place, set[str]] = {}
    for value in values:
        group = _group(value.key.dimensions, group_by, other=value.key.other)
        for at in value.instants():
            window = _window(at, windows)
            if window is not None:
                found.setdefault((window, *group), set()).add(value.key.value)
    return {place: Decimal(len(distinct)) for place, distinct in found.items()}


def _window(at: datetime, windows: Sequence[Period]) -> int | None:
    """Which window the instant is in, if any."""
    if not windows or not windows[0].start <= at < windows[-1].end:
        return None
    return bisect_right(windows, at, key=lambda window: window.start) - 1


def _group(
    dimensions: Iterable[tuple[str, str]], group_by: Sequence[str], *, other: bool
) -> tuple[Group, bool]:
    """The group's values; what was over the cap is a group of its own, where groups are asked for.

    Its name may be a value as well, so that the flag tells them apart.
    """
    if other:
        return tuple((name, OTHER) for name in group_by), bool(group_by)
    values = dict(dimensions)
    return tuple((name, values.get(name, "")) for name in group_by), False
