"""Credit grants and the one declared order in which usage draws them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

GrantSource = Literal["purchase", "promotion", "reward", "plan"]


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
        return not any(end is not None and instant >= end for end in (self.expires_at, self.voided_at))

    def covers(self, meter: str) -> bool:
        """Whether usage of the meter may draw it."""
        return not self.meters or meter in self.meters


def draw_order(grant: Grant) -> tuple[object, ...]:
    """The declared order: what sorts first is drawn first.

    Priority (low first), restricted to meters before general, soonest expiry (none last),
    cost-free before paid, effective date, creation, id.
    """
    expiry = (grant.expires_at is None, grant.expires_at or grant.created_at)
    paid = bool(grant.cost_basis)
    return (
        grant.priority,
        not grant.meters,
        expiry,
        paid,
        grant.effective_at,
        grant.created_at,
        grant.id,
    )


def draw(
    amount: int, meter: str, at: datetime, grants: Iterable[Grant], remaining: Mapping[str, int]
) -> dict[str, int]:
    """Nanos to take from each grant, in the declared order, for usage of a meter at an instant.

    `remaining` is grant id -> nanos left. The result may add up to less than `amount`.
    """
    usable = (g for g in grants if remaining.get(g.id) and g.active_at(at) and g.covers(meter))
    taken: dict[str, int] = {}
    for grant in sorted(usable, key=draw_order):
        if amount <= 0:
            break
        taken[grant.id] = min(amount, remaining[grant.id])
        amount -= taken[grant.id]
    return taken
