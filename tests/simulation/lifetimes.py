"""Customers on test clocks, and those who advance them."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.errors import MeterlineError
from shared.services.test_clocks import TestClocks
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.faults import Crash, Storm


@dataclass
class Lifetimes:
    """Who lives on which clock; `wanted` is where people want each clock to stand."""

    rng: random.Random
    storm: Storm
    seen: Counter[str]
    billing: MemoryBillingStore
    step: timedelta
    clock_of: dict[str, str] = field(default_factory=dict)
    wanted: dict[str, datetime] = field(default_factory=dict)

    def place(self, customers: list[str], share: float, now: datetime) -> None:
        """Puts a share of the customers on two clocks, somewhat behind and ahead of the world."""
        for customer in customers:
            if self.rng.random() < share:
                self.clock_of[customer] = self.rng.choice(("clk_a", "clk_b"))
        for clock in sorted(set(self.clock_of.values())):
            stands_at = now + timedelta(seconds=self.rng.randint(-2_000_000, 2_000_000))
            self.billing.clocks[clock] = self.wanted[clock] = stands_at

    def now_of(self, customer: str, now: datetime) -> datetime:
        """The customer's present."""
        clock = self.clock_of.get(customer)
        return self.billing.clocks[clock] if clock else now

    def want(self, clock: str) -> None:
        """Somebody wants a clock that stands to stand later."""
        if self.wanted[clock] == self.billing.clocks[clock]:
            seconds = self.rng.expovariate(1 / self.step.total_seconds())
            self.wanted[clock] += timedelta(seconds=int(seconds))

    def advance(self, clocks: TestClocks, clock: str) -> bool:
        """Advances the clock, as one who calls again until it stands; whether it does."""
        try:
            clocks.advance(clock, self.wanted[clock], self._out_of_time)
        except (Crash, MeterlineError):
            self.seen["branch: clock to be advanced again"] += 1
            return False
        self.seen["branch: clock advanced"] += 1
        return True

    def _out_of_time(self) -> bool:
        return self.storm.on and self.rng.random() < 0.1
