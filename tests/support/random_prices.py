"""Prices and usage of every model, drawn at random, and what they cost by another arithmetic."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from random import Random

from shared.domain.prices import (
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
    price_values,
)
from shared.domain.pricing import price_nanos, usage_of
from tests.simulation.auditor.prices import event_nanos as audited_event_nanos
from tests.simulation.auditor.prices import price_nanos as audited_nanos


def a_decimal(rng: Random, places: int, largest: int) -> Decimal:
    """Up to so many places: round numbers and long ones, small ones and large ones."""
    places = rng.choice((0, 1, places))
    largest = rng.choice((3, 100, largest))
    return Decimal(rng.randint(0, largest * 10**places)).scaleb(-places)


def a_price(rng: Random) -> Price:
    """A price of any model, with some modifiers half of the time."""

    def money() -> Decimal:
        return a_decimal(rng, 12, 10**4)

    def rate() -> Decimal:
        return a_decimal(rng, 10, 200)

    bounds = sorted({a_decimal(rng, 9, 10**6) + 1 for _ in range(rng.randint(0, 5))})
    tiers = tuple(Tier(bound, money(), money()) for bound in (*bounds, None))
    rates = tuple(RateTier(tier.up_to, rate(), tier.flat_fee) for tier in tiers)
    free = {"free_events": a_decimal(rng, 0, 10), "free_amount": a_decimal(rng, 9, 10**5)}
    low, high = sorted((money(), money()))
    prices: list[Price] = [
        Flat(money(), **_modifiers(rng)),
        PerUnit(money(), **_modifiers(rng)),
        Graduated(tiers, **_modifiers(rng)),
        Volume(tiers, **_modifiers(rng)),
        Package(a_decimal(rng, 9, 10**4) or Decimal(1), money(), **_modifiers(rng)),
        Percentage(rate(), money(), **free, **_modifiers(rng)),
        Percentage(rate(), money(), min_per_event=low, max_per_event=rng.choice((None, high))),
        Percentage(rate(), max_per_event=high, discount_percentage=a_decimal(rng, 10, 100)),
        GraduatedPercentage(rates, **_modifiers(rng)),
    ]
    return rng.choice(prices)


def _modifiers(rng: Random) -> dict[str, Decimal]:
    low, high = sorted((a_decimal(rng, 12, 10**4), a_decimal(rng, 12, 10**6)))
    modifiers = {
        "free_units": a_decimal(rng, 9, 10**4),
        "discount_percentage": a_decimal(rng, 10, 100),
        "maximum_amount": high,
        "minimum_amount": low,
    }
    chosen = rng.sample(sorted(modifiers), rng.choice((0, 0, 1, 2, 4)))
    return {name: modifiers[name] for name in chosen}


def some_usage(rng: Random, price: Price) -> list[Decimal]:
    """The quantities of a few events; often just up to a tier's bound, or one nano off it."""
    tiers = getattr(price, "tiers", ())
    bounds = [tier.up_to + price.free_units for tier in tiers if tier.up_to is not None]
    if bounds and rng.random() < 0.5:
        return [rng.choice(bounds) + Decimal(rng.choice((-1, 0, 1))).scaleb(-9)]
    return [a_decimal(rng, 9, 10**9) for _ in range(rng.randint(0, 6))]


def audited(price: Price, quantities: Sequence[Decimal]) -> int:
    """The price in nanos by the simulation's auditor: fractions, and no code of the system."""
    values, exact = price_values(price), [Fraction(each) for each in quantities]
    events = audited_event_nanos(values, ((each, 1) for each in exact))
    return audited_nanos(values, sum(exact, Fraction(0)), len(exact), events)


def disagreement(rng: Random) -> str | None:
    """One random case: what is wrong with it, or None where both come to the same nano."""
    price = a_price(rng)
    quantities = some_usage(rng, price)
    ours, theirs = price_nanos(price, usage_of(price, quantities)), audited(price, quantities)
    return None if ours == theirs else f"{price} for {quantities}: {ours}, by fractions {theirs}"
