"""What one pack of an add-on holds, and what was paid for it."""

from decimal import ROUND_HALF_UP, Decimal

from shared.domain.accounts import allowance_unit
from shared.domain.catalogue import AddOn
from shared.domain.money import EXACT, from_nanos, to_nanos

BASIS_PLACES = Decimal("0.000000000001")


def contents(add_on: AddOn) -> list[tuple[str, int, Decimal | None]]:
    """What one pack holds: unit, nanos, and the money paid per unit where it holds one thing."""
    held = [(allowance_unit(a.meter), to_nanos(a.quantity)) for a in add_on.allowances]
    held += [(c.unit, c.amount_nanos) for c in add_on.credits]
    if len(held) > 1 or not add_on.price_nanos:
        return [(unit, nanos, None) for unit, nanos in held]
    [(unit, nanos)] = held
    basis = EXACT.divide(from_nanos(add_on.price_nanos), from_nanos(nanos))
    return [(unit, nanos, basis.quantize(BASIS_PLACES, ROUND_HALF_UP, EXACT))]
