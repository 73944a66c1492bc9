"""What usage costs: one small pure function per price model, in one pipeline of modifiers.

Every price is a function of running totals, never of the order of events. Usage is rated
cumulatively: each record costs price(totals after) - price(totals before), and those differences
add up to the price of the totals to the nano, however the usage arrived.

The pipeline: free units -> model -> percentage discount -> maximum -> minimum.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Literal

from shared.domain.money import EXACT, from_nanos, to_nanos
from shared.domain.prices import (
    ZERO,
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    Price,
    RateTier,
    Tier,
    Volume,
    by_event,
)

Component = Literal[
    "usage", "fixed_fee", "free_units", "discount_percentage", "maximum_amount", "minimum_amount"
]


@dataclass(frozen=True, slots=True)
class Usage:
    """What is priced: a total quantity, in how many events.

    `event_amounts` is the sum, in nanos, of what single events cost where the price is by event.
    """

    quantity: Decimal
    count: int = 0
    event_amounts: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What one part of a price contributes.

    `tier` counts from 1, None where the price has none. `units` is how much of the usage (for a
    fixed fee, how many events) it is for, 0 of an amount's modifier. `amount` is exact, in major
    units, and includes a tier's flat fee.
    """

    tier: int | None
    units: Decimal
    amount: Decimal
    component: Component = "usage"


def price_nanos(price: Price, usage: Usage) -> int:
    """The cumulative price, in nanos, of total usage.

    Computed exactly and rounded to the nano once, half away from zero. A total below zero, which
    only corrections can make, is priced as zero usage.
    """
    return to_nanos(total(explain(price, usage)))


def event_nanos(price: Price | None, quantity: Decimal, count: int = 1) -> int:
    """What a single event of this quantity adds to `Usage.event_amounts`.

    Rounded to the nano for each event. A reversal (count -1, the quantity's opposite) takes back
    what its event came to; a price that is not by event adds nothing.
    """
    if count < 0:
        return -event_nanos(price, EXACT.subtract(ZERO, quantity))
    if not isinstance(price, Percentage) or not by_event(price):
        return 0
    amount = EXACT.add(_percent(price.rate, abs(quantity)), price.fixed_fee)
    if price.max_per_event is not None:
        amount = min(amount, price.max_per_event)
    if price.min_per_event is not None:
        amount = max(amount, price.min_per_event)
    return to_nanos(amount) if quantity >= 0 else -to_nanos(amount)


def usage_of(price: Price, quantities: Sequence[Decimal]) -> Usage:
    """The totals of single events' quantities."""
    quantity = ZERO
    for each in quantities:
        quantity = EXACT.add(quantity, each)
    amounts = sum(event_nanos(price, each) for each in quantities)
    return Usage(quantity, len(quantities), amounts)


def explain(price: Price, usage: Usage) -> list[Share]:
    """The price part by part, exact; the sum of the amounts is the price."""
    quantity = max(usage.quantity, ZERO)
    free = min(price.free_units, quantity)
    shares = [Share(None, free, ZERO, "free_units")] if free else []
    shares += _priced(price, replace(usage, quantity=EXACT.subtract(quantity, free)))
    if price.discount_percentage:
        discount = _percent(price.discount_percentage, total(shares))
        shares.append(_modifier("discount_percentage", discount.copy_negate()))
    amount = total(shares)
    if price.maximum_amount is not None and amount > price.maximum_amount:
        above = EXACT.subtract(price.maximum_amount, amount)
        shares.append(_modifier("maximum_amount", above))
        amount = price.maximum_amount
    if amount < price.minimum_amount:
        shares.append(_modifier("minimum_amount", EXACT.subtract(price.minimum_amount, amount)))
    return shares


def total(shares: Iterable[Share]) -> Decimal:
    """The exact sum of the shares' amounts."""
    amount = ZERO
    for share in shares:
        amount = EXACT.add(amount, share.amount)
    return amount


def _priced(price: Price, usage: Usage) -> list[Share]:
    """What the model alone makes of the usage that is not free."""
    match price:
        case Flat():
            return [Share(None, usage.quantity, price.amount)]
        case PerUnit():
            amount = EXACT.multiply(usage.quantity, price.unit_price)
            return [Share(None, usage.quantity, amount)]
        case Graduated() | GraduatedPercentage():
            return graduated(price.tiers, usage.quantity)
        case Volume():
            return volume(price, usage.quantity)
        case Package():
            return package(price, usage.quantity)
        case Percentage():
            return percentage(price, usage)


def graduated(tiers: Sequence[Tier | RateTier], quantity: Decimal) -> list[Share]:
    """Each tier prices the units in (previous bound, up_to].

    The first tier counts even at zero usage, so that its flat fee is a base charge; a later tier
    counts from the first part of a unit that falls in it.
    """
    shares: list[Share] = []
    below = ZERO
    for number, tier in enumerate(tiers, start=1):
        if number > 1 and quantity <= below:
            break
        reached = quantity if tier.up_to is None else min(quantity, tier.up_to)
        units = EXACT.subtract(reached, below)
        shares.append(Share(number, units, _in_tier(tier, units)))
        below = reached
    return shares


def volume(price: Volume, quantity: Decimal) -> list[Share]:
    """The whole quantity at the tier it falls in, with that tier's flat fee; a bound is inside."""
    for number, tier in enumerate(price.tiers, start=1):
        if tier.up_to is None or quantity <= tier.up_to:
            return [Share(number, quantity, _in_tier(tier, quantity))]
    raise ValueError("the last tier of a volume price is open")


def package(price: Package, quantity: Decimal) -> list[Share]:
    """Packages rounded up; zero units cost nothing."""
    whole, rest = EXACT.divmod(quantity, price.package_size)
    packages = EXACT.add(whole, Decimal(1)) if rest else whole
    return [Share(None, quantity, EXACT.multiply(packages, price.package_price))]


def percentage(price: Percentage, usage: Usage) -> list[Share]:
    """The rate of the sum and the fee of each event, or the sum of what single events cost."""
    if by_event(price):
        return [Share(None, usage.quantity, max(ZERO, from_nanos(usage.event_amounts)))]
    units = max(ZERO, EXACT.subtract(usage.quantity, price.free_amount))
    shares = [Share(None, units, _percent(price.rate, units))]
    if price.fixed_fee:
        events = max(ZERO, EXACT.subtract(Decimal(usage.count), price.free_events))
        fee = EXACT.multiply(events, price.fixed_fee)
        shares.append(Share(None, events, fee, "fixed_fee"))
    return shares


def _in_tier(tier: Tier | RateTier, units: Decimal) -> Decimal:
    match tier:
        case Tier():
            amount = EXACT.multiply(units, tier.unit_price)
        case RateTier():
            amount = _percent(tier.rate, units)
    return EXACT.add(amount, tier.flat_fee)


def _percent(rate: Decimal, amount: Decimal) -> Decimal:
    return EXACT.scaleb(EXACT.multiply(rate, amount), -2)


def _modifier(component: Component, amount: Decimal) -> Share:
    return Share(None, ZERO, amount, component)
