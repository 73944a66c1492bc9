"""What customers earn by the usage of others: accrued by day, held back, then paid.

What a customer's usage of a UTC day earned a beneficiary is a function of what the meter counted
of that day. Whenever that is counted anew, the difference from what was accrued becomes an entry:
late usage adds one, a correction takes back by one, a repetition finds no difference.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from shared.domain.credits import Grant
from shared.domain.earning_rules import EarningRule, Payable
from shared.domain.events import canonical_json
from shared.domain.money import EXACT, NANO_PLACES
from shared.domain.quarters import QUARTER
from shared.domain.rewards import DAY_KEY
from shared.domain.usage_hours import UsageHour

PayoutStatus = Literal["due", "paid"]


@dataclass(frozen=True, slots=True)
class Accrual:
    """What a customer's usage of a day has earned a beneficiary so far, in nanos.

    `version` is the number of entries that it took.
    """

    customer: str
    rule: str
    day: str
    beneficiary: str
    quantity: Decimal = Decimal(0)
    nanos: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class EarningEntry:
    """One posting to a beneficiary's earnings: what a recount of a source's day added, or took.

    It is released with the earnings of `release_day`. Entries are never changed.
    """

    beneficiary: str
    rule: str
    source: str
    day: str
    number: int
    quantity: Decimal
    nanos: int
    unit: str
    release_day: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Earnings:
    """What a beneficiary has under a rule, in nanos: held until the end of each day, due, paid.

    Their sum is that of all entries. `due` below zero is what corrections took back of earnings
    that were paid already: later earnings make up for it.
    """

    beneficiary: str
    rule: str
    unit: str
    held: Mapping[str, int] = field(default_factory=dict)
    due: int = 0
    paid: int = 0
    payouts: int = 0
    version: int = 0

    @property
    def accrued(self) -> int:
        """All that was earned, less what was taken back."""
        return sum(self.held.values()) + self.due + self.paid

    @property
    def next_release(self) -> str | None:
        """The first day at whose end something is to be released; None: nothing is held."""
        return min(self.held, default=None)

    def with_entry(self, entry: EarningEntry) -> "Earnings":
        """The earnings with an entry posted."""
        held = {**self.held}
        held[entry.release_day] = held.get(entry.release_day, 0) + entry.nanos
        return replace(self, held=held)

    def released(self, today: str) -> "Earnings":
        """The earnings after everything held until a day before today is due."""
        due = self.due + sum(nanos for day, nanos in self.held.items() if day < today)
        return replace(
            self, due=due, held={day: nanos for day, nanos in self.held.items() if day >= today}
        )


@dataclass(frozen=True, slots=True)
class Payout:
    """What was paid at once: as credits, in the grant named, or as a transfer that is to be made.

    A transfer is `due` until somebody reports it as made, under their own reference.
    """

    id: str
    beneficiary: str
    rule: str
    unit: str
    nanos: int
    payable: Payable
    status: PayoutStatus
    at: datetime
    grant: str | None = None
    reference: str | None = None
    paid_at: datetime | None = None
    version: int = 0


@dataclass(frozen=True, slots=True)
class Attributed:
    """The usage of a day by the customer it earns for; `nobody` is what no name can be told of."""

    by_beneficiary: Mapping[str, Decimal]
    nobody: Decimal


def attributed(rule: EarningRule, hours: Iterable[UsageHour], since: datetime) -> Attributed:
    """Whom a customer's usage of a day earns for, from the instant on and until the rule ends.

    Usage without the property earns for nobody and is not told of; a customer does not earn by its
    own. What is over the cap of a meter's groups has no names.
    """
    found: dict[str, Decimal] = {}
    nobody = Decimal(0)
    for hour in hours:
        value = Decimal(0)
        for index, quarter in enumerate(hour.quarters):
            if since <= hour.key.hour + index * QUARTER < rule.until:
                value = EXACT.add(value, quarter.value)
        name = dict(hour.key.dimensions).get(rule.beneficiary)
        if hour.key.backfilled or name == hour.key.customer:
            continue
        if hour.key.other:
            nobody = EXACT.add(nobody, value)
        elif name:
            found[name] = EXACT.add(found.get(name, Decimal(0)), value)
    return Attributed(found, nobody)


def accrue(
    rule: EarningRule, before: Accrual, quantity: Decimal, now: datetime
) -> tuple[Accrual, EarningEntry] | None:
    """The accrual after a recount, and the entry of the difference; None: there is none.

    The hold counts from the day of the usage; what comes later than that is held until today ends.
    """
    nanos = rule.earned(quantity)
    if (quantity, nanos) == (before.quantity, before.nanos):
        return None
    held_until = datetime.fromisoformat(before.day) + timedelta(days=rule.hold_days)
    entry = EarningEntry(
        beneficiary=before.beneficiary,
        rule=rule.key,
        source=before.customer,
        day=before.day,
        number=before.version + 1,
        quantity=EXACT.subtract(quantity, before.quantity),
        nanos=nanos - before.nanos,
        unit=rule.unit,
        release_day=max(held_until.strftime(DAY_KEY), now.strftime(DAY_KEY)),
        at=now,
    )
    return replace(before, quantity=quantity, nanos=nanos), entry


def payable(due: int, places: int) -> int:
    """What can be paid of the nanos due in a unit with so many decimals; the rest stays due."""
    step = 10 ** (NANO_PLACES - places)
    return int(max(due, 0) // step * step)


def payout_grant(
    rule: EarningRule, beneficiary: str, nanos: int, now: datetime, number: int
) -> Grant:
    """The grant that takes earnings paid as credits: one for each rule, which grows.

    `number` counts from 0 those that were voided.
    """
    identity = canonical_json([beneficiary, rule.key, number])
    return Grant(
        id="er_" + hashlib.sha256(identity.encode()).hexdigest()[:24],
        customer=beneficiary,
        unit=rule.unit,
        amount=nanos,
        source="reward",
        effective_at=now,
        created_at=now,
    )
