"""Rating: what one measured usage adds to a rate card's running totals.

Totals are rated as a whole and the difference is charged, record by record in stream order. So the
result is the same however a stream is cut into batches.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.accounts import Totals, allowance_unit
from shared.domain.catalogue import Plan, Rate
from shared.domain.credits import Grant, draw
from shared.domain.errors import RatingError
from shared.domain.events import CHECKSUM_MODULUS, Measurement
from shared.domain.money import EXACT, from_nanos, to_nanos
from shared.domain.pricing import price_nanos

# The largest running quantity that storage keeps exactly: 38 digits, 9 of them places.
MAX_TOTAL_QUANTITY = 10**28

Remaining = Mapping[str, Mapping[str, int]]  # unit -> grant id -> nanos left


@dataclass(frozen=True, slots=True)
class Charge:
    """Totals after a usage, and what is left of the grants that it drew from."""

    totals: Totals
    remaining: Remaining


def rate_card_index(plan: Plan, measurement: Measurement) -> int | None:
    """Which rate card takes the usage: the first that matches, or None where billing has none."""
    for index, rate in enumerate(plan.rate_cards):
        if rate.matches(measurement.meter, measurement.dimensions):
            return index
    return None


def charge_usage(
    rate: Rate,
    totals: Totals,
    measurement: Measurement,
    at: datetime,
    grants: Sequence[Grant],
    remaining: Remaining,
) -> Charge:
    """Takes the usage off the meter's allowances, rates the rest and draws credits for it.

    Raises: RatingError if the totals outgrow what storage keeps exactly.
    """
    value = EXACT.add(totals.value, measurement.quantity)
    if abs(value) >= MAX_TOTAL_QUANTITY:
        raise RatingError(f"total of meter {rate.meter} is out of bounds")
    wanted = to_nanos(measurement.quantity)
    covered, remaining = _draw(allowance_unit(rate.meter), wanted, rate.meter, at, grants, remaining)
    measured = replace(
        totals,
        count=totals.count + 1,
        value=value,
        covered=EXACT.add(totals.covered, from_nanos(covered)),
        checksum=(totals.checksum + measurement.checksum) % CHECKSUM_MODULUS,
    )
    return _charge_difference(rate, measured, at, grants, remaining)


def charge_opening(
    rate: Rate, at: datetime, grants: Sequence[Grant], remaining: Remaining
) -> Charge:
    """What a new phase charges at zero usage, such as a first tier's flat fee."""
    return _charge_difference(rate, Totals(), at, grants, remaining)


def _charge_difference(
    rate: Rate, totals: Totals, at: datetime, grants: Sequence[Grant], remaining: Remaining
) -> Charge:
    """Charges rated total less what was charged before; what no grant covers is overage."""
    if rate.price is None:
        return Charge(totals, remaining)
    rated = price_nanos(rate.price, EXACT.subtract(totals.value, totals.covered), totals.count)
    due = rated - totals.amount
    drawn, remaining = _draw(rate.unit, due, rate.meter, at, grants, remaining)
    charged = replace(
        totals,
        amount=rated,
        drawn=totals.drawn + drawn,
        overage=totals.overage + due - drawn,
    )
    return Charge(charged, remaining)


def _draw(
    unit: str,
    nanos: int,
    meter: str,
    at: datetime,
    grants: Sequence[Grant],
    remaining: Remaining,
) -> tuple[int, Remaining]:
    """Draws up to `nanos` of the unit; grants that are used up leave the map."""
    left = remaining.get(unit)
    if not left or nanos <= 0:
        return 0, remaining
    taken = draw(nanos, meter, at, (g for g in grants if g.unit == unit), left)
    after = {key: rest for key, n in left.items() if (rest := n - taken.get(key, 0))}
    return sum(taken.values()), {**remaining, unit: after} if after else _without(remaining, unit)


def _without(remaining: Remaining, unit: str) -> Remaining:
    return {key: grants for key, grants in remaining.items() if key != unit}


def cover_overage(
    rate: Rate, totals: Totals, at: datetime, grants: Sequence[Grant], remaining: Remaining
) -> Charge:
    """Lets grants that reach back to the period's start take over earlier overage."""
    drawn, remaining = _draw(rate.unit, totals.overage, rate.meter, at, grants, remaining)
    covered = replace(totals, drawn=totals.drawn + drawn, overage=totals.overage - drawn)
    return Charge(covered, remaining)


def add_totals(a: Totals, b: Totals) -> Totals:
    """The sum, field by field."""
    return Totals(
        count=a.count + b.count,
        value=EXACT.add(a.value, b.value),
        covered=EXACT.add(a.covered, b.covered),
        amount=a.amount + b.amount,
        drawn=a.drawn + b.drawn,
        overage=a.overage + b.overage,
        checksum=(a.checksum + b.checksum) % CHECKSUM_MODULUS,
    )


def subtract_totals(a: Totals, b: Totals) -> Totals:
    """The difference, field by field."""
    return Totals(
        count=a.count - b.count,
        value=EXACT.subtract(a.value, b.value),
        covered=EXACT.subtract(a.covered, b.covered),
        amount=a.amount - b.amount,
        drawn=a.drawn - b.drawn,
        overage=a.overage - b.overage,
        checksum=(a.checksum - b.checksum) % CHECKSUM_MODULUS,
    )
