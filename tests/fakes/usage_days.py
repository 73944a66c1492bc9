"""Copies of usage days in memory."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from shared.domain.customers import Customer
from shared.domain.usage_days import DayKey, UsageDay
from tests.fakes.billing_store import MemoryBillingStore


class MemoryUsageDays:
    """See UsageDayStore."""

    def __init__(self, store: MemoryBillingStore) -> None:
        self.days: dict[DayKey, UsageDay] = {}
        self._store = store

    def opening(
        self, customer: str, meter: str, days: Sequence[datetime]
    ) -> tuple[Customer | None, Mapping[datetime, UsageDay]]:
        keys = [DayKey(customer, meter, day) for day in days]
        return self._store.customer(customer), {key.day: self._day(key) for key in keys}

    def roll_up(self, day: UsageDay) -> None:
        if self._day(day.key).changes == day.changes:
            self.days[day.key] = day

    def note_changes(self, days: Iterable[DayKey]) -> None:
        for key in days:
            self.days[key] = UsageDay(key, self._day(key).changes + 1)

    def _day(self, key: DayKey) -> UsageDay:
        return self.days.get(key, UsageDay(key))
