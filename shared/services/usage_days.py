"""One customer's usage for questions: days that were rolled up, and by the hour what was not."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.customers import Customer
from shared.domain.days import DAY, floor_day
from shared.domain.errors import UnavailableError
from shared.domain.periods import Period
from shared.domain.usage_answers import Kept
from shared.domain.usage_days import (
    SETTLES_AFTER,
    DayKey,
    UsageDay,
    day_of,
    rolled_up,
    settled_days,
    stretches,
)
from shared.services.spread import Spread
from shared.services.store import Clock

# So many items of settled days are a good part of a request. Fewer cost none by themselves.
WORTH_ROLLING_UP = 1000
# A month with more items than that in every hour takes more than one request, of 1 MB, by the hour.
BUSY_ITEMS_AN_HOUR = 4
# So long after it was busy, a meter's days are kept rolled up: two whole calendar months at least.
READY_FOR = timedelta(days=62)
# A copy that would be too old before the next day's pass is made anew in this one.
READY_AHEAD = timedelta(hours=26)
HOUR, WEEK = timedelta(hours=1), timedelta(weeks=1)


class UsageDayStore(Protocol):
    """Where copies of days are kept, and what is noted of changes."""

    def opening(
        self, customer: str, meter: str, days: Sequence[datetime]
    ) -> tuple[Customer | None, Mapping[datetime, UsageDay]]:
        """The profile, and every day asked for, in one request up to 99 days.

        Raises: UnavailableError.
        """

    def roll_up(self, day: UsageDay) -> None:
        """Keeps the copy, unless a change was noted since `changes` was read, or it is too large.

        Safe to repeat.
        Raises: UnavailableError.
        """

    def note_changes(self, days: Iterable[DayKey]) -> None:
        """Notes that usage of the days has changed: their copies hold no longer.

        Safe to repeat.
        Raises: UnavailableError.
        """


def busy_meters(items: Mapping[str, int], span: timedelta) -> set[str]:
    """The meters of which a month would be more than one request, by their items in the span.

    One busy hour makes no busy day.
    """
    most = BUSY_ITEMS_AN_HOUR * (max(span, DAY) / HOUR)
    return {meter for meter, number in items.items() if number > most}


def weeks_to_make_ready(now: datetime) -> Iterator[Period]:
    """The settled days that are kept rolled up, a week at a time, the newest first."""
    first, end = floor_day(now - READY_FOR), floor_day(now - SETTLES_AFTER)
    while first < end:
        yield Period(max(first, end - WEEK), end)
        end -= WEEK


@dataclass(frozen=True, slots=True)
class DayReads:
    """Reads a customer's usage of a meter, and rolls up what costs requests."""

    store: UsageDayStore
    clock: Clock
    spread: Spread

    def opening(
        self, customer: str, meter: str, span: Period, ahead: timedelta = timedelta()
    ) -> tuple[Customer | None, Mapping[datetime, UsageDay]]:
        """The profile, and the settled days that the span touches, with copies that hold so long.

        Raises: UnavailableError.
        """
        now = self.clock.now()
        known, days = self.store.opening(customer, meter, list(settled_days(span, now)))
        return known, {at: day.at(now + ahead) for at, day in days.items()}

    def kept(
        self,
        span: Period,
        days: Mapping[datetime, UsageDay],
        read: Callable[[Period], Sequence[Kept]],
        *,
        roll_up_from: int | None = WORTH_ROLLING_UP,
    ) -> list[Kept]:
        """What was kept in the days that the span touches; `read` does so by the hour.

        Settled days are rolled up where reading them cost requests: from so many items of them on,
        or where a copy lies between. With None they never are.
        Raises: what `read` does.
        """
        first = floor_day(span.start)
        days = {at: day for at, day in days.items() if first <= at < span.end}
        lacking = list(stretches(span, days))
        by_hour = [item for stretch in lacking for item in read(stretch)]
        if roll_up_from is not None:
            self._roll_up(days, by_hour, 0 if len(lacking) > 1 else roll_up_from)
        copies = [day.kept for day in days.values() if day.kept is not None]
        return [*(item for kept in copies for item in kept), *by_hour]

    def _roll_up(
        self, days: Mapping[datetime, UsageDay], by_hour: Sequence[Kept], least: int
    ) -> None:
        lacking = [day for day in days.values() if day.kept is None]
        own = [item for item in by_hour if day_of(item) in days]
        if lacking and len(own) >= least:
            try:
                self.spread(self.store.roll_up, list(rolled_up(lacking, own, self.clock.now())))
            except UnavailableError:
                return  # The answer stands; the next question rolls up what this one could not.
