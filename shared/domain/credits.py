"""Credit grants and the one declared order in which usage draws them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

NEVER = datetime.max.replace(tzinfo=UTC)

GrantSource = Literal["purchase", "promotion", "reward", "plan", "add_on"]


@dataclass(frozen=True, slots=True)
class Validity:
    """When a grant may be drawn, [effective_at, expires_at), and for which meters (empty: all)."""

    effective_at: datetime
    expires_at: datetime | None = None
    meters: tuple[str, ...] = ()

    def active_at(self, instant: datetime) -> bool:
        """Usage exactly at effective_at draws it, exactly at expiry does not."""
        ended = self.expires_at is not None and instant >= self.expires_at
        return instant >= self.effective_at and not ended

    def covers(self, meter: str | None) -> bool:
        """Whether usage of the meter may draw it; None: whether usage of any meter may."""
        return not self.meters or meter in self.meters


@dataclass(frozen=True, slots=True)
class Grant:
    """An immutable, dated value of a unit: a currency, a credit unit, or a meter's quantity.

    What is left of it stands on the account. It is active in
    [effective_at, min(expires_at, voided_at)); `cost_basis` is the money paid per unit, if any.
    """

    id: str
    customer: str
    unit: str
    amount: int  # nanos
    source: GrantSource
    effective_at: datetime
    created_at: datetime
    expires_at: datetime | None = None
    voided_at: datetime | None = None
    priority: int = 100
    meters: tuple[str, ...] = ()
    cost_basis: Decimal | None = None
    cost_currency: str | None = None
    rollover_max: int = 0  # nanos of the remainder that may pass into the next period

    def active_at(self, instant: datetime) -> bool:
        """Usage exactly at effective_at draws it, exactly at expiry does not."""
        if instant < self.effective_at:
            return False
        ends = (self.expires_at, self.voided_at)
        return not any(end is not None and instant >= end for end in ends)

    def covers(self, meter: str) -> bool:
        """Whether usage of the meter may draw it."""
        return not self.meters or meter in self.meters

    def outlives(self, instant: datetime) -> bool:
        """Whether it was neither voided nor had expired by the instant."""
        return self.voided_at is None and (self.expires_at is None or instant < self.expires_at)

    @property
    def validity(self) -> Validity:
        """What the account keeps of it while something is left."""
        return Validity(self.effective_at, self.expires_at, self.meters)


def draw_order(grant: Grant) -> tuple[object, ...]:
    """The declared order: what sorts first is drawn first.

    Priority (low first), restricted to meters before general, soonest expiry (none last),
    cost-free before paid, effective date, creation, id.
    """
    return (
        grant.priority,
        not grant.meters,
        grant.expires_at or NEVER,
        bool(grant.cost_basis),
        grant.effective_at,
        grant.created_at,
        grant.id,
    )


@dataclass(frozen=True, slots=True)
class Purse:
    """The grants that usage may draw from and what is left of each, in nanos.

    `remaining` is unit -> grant id -> nanos; grants that are used up leave it.
    """

    grants: Sequence[Grant]
    remaining: Mapping[str, Mapping[str, int]]

    def receiving(self, grants: Sequence[Grant]) -> "Purse":
        """The purse with new grants, of which nothing is used yet."""
        purse = Purse((*self.grants, *grants), self.remaining)
        for grant in grants:
            left = {**purse.remaining.get(grant.unit, {}), grant.id: grant.amount}
            purse = purse.holding(grant.unit, left)
        return purse

    def draw(self, unit: str, nanos: int, meter: str, at: datetime) -> tuple[int, "Purse"]:
        """Takes up to `nanos` of the unit, in the declared order, for usage of a meter at a time.

        Returns what was taken, and the purse after it.
        """
        left = dict(self.remaining.get(unit, {}))
        usable = (g for g in self.grants if g.id in left and g.active_at(at) and g.covers(meter))
        missing = nanos
        for grant in sorted(usable, key=draw_order) if left else ():
            if missing <= 0:
                break
            taken = min(missing, left[grant.id])
            missing -= taken
            left[grant.id] -= taken
        if missing == nanos:
            return 0, self
        return nanos - missing, self.holding(unit, left)

    def give_back(
        self, unit: str, nanos: int, meter: str, at: datetime, since: datetime
    ) -> tuple[int, "Purse"]:
        """Returns up to `nanos` of the unit that usage of a meter at a time had drawn.

        To what was drawn last first; only to grants that are still valid at `since`: what expired,
        was voided, broken or rolled over meanwhile takes nothing back. No grant holds more than it
        was granted. Returns what was taken back, and the purse after it.
        """
        if nanos <= 0:
            return 0, self
        left = dict(self.remaining.get(unit, {}))
        able = [
            g
            for g in self.grants
            if g.unit == unit and g.active_at(at) and g.covers(meter) and g.outlives(since)
        ]
        missing = nanos
        for grant in sorted(able, key=draw_order, reverse=True):
            held = left.get(grant.id, 0)
            given = min(missing, grant.amount - held)
            missing -= given
            left[grant.id] = held + given
        if missing == nanos:
            return 0, self
        return nanos - missing, self.holding(unit, left)

    def holding(self, unit: str, left: Mapping[str, int]) -> "Purse":
        """The purse with this left of the unit's grants."""
        others = {key: held for key, held in self.remaining.items() if key != unit}
        open_grants = {grant: nanos for grant, nanos in left.items() if nanos}
        return Purse(self.grants, {**others, unit: open_grants} if open_grants else others)
