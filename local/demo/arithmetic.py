"""The demo's own arithmetic: exact fractions, so nothing is shared with the system it checks."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

NANO = Fraction(1, 10**9)
CENT = Fraction(1, 100)
ZERO = Fraction(0)


def rounded(amount: Fraction, step: Fraction) -> Fraction:
    """To a multiple of the step, half away from zero."""
    steps = (abs(amount) / step + Fraction(1, 2)).__floor__()
    return steps * step if amount >= 0 else -steps * step


def price_of(price: Mapping[str, Any] | None, quantity: Fraction) -> Fraction:
    """The price of a total quantity, rounded to the nano; no price costs nothing."""
    if price is None:
        return ZERO
    if price["model"] == "per_unit":
        return rounded(quantity * Fraction(price["unit_price"]), NANO)
    amount, below = ZERO, ZERO
    for i, tier in enumerate(price["tiers"]):
        if i and quantity <= below:
            break
        bound = None if tier["up_to"] is None else Fraction(tier["up_to"])
        top = quantity if bound is None else min(quantity, bound)
        amount += (top - below) * Fraction(tier["unit_price"]) + Fraction(tier.get("flat_fee", 0))
        below = top
    return rounded(amount, NANO)
