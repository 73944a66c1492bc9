"""Clocks that show what they are told to, and test clocks in memory."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import VersionConflictError
from shared.services.test_clocks import TestClock
from tests.fakes.billing_store import MemoryBillingStore


@dataclass
class SettableClock:
    """A machine's clock."""

    at: datetime

    def now(self) -> datetime:
        return self.at


class MovingClocks:
    """Makes and moves clocks, as ClockStore does; whoever lives on one stays."""

    def __init__(self, billing: MemoryBillingStore) -> None:
        self._clocks = billing.clocks

    def create(self, clock: TestClock) -> None:
        if clock.id in self._clocks:
            raise VersionConflictError
        self._clocks[clock.id] = clock.now

    def move(self, clock: TestClock) -> None:
        stands_at = self._clocks.get(clock.id)
        if stands_at is None or stands_at > clock.now:
            raise VersionConflictError("The clock is past that, or gone.")
        self._clocks[clock.id] = clock.now
