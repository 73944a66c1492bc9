"""When a free plan asks its customers to pay: what a plan says of it."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

# How often the rules of one plan version ask a customer: once, or once in each billing period.
Asks = Literal["once", "every_period"]


@dataclass(frozen=True, slots=True)
class AllowanceUsedUp:
    """Nothing is left of the meter's allowance; `grace` of it may be used beyond before a block."""

    meter: str
    grace: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class CreditsBelow:
    """Less than this is left of the unit, or nothing; `grace_nanos` may be used beyond."""

    unit: str
    nanos: int
    grace_nanos: int = 0


@dataclass(frozen=True, slots=True)
class SpendOver:
    """What usage of the billing period came to is over this, in a credit unit or a currency."""

    unit: str
    nanos: int


@dataclass(frozen=True, slots=True)
class ConvertsTo:
    """The plan that a free one leads to, and the rules of which any asks the customer to pay.

    Without a rule the customer asks, by choice. What was asked stays open for `open_days`.
    """

    plan: str
    allowance_used_up: AllowanceUsedUp | None = None
    credits_below: CreditsBelow | None = None
    spend_over: SpendOver | None = None
    asks: Asks = "once"
    open_days: int = 30
