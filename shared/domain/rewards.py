"""How far a customer is under a reward rule, and the grants that rewards are given as."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.credits import Grant
from shared.domain.events import canonical_json, time_text
from shared.domain.money import EXACT
from shared.domain.quarters import QUARTER
from shared.domain.reward_rules import RewardRule
from shared.domain.usage_hours import UsageHour

DAY_KEY = "%Y-%m-%d"
MONTH_KEY = "%Y-%m"


@dataclass(frozen=True, slots=True)
class RewardProgress:
    """What one customer has under a rule: usage since `since` by UTC month, and what was given.

    Of usage that was corrected since, more may have been given than is due: it is not taken back,
    later rewards fall short by it.
    """

    customer: str
    rule: str
    since: datetime
    months: Mapping[str, Decimal] = field(default_factory=dict)
    given: int = 0
    version: int = 0

    @property
    def counted(self) -> Decimal:
        """All usage that counts towards rewards."""
        total = Decimal(0)
        for value in self.months.values():
            total = EXACT.add(total, value)
        return total


@dataclass(frozen=True, slots=True)
class RewardDay:
    """What was counted of each hour of a UTC day, by "00" to "23": a recount shows what is new."""

    customer: str
    rule: str
    day: str
    hours: Mapping[str, Decimal] = field(default_factory=dict)
    version: int = 0


def counted_in(rule: RewardRule, hours: Iterable[UsageHour], since: datetime) -> Decimal:
    """What the rule counts of these items, from the instant on, which is on a quarter hour.

    Usage as it came, of the dimension values that the rule names; what is over the cap of a
    meter's groups has no values.
    """
    total = Decimal(0)
    for hour in hours:
        dimensions = dict(hour.key.dimensions)
        matches = all(dimensions.get(name) == value for name, value in rule.where.items())
        if hour.key.backfilled or not matches:
            continue
        for index, quarter in enumerate(hour.quarters):
            if hour.key.hour + index * QUARTER >= since:
                total = EXACT.add(total, quarter.value)
    return total


def recounted(
    progress: RewardProgress,
    days: Mapping[str, RewardDay],
    counted: Mapping[datetime, Decimal],
) -> tuple[RewardProgress, list[RewardDay]]:
    """The progress, and the days that differ, after these hours were counted anew.

    `days` are those stored; versions stay as they were read.
    """
    months = dict(progress.months)
    changed: dict[str, RewardDay] = {}
    for hour, value in sorted(counted.items()):
        key, slot, month = (hour.strftime(form) for form in (DAY_KEY, "%H", MONTH_KEY))
        stored = RewardDay(progress.customer, progress.rule, key)
        day = changed.get(key) or days.get(key) or stored
        before = day.hours.get(slot, Decimal(0))
        if value != before:
            changed[key] = replace(day, hours={**day.hours, slot: value})
            added = EXACT.subtract(value, before)
            months[month] = EXACT.add(months.get(month, Decimal(0)), added)
    return replace(progress, months=months), list(changed.values())


def reward_grant(rule: RewardRule, customer: str, nanos: int, now: datetime, number: int) -> Grant:
    """The grant that takes a reward given now: one for each month of expiry.

    `number` counts from 0 those of the month that were voided.
    """
    expires_at = rule.expiry(now)
    month = time_text(expires_at) if expires_at else "never"
    identity = canonical_json([customer, rule.key, month, number])
    return Grant(
        id="rw_" + hashlib.sha256(identity.encode()).hexdigest()[:24],
        customer=customer,
        unit=rule.unit,
        amount=nanos,
        source="reward",
        effective_at=now,
        created_at=now,
        expires_at=expires_at,
        priority=rule.priority,
    )
