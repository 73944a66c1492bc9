"""What a quantity costs: one small pure function per price type.

Every price is a function of running totals, never of the order of events. Usage is rated
cumulatively: each record costs price(total after) - price(total before), and those differences add
up to price(total) to the nano, however the usage arrived.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from shared.domain.catalogue import Graduated, PerUnit, Price
from shared.domain.money import EXACT, to_nanos

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Share:
    """What one tier (counted from 1; None where the price has none) contributes.

    `amount` is exact, in major units, and includes the tier's flat fee.
    """

    tier: int | None
    units: Decimal
    amount: Decimal


def price_nanos(price: Price, quantity: Decimal) -> int:
    """The cumulative price, in nanos, of a total quantity.

    Computed exactly and rounded to the nano once, half away from zero. A total below zero, which
    only corrections can make, is priced as zero usage.
    """
    return to_nanos(total(explain(price, quantity)))


def explain(price: Price, quantity: Decimal) -> list[Share]:
    """The price of the quantity tier by tier, exact; the sum of the amounts is the price."""
    quantity = max(quantity, NOTHING)
    match price:
        case PerUnit():
            return per_unit(price, quantity)
        case Graduated():
            return graduated(price, quantity)


def total(shares: Sequence[Share]) -> Decimal:
    """The exact sum of the shares' amounts."""
    amount = NOTHING
    for share in shares:
        amount = EXACT.add(amount, share.amount)
    return amount


def per_unit(price: PerUnit, quantity: Decimal) -> list[Share]:
    """Every unit at the same price."""
    return [Share(None, quantity, EXACT.multiply(quantity, price.unit_price))]


def graduated(price: Graduated, quantity: Decimal) -> list[Share]:
    """Each tier prices the units in (previous bound, up_to].

    The first tier counts even at zero usage, so that its flat fee is a base charge; a later tier
    counts from the first part of a unit that falls in it.
    """
    shares: list[Share] = []
    below = NOTHING
    for number, tier in enumerate(price.tiers, start=1):
        if number > 1 and quantity <= below:
            break
        reached = quantity if tier.up_to is None else min(quantity, tier.up_to)
        units = EXACT.subtract(reached, below)
        amount = EXACT.add(EXACT.multiply(units, tier.unit_price), tier.flat_fee)
        shares.append(Share(number, units, amount))
        below = reached
    return shares
