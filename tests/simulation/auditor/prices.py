"""What usage costs, written from the documents: every model, every modifier, in fractions."""

from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import Any

from tests.simulation.auditor.arithmetic import NANO, half_away

Price = dict[str, Any]


def waits_for_the_end(card: dict[str, Any]) -> bool:
    """Volume prices and averages can fall: they are charged when their period closes."""
    price = card["price"]
    return price is not None and (price["model"] == "volume" or card["averaged"])


def charged_quantity(
    card: dict[str, Any], value: Fraction, covered: Fraction, count: int
) -> Fraction:
    """What a card's price is for: the average at nine places, or what no allowance covered."""
    if not card["averaged"]:
        return value - covered
    return Fraction(half_away(value * NANO / count), NANO) if count > 0 else Fraction(0)


def event_nanos(price: Price | None, quantities: Iterable[tuple[Fraction, int]]) -> int:
    """What single events come to, by their sign, where each has a minimum or a maximum."""
    if price is None or not {"min_per_event", "max_per_event"} & set(price):
        return 0
    total = 0
    for quantity, sign in quantities:
        cost = quantity * _part(price, "rate") / 100 + _part(price, "fixed_fee")
        if "max_per_event" in price:
            cost = min(cost, _part(price, "max_per_event"))
        total += sign * half_away(max(cost, _part(price, "min_per_event")) * NANO)
    return total


def price_nanos(price: Price, quantity: Fraction, count: int = 0, events: int = 0) -> int:
    """What total usage costs; `events` is the sum, in nanos, of what single events come to."""
    units = max(max(quantity, Fraction(0)) - _part(price, "free_units"), Fraction(0))
    cost = _of_model(price, units, count, events)
    cost *= 1 - _part(price, "discount_percentage") / 100
    if "maximum_amount" in price:
        cost = min(cost, _part(price, "maximum_amount"))
    return half_away(max(cost, _part(price, "minimum_amount")) * NANO)


def _of_model(price: Price, units: Fraction, count: int, events: int) -> Fraction:
    match price["model"]:
        case "flat":
            return _part(price, "amount")
        case "per_unit":
            return units * _part(price, "unit_price")
        case "package":
            return ceil(units / _part(price, "package_size")) * _part(price, "package_price")
        case "percentage":
            return _percentage(price, units, count, events)
        case "volume":
            tiers = price["tiers"]
            tier = next(t for t in tiers if t["up_to"] is None or units <= Fraction(t["up_to"]))
            return units * Fraction(tier["unit_price"]) + Fraction(tier["flat_fee"])
        case _:
            return _in_tiers(price["tiers"], units)


def _percentage(price: Price, units: Fraction, count: int, events: int) -> Fraction:
    if {"min_per_event", "max_per_event"} & set(price):
        return Fraction(events, NANO)
    share = max(units - _part(price, "free_amount"), Fraction(0)) * _part(price, "rate")
    fees = max(count - _part(price, "free_events"), Fraction(0))
    return share / 100 + fees * _part(price, "fixed_fee")


def _in_tiers(tiers: list[dict[str, Any]], units: Fraction) -> Fraction:
    """Tiers hold (previous bound, up_to], the first counts at zero."""
    total, below = Fraction(0), Fraction(0)
    for index, tier in enumerate(tiers):
        if index and units <= below:
            break
        top = units if tier["up_to"] is None else min(units, Fraction(tier["up_to"]))
        each = Fraction(tier["rate"]) / 100 if "rate" in tier else Fraction(tier["unit_price"])
        total += (top - below) * each + Fraction(tier["flat_fee"])
        below = top
    return total


def _part(price: Price, name: str) -> Fraction:
    return Fraction(price.get(name) or 0)
