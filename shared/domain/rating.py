"""Rating: what one measured usage adds to a rate card's running totals.

Totals are rated as a whole and the difference is charged, record by record in stream order. So the
result is the same however a stream is cut into batches.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.accounts import Totals, allowance_unit
from shared.domain.catalogue import Plan, Rate
from shared.domain.credits import Purse
from shared.domain.errors import RatingError
from shared.domain.events import CHECKSUM_MODULUS, Measurement, takes_value_back
from shared.domain.money import EXACT, from_nanos, mean, to_nanos
from shared.domain.prices import can_fall
from shared.domain.pricing import Usage, event_nanos, price_nanos

# The largest running quantity that storage keeps exactly: 38 digits, 9 of them places.
MAX_TOTAL_QUANTITY = 10**28


@dataclass(frozen=True, slots=True)
class Charge:
    """Totals after a usage, and the purse that it drew from."""

    totals: Totals
    purse: Purse


def rate_card_index(plan: Plan, measurement: Measurement) -> int | None:
    """Which rate card takes the usage: the first that matches, or None where billing has none."""
    for index, rate in enumerate(plan.rate_cards):
        if rate.matches(measurement.meter, measurement.dimensions):
            return index
    return None


def value_with(value: Decimal, measurement: Measurement) -> Decimal:
    """A running value with one more usage, by the meter's aggregation; `max` starts from zero.

    What a reversal leaves of a maximum or of distinct values is for those that remain to tell.
    """
    if takes_value_back(measurement):
        return value
    if measurement.aggregation == "max":
        return max(value, measurement.quantity)
    return EXACT.add(value, measurement.quantity)


def counted_before(measurement: Measurement) -> Measurement:
    """A usage whose distinct value was counted before: it adds to the count of usages alone."""
    return replace(measurement, quantity=Decimal(0))


def charge_usage(
    rate: Rate,
    totals: Totals,
    measurement: Measurement,
    at: datetime,
    purse: Purse,
    *,
    reversed_at: datetime | None = None,
) -> Charge:
    """Takes the usage off the meter's allowances, rates the rest and draws credits for it.

    A reversal (made at `reversed_at`) takes back first what was rated, then what allowances
    covered, as far as grants that are still valid then can take it.
    Raises: RatingError if the totals outgrow what storage keeps exactly.
    """
    value = value_with(totals.value, measurement)
    if abs(value) >= MAX_TOTAL_QUANTITY:
        raise RatingError(f"total of meter {rate.meter} is out of bounds")
    wanted = to_nanos(EXACT.subtract(value, totals.value))
    unit = allowance_unit(rate.meter)
    if reversed_at is None:
        ahead = max(0, to_nanos(EXACT.subtract(totals.covered, totals.value)))
        covered, purse = purse.draw(unit, wanted - ahead, rate.meter, at)
    else:
        rated = max(0, to_nanos(EXACT.subtract(totals.value, totals.covered)))
        freed = min(-wanted - rated, to_nanos(totals.covered))
        given, purse = purse.give_back(unit, freed, rate.meter, at, reversed_at)
        covered = -given
    measured = replace(
        totals,
        count=totals.count + measurement.count,
        value=value,
        covered=EXACT.add(totals.covered, from_nanos(covered)),
        checksum=(totals.checksum + measurement.checksum) % CHECKSUM_MODULUS,
        event_amounts=totals.event_amounts
        + event_nanos(rate.price, measurement.quantity, measurement.count),
    )
    return _charge_difference(rate, measured, at, purse, reversed_at)


def charge_opening(rate: Rate, at: datetime, purse: Purse) -> Charge:
    """What a new phase charges at zero usage, such as a first tier's flat fee."""
    return _charge_difference(rate, Totals(), at, purse)


def _charge_difference(
    rate: Rate, totals: Totals, at: datetime, purse: Purse, reversed_at: datetime | None = None
) -> Charge:
    """Charges what usage adds to the price; one that can fall waits for the period's end."""
    if can_fall(rate.price, averaged=rate.averaged):
        return Charge(totals, purse)
    return settle(rate, totals, at, purse, reversed_at)


def settle(
    rate: Rate, totals: Totals, at: datetime, purse: Purse, reversed_at: datetime | None = None
) -> Charge:
    """Charges rated total less what was charged before; what no grant covers is overage.

    Where the price has fallen, the difference is negative: overage that is given back. A reversal
    takes back overage first, then what was drawn; what no grant takes back is negative overage,
    money to be credited, which usage fills up before it draws again.
    """
    if rate.price is None:
        return Charge(totals, purse)
    rated = price_nanos(rate.price, priced_usage(rate, totals))
    due = rated - totals.amount
    if reversed_at is None:
        drawn, purse = purse.draw(rate.unit, due + min(0, totals.overage), rate.meter, at)
    else:
        back = min(-due - max(0, totals.overage), totals.drawn)
        given, purse = purse.give_back(rate.unit, back, rate.meter, at, reversed_at)
        drawn = -given
    charged = replace(
        totals,
        amount=rated,
        drawn=totals.drawn + drawn,
        overage=totals.overage + due - drawn,
    )
    return Charge(charged, purse)


def priced_usage(rate: Rate, totals: Totals) -> Usage:
    """The usage that a rate card's price is for: what no allowance covered, in all its events."""
    quantity = EXACT.subtract(totals.value, totals.covered)
    if rate.averaged:
        quantity = mean(totals.value, totals.count)
    return Usage(quantity, totals.count, totals.event_amounts)


def cover_overage(rate: Rate, totals: Totals, at: datetime, purse: Purse) -> Charge:
    """Lets grants that reach back to the period's start take over earlier overage."""
    drawn, purse = purse.draw(rate.unit, totals.overage, rate.meter, at)
    covered = replace(totals, drawn=totals.drawn + drawn, overage=totals.overage - drawn)
    return Charge(covered, purse)


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
        event_amounts=a.event_amounts + b.event_amounts,
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
        event_amounts=a.event_amounts - b.event_amounts,
    )
