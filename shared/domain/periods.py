"""Billing periods: half-open spans [start, end) of UTC instants that tile time without a gap.

A period's bounds are wall times in the customer's zone. They are always counted from the anchor,
never from the period before, so a short month does not shift the ones after it.
"""

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from shared.domain.catalogue import Interval, PeriodMode
from shared.domain.money import divide

MICROSECOND = timedelta(microseconds=1)
MONTHS_PER_YEAR = 12
MAX_DAYS = 36_500
DAYS = re.compile(r"P([1-9][0-9]{0,4})D")


class Period(NamedTuple):
    """A half-open span of UTC instants: `start` is in it, `end` is in the next one."""

    start: datetime
    end: datetime


def period_containing(
    interval: Interval, mode: PeriodMode, anchor: datetime, timezone: str, instant: datetime
) -> Period:
    """The billing period that the instant falls in; it is never empty.

    A calendar period starts at the first instant of a local day, Monday, month or year; an
    anniversary period at the anchor's local wall time, on its weekday, day of month or date, or on
    the month's last day where that is missing. `timezone` is an IANA name.
    """
    zone = ZoneInfo(timezone)
    first = anchor.astimezone(zone).replace(tzinfo=None)
    if mode == "calendar":
        first = _calendar_start(interval, first)

    def bound(index: int) -> datetime:
        return _first_instant(_step(interval, first, index), zone)

    # The local date gives the index or one beside it, as wall times repeat and are left out.
    index = _steps_between(interval, first, instant.astimezone(zone).replace(tzinfo=None))
    while bound(index) > instant:
        index -= 1
    while bound(index + 1) <= instant:
        index += 1
    return Period(bound(index), bound(index + 1))


@dataclass(frozen=True, slots=True)
class Span:
    """A phase's [start, end) inside the whole period that fees and allowances are for.

    Unless the period was cut off, it ends where the phase does (`whole_end` None).
    """

    start: datetime
    end: datetime
    whole_start: datetime
    whole_end: datetime | None = None

    @property
    def whole_seconds(self) -> int:
        """How long the whole period is."""
        return int(((self.whole_end or self.end) - self.whole_start).total_seconds())

    def share(self, nanos: int) -> int:
        """The part of an amount for a whole period that falls to this span, by the second."""
        return prorate(nanos, int((self.end - self.start).total_seconds()), self.whole_seconds)


def add_days(instant: datetime, days: int, timezone: str) -> datetime:
    """The instant of the same local wall time so many days later."""
    zone = ZoneInfo(timezone)
    wall = instant.astimezone(zone).replace(tzinfo=None)
    return _first_instant(_step("day", wall, days), zone)


def prorate(amount_nanos: int, part_seconds: int, whole_seconds: int) -> int:
    """The part's share of an amount, rounded to the nano half away from zero.

    A whole of no length costs nothing.
    """
    return divide(amount_nanos * part_seconds, whole_seconds) if whole_seconds else 0


def parse_days(text: str) -> int:
    """The number of days, 1 to 36,500, in an ISO 8601 duration of days only, such as "P90D".

    Raises: ValueError.
    """
    match = DAYS.fullmatch(text)
    days = int(match[1]) if match else 0
    if not 1 <= days <= MAX_DAYS:
        raise ValueError("not a duration of 1 to 36,500 days, such as P90D")
    return days


def _calendar_start(interval: Interval, wall: datetime) -> datetime:
    midnight = wall.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    match interval:
        case "day":
            return midnight
        case "week":
            return midnight - timedelta(days=midnight.weekday())
        case "month":
            return midnight.replace(day=1)
        case "year":
            return midnight.replace(month=1, day=1)


def _step(interval: Interval, first: datetime, index: int) -> datetime:
    """The wall time `index` intervals after the first."""
    match interval:
        case "day":
            return (first + timedelta(days=index)).replace(fold=first.fold)
        case "week":
            return (first + timedelta(weeks=index)).replace(fold=first.fold)
        case "month":
            return _add_months(first, index)
        case "year":
            return _add_months(first, MONTHS_PER_YEAR * index)


def _add_months(first: datetime, months: int) -> datetime:
    years, month = divmod(first.month - 1 + months, MONTHS_PER_YEAR)
    year, month = first.year + years, month + 1
    last_day = monthrange(year, month)[1]
    return first.replace(year=year, month=month, day=min(first.day, last_day))


def _steps_between(interval: Interval, first: datetime, wall: datetime) -> int:
    days = (wall.date() - first.date()).days
    years, months = wall.year - first.year, wall.month - first.month
    match interval:
        case "day":
            return days
        case "week":
            return days // 7
        case "month":
            return MONTHS_PER_YEAR * years + months
        case "year":
            return years


def _first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first UTC instant at which the zone's clocks show the wall time or a later one.

    A wall time that clocks leave out (a spring gap, a day skipped at the date line) gives the
    instant of the jump. One that they show twice gives the first showing, or for fold=1 the second.
    """
    found = wall.replace(tzinfo=zone).astimezone(UTC)
    if _wall_at(found, zone) == wall:
        return found
    # In a gap the two folds name instants on either side of the jump: close in on it.
    before, after = sorted(wall.replace(tzinfo=zone, fold=f).astimezone(UTC) for f in (0, 1))
    while after - before > MICROSECOND:
        middle = before + (after - before) // 2
        if _wall_at(middle, zone) < wall:
            before = middle
        else:
            after = middle
    return after


def _wall_at(instant: datetime, zone: ZoneInfo) -> datetime:
    return instant.astimezone(zone).replace(tzinfo=None)
