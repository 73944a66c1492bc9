"""Reward rules: what a customer is given for its own usage, such as one credit for every 5 calls.

What is due is a function of what the meter counted in each month, never of the order in which
usage came: whoever computes it again, after a redelivery or a correction, computes the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from shared.domain.money import EXACT, to_nanos
from shared.domain.quarters import floor_quarter

# A rule may start this far back: usage since then is all that its first count reads.
MAX_BACK = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class RewardCap:
    """The most that a rule gives a customer, in nanos: for the usage of a UTC month, or ever."""

    per: Literal["month", "total"]
    nanos: int


@dataclass(frozen=True, slots=True)
class RewardRule:
    """`nanos` of the unit for every `every` of the meter's quantity, where the dimensions match.

    A rule never changes but to be archived; then it gives nothing more. A reward lasts for
    `expires_days` from when it is given, at least; None: for ever.
    """

    key: str
    meter: str
    every: Decimal
    unit: str
    nanos: int
    created_at: datetime
    where: Mapping[str, str] = field(default_factory=dict)
    cap: RewardCap | None = None
    expires_days: int | None = None
    priority: int = 100
    starts_at: datetime | None = None
    archived_at: datetime | None = None

    def since(self, now: datetime, *, on_test_clock: bool) -> datetime:
        """From when on it counts a customer's usage; `now` is the customer's own time.

        Without a start of its own: from the quarter hour in which it was made. A test clock shows
        another time than people made the rule at; there it counts as far back as a rule may.
        """
        if self.starts_at is not None:
            return self.starts_at
        if on_test_clock:
            return floor_quarter(now - MAX_BACK)
        return floor_quarter(self.created_at)

    def expiry(self, now: datetime) -> datetime | None:
        """The end of the UTC month in which a reward that is given now expires, or None.

        Rewards of a month expire together, so that few grants are open at a time.
        """
        if self.expires_days is None:
            return None
        last = now + timedelta(days=self.expires_days)
        month = last.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        return (month + timedelta(days=32)).replace(day=1)

    def due(self, months: Mapping[str, Decimal]) -> int:
        """What it gives, in nanos, for what was counted in each month: all of it since its start.

        Usage carries over from month to month; what a month earns is what its usage adds.
        """
        total, before, due = Decimal(0), 0, 0
        for month in sorted(months):
            total = EXACT.add(total, months[month])
            so_far = max(0, to_nanos(total) // to_nanos(self.every)) * self.nanos
            earned, before = so_far - before, so_far
            if self.cap is not None and self.cap.per == "month":
                earned = min(earned, self.cap.nanos)
            due += earned
        if self.cap is not None and self.cap.per == "total":
            due = min(due, self.cap.nanos)
        return due
