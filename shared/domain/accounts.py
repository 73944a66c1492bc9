"""The billing account of one customer: everything that must change together.

An account holds the open phases with their running totals, and what is left of each open grant.
It is stored as one item under one version, so that metering totals and balances move atomically.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from shared.domain.catalogue import Catalogue, PhaseState, Plan
from shared.domain.checkpoints import Checkpoints
from shared.domain.credits import Validity

# Bounds that keep the account item small; reaching one is refused, never truncated.
MAX_OPEN_PHASES = 8
# Periods to come need room for their phases, or usage of them could not be placed.
RESERVED_PHASES = 2
MAX_OPEN_GRANTS_PER_UNIT = 16


def allowance_unit(meter: str) -> str:
    """The unit of a grant of included usage: a meter's own quantity (in nanos)."""
    return f"meter:{meter}"


@dataclass(frozen=True, slots=True)
class Totals:
    """Running totals of one rate card in one phase.

    `count`, `value` and `checksum` are over all usage; `covered` is the part of value that
    allowances took; `amount` = rated price of the rest in nanos of the rate's unit, of which
    `drawn` came from grants and `overage` is what none covered: amount = drawn + overage. Where
    the price is by event, `event_amounts` is the sum of what each came to, in nanos.
    """

    count: int = 0
    value: Decimal = Decimal(0)
    covered: Decimal = Decimal(0)
    amount: int = 0
    drawn: int = 0
    overage: int = 0
    checksum: int = 0
    event_amounts: int = 0


@dataclass(frozen=True, slots=True)
class Phase:
    """A span [start, end) of a subscription under one plan version, within one billing period.

    `number` counts a customer's phases from 1, `period` its billing periods from 1. `totals` are in
    the order of the plan's rate cards. `fee_invoiced`: its fee was due at once, on an invoice of
    its own, so the invoice of the period before does not charge it in advance. `latest` is the time
    of its latest usage: ahead of the clock at times, and never cut off by a change of plan.
    `quantity` is the number of seats that it began with, `seats` the instants of their changes,
    each with the number from then on.
    """

    number: int
    period: int
    start: datetime
    end: datetime
    plan: str
    plan_version: int
    totals: tuple[Totals, ...]
    fee_invoiced: bool = False
    latest: datetime | None = None
    state: PhaseState = "active"
    quantity: int = 1
    seats: tuple[tuple[datetime, int], ...] = ()

    def plan_in(self, catalogue: Catalogue) -> Plan:
        """What of its plan is in force.

        Raises: NotFoundError.
        """
        return catalogue.plan_in_force(self.plan, self.plan_version, self.state, self.quantity)


@dataclass(frozen=True, slots=True)
class Account:
    """The account at one version.

    `phases` are those not closed yet, oldest first; the last one is the current one. `late` holds,
    per closed phase number, the totals of usage that came after its close and is billed with the
    next invoice. `grants` is unit -> grant id -> remaining nanos. `quarantined_at` is when a record
    was last set aside (machine time): whoever has none need not be asked for them. `held` says why
    nothing of it may be closed or broken: its numbers contradict each other. `validity` is that of
    the open grants, by id (one written before it was kept has none), and `test_clock` the
    customer's: what may be used now is told from the account alone. `reserved` is unit -> nanos
    that open reservations hold; the first of them expires at `reserved_until`, or after it.
    `changes_at` is when the change takes effect that the terms have scheduled, if not with the next
    period.
    `stale` is start of a quarter of an hour -> keys of the reversals that took back a maximum, say,
    in it: what is left of such values is to be counted anew, and nothing is closed before that.
    """

    customer: str
    version: int = 0
    phases: tuple[Phase, ...] = ()
    late: Mapping[int, tuple[Totals, ...]] = field(default_factory=dict)
    grants: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    quarantined_at: datetime | None = None
    held: str | None = None
    validity: Mapping[str, Validity] = field(default_factory=dict)
    test_clock: str | None = None
    reserved: Mapping[str, int] = field(default_factory=dict)
    reserved_until: datetime | None = None
    stale: Mapping[datetime, frozenset[str]] = field(default_factory=dict)
    changes_at: datetime | None = None

    @property
    def current(self) -> Phase:
        """The phase in force: the latest one opened."""
        return self.phases[-1]

    @property
    def boundary(self) -> datetime:
        """Where the terms in force end: at the period's end, or at a change before it."""
        return min(self.changes_at or self.current.end, self.current.end)

    @property
    def oldest_period_end(self) -> datetime:
        """The end of the oldest period that is not closed yet."""
        first = self.phases[0].period
        return max(phase.end for phase in self.phases if phase.period == first)

    @property
    def open_grants(self) -> tuple[str, ...]:
        """The ids of the grants with something left."""
        return tuple(grant for left in self.grants.values() for grant in left)

    def remaining(self, unit: str) -> int:
        """What is left in all open grants of the unit, in nanos."""
        return sum(self.grants.get(unit, {}).values())

    def usable(self, unit: str, at: datetime, meter: str | None) -> int:
        """What usage of the meter could draw of the unit at the instant, in nanos.

        Without a meter: what usage of any meter could.
        """
        return sum(
            nanos
            for grant, nanos in self.grants.get(unit, {}).items()
            if self.validity[grant].active_at(at) and self.validity[grant].covers(meter)
        )

    def available(self, unit: str, at: datetime, meter: str | None) -> int:
        """The same less what is reserved of the unit; usage may have left less than nothing."""
        return self.usable(unit, at, meter) - self.reserved.get(unit, 0)


@dataclass(frozen=True, slots=True)
class ClosedPhase:
    """A phase as its closing froze it, with the late usage billed since; kept beside the account.

    `billed` are the totals including every late invoice so far: later usage continues from them.
    """

    phase: Phase
    billed: tuple[Totals, ...]
    closed_at: datetime
    invoice: str
