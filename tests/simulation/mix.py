"""What one seed draws: which faults are on, how often they strike, and how large the world is.

Each seed has a mix of its own (swarm testing): with every fault always on at a low rate, the rare
meetings of two of them would hardly ever happen.
"""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# Every fault, with the rates that it is drawn from.
FAULTS: dict[str, tuple[float, ...]] = {
    "crash-before-commit": (0.01, 0.05, 0.15),
    "crash-after-commit": (0.01, 0.05, 0.15),
    "lost-reply": (0.02, 0.1, 0.25),
    "timeout": (0.01, 0.05, 0.1),
    "throttling": (0.1, 0.25, 0.4),
    "interruption": (0.05, 0.15, 0.3),
    "lost-acknowledgement": (0.05, 0.2, 0.4),
    "regrouping": (0.3, 1.0),
    "bisect": (1.0,),
    "restart": (0.01, 0.04),
    "split": (0.01, 0.03),
    "unordered-shards": (1.0,),
    "poison": (0.01, 0.05),
    "duplicate": (0.05, 0.2),
    "reordering": (0.3, 0.8),
    "delay": (0.1, 0.3),
    "late": (0.05, 0.2),
    "ahead": (0.1, 0.4),
    "skew": (1.0,),
    "missed-run": (0.3, 0.7),
    "repeated-run": (0.3, 1.0),
    "publishing": (0.01, 0.03),
    "foreign-attribute": (0.1,),
    "usage-outage": (0.0, 0.004, 0.01),
    "account-outage": (0.0, 0.004, 0.01),
    "test-clock": (0.3, 0.6),
    "overdue-redelivery": (1.0,),
}
ZONES = ("UTC", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
# Before a month's end, a leap day, and both changes of the clocks in Europe and America.
STARTS = (
    datetime(2026, 1, 30, 21, 17, tzinfo=UTC),
    datetime(2028, 2, 27, 6, 5, tzinfo=UTC),
    datetime(2026, 3, 7, 3, 30, tzinfo=UTC),
    datetime(2026, 3, 27, 23, 40, tzinfo=UTC),
    datetime(2026, 10, 23, 12, 0, 30, tzinfo=UTC),
    datetime(2026, 12, 30, 5, 59, tzinfo=UTC),
)


@dataclass(frozen=True)
class Options:
    """One run: a seed, and what shrinking took away from it."""

    seed: int
    steps: int | None = None
    customers: int | None = None
    without: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Mix:
    """The drawn world; `rates` holds the faults that are on."""

    steps: int
    customers: int
    start: datetime
    length: timedelta
    interval: str
    rates: dict[str, float] = field(default_factory=dict)
    window_seconds: int = 0
    batch_size: int = 100
    weights: dict[str, float] = field(default_factory=dict)

    def rate(self, fault: str) -> float:
        """How often the fault strikes; 0 if it is off."""
        return self.rates.get(fault, 0.0)


def draw_mix(options: Options) -> Mix:
    """The mix of a seed. Taking a fault away leaves the rest as it was."""
    rng = random.Random(f"{options.seed}/mix")
    rates = {name: rng.choice(choices) for name, choices in FAULTS.items() if rng.random() < 0.5}
    interval, length = rng.choice(
        [("day", timedelta(days=4)), ("week", timedelta(days=20)), ("month", timedelta(days=75))]
    )
    customers = rng.randint(1, 6)
    steps = rng.randint(150, 320)
    start = rng.choice(STARTS) + timedelta(minutes=rng.randrange(2000))
    weights = {
        "send": rng.uniform(2, 5),
        "aggregate": rng.uniform(2, 6),
        "journal": rng.uniform(0.5, 2),
        "bill": rng.uniform(0.5, 2),
        "person": rng.uniform(0.2, 1.5),
        "redrive": rng.choice((0, 0.2, 0.6)),
        "reconcile": rng.choice((0, 0.1, 0.4)),
        "clock": rng.uniform(0.3, 1),
        "spend": rng.choice((0, 0.4, 1.2)),
        "correct": rng.choice((0, 0.3, 1)),
    }
    return Mix(
        steps=options.steps if options.steps is not None else steps,
        customers=options.customers if options.customers is not None else customers,
        start=start,
        length=length,
        interval=interval,
        rates={name: rate for name, rate in rates.items() if name not in options.without},
        window_seconds=rng.choice((0, 0, 60, 900)),
        batch_size=rng.choice((1, 3, 10, 100, 500)),
        weights=weights,
    )
