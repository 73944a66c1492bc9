"""Usage days: what metering kept of a whole UTC day, rolled up into one item for questions.

They are copies. Usage hours and distinct values stay what is true; a day's copy holds until usage
of the day is seen to change.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import NamedTuple

from shared.domain.days import DAY, days_touched, floor_day
from shared.domain.distinct import DistinctValue
from shared.domain.periods import Period
from shared.domain.usage_answers import Kept

# A day is rolled up when it has been over for so long: late usage is seldom later.
SETTLES_AFTER = timedelta(hours=48)
# From then on changes are noted. Whatever machines' clocks say, no day is rolled up before.
NOTED_AFTER = timedelta(hours=47)
# Then a copy is made anew: what a lost note leaves wrong is wrong for no longer.
HOLDS_FOR = timedelta(days=7)
# When a day has been over for so long, only redrives and backfills change it: a copy holds longer.
CLOSES_AFTER = timedelta(days=40)
CLOSED_HOLDS_FOR = timedelta(days=62)


class DayKey(NamedTuple):
    """`day` is the UTC midnight that the day begins with."""

    customer: str
    meter: str
    day: datetime


@dataclass(frozen=True, slots=True)
class UsageDay:
    """A day's copy of what was kept, without checksums and checkpoints; None while there is none.

    `changes`: how many changes of the day's usage had been noted when it was read, at `read_at`.
    """

    key: DayKey
    changes: int = 0
    kept: tuple[Kept, ...] | None = None
    read_at: datetime | None = None

    def at(self, now: datetime) -> "UsageDay":
        """The day without a copy that is too old."""
        if self.read_at is None:
            return self
        closed = self.read_at >= self.key.day + DAY + CLOSES_AFTER
        holds_until = self.read_at + (CLOSED_HOLDS_FOR if closed else HOLDS_FOR)
        return self if now < holds_until else UsageDay(self.key, self.changes)


def settled(day: datetime, now: datetime) -> bool:
    """Whether the day may be rolled up."""
    return now >= day + DAY + SETTLES_AFTER


def is_noted(day: datetime, now: datetime) -> bool:
    """Whether a change of the day's usage must be noted."""
    return now >= day + DAY + NOTED_AFTER


def settled_days(span: Period, now: datetime) -> Iterator[datetime]:
    """The days that the span touches and that may be rolled up."""
    return takewhile(lambda day: settled(day, now), days_touched(span.start, span.end))


def stretches(span: Period, days: Mapping[datetime, UsageDay]) -> Iterator[Period]:
    """What of the span must be read by the hour, as no copy holds it; settled days as a whole.

    `days` are the settled ones.
    """
    start: datetime | None = None
    day = span.start
    for day in days_touched(span.start, span.end):
        found = days.get(day)
        if found is None or found.kept is None:
            start = day if start is None else start
        elif start is not None:
            yield Period(start, day)
            start = None
    if start is not None:
        yield Period(start, day + DAY if day in days else span.end)


def rolled_up(days: Iterable[UsageDay], kept: Iterable[Kept], now: datetime) -> Iterator[UsageDay]:
    """The days with what was kept of each, as read now."""
    by_day: dict[datetime, list[Kept]] = defaultdict(list)
    for item in kept:
        by_day[day_of(item)].append(item)
    for day in days:
        yield UsageDay(day.key, day.changes, tuple(by_day[day.key.day]), now)


def day_of(item: Kept) -> datetime:
    """The day that the item is of."""
    return item.key.day if isinstance(item, DistinctValue) else floor_day(item.key.hour)
