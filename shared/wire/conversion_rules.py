"""What a plan says of conversion, on the wire."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, field_validator

from shared.domain.conversion_rules import (
    AllowanceUsedUp,
    Asks,
    ConvertsTo,
    CreditsBelow,
    SpendOver,
)
from shared.domain.money import from_nanos, to_nanos
from shared.wire.common import Identifier, Quantity, Slug, WireModel, refuse

MAX_OPEN_DAYS = 365


class AllowanceUsedUpBody(WireModel):
    """Nothing is left of the meter's allowance; `grace` may be used beyond it before a block."""

    meter: Slug
    grace: Quantity = Decimal(0)


class CreditsBelowBody(WireModel):
    """Less than `amount` of the unit is left, or nothing; `grace` may be used beyond."""

    unit: Identifier
    amount: Quantity = Decimal(0)
    grace: Quantity = Decimal(0)


class SpendOverBody(WireModel):
    """What usage of the billing period came to is over `amount`, in a credit unit or currency."""

    unit: Identifier
    amount: Quantity


class RulesBody(WireModel):
    """Each of these that is there asks on its own; whichever is met first."""

    allowance_used_up: AllowanceUsedUpBody | None = None
    credits_below: CreditsBelowBody | None = None
    spend_over: SpendOverBody | None = None

    @property
    def empty(self) -> bool:
        """Whether none is there."""
        return not (self.allowance_used_up or self.credits_below or self.spend_over)


# Told apart by their kind of value, so that what is wrong with one is not told of both.
When = Annotated[
    Annotated[Literal["choice"], Tag("choice")] | Annotated[RulesBody, Tag("rules")],
    Discriminator(lambda value: "choice" if isinstance(value, str) else "rules"),
]


class ConvertsToBody(WireModel):
    """The priced plan that a free one leads to, and when its customers are asked to pay.

    A customer may ask by choice whatever the rules; `"when": "choice"` has none. What was asked
    stays open for `open_days`; the rules of a plan version ask `once`, or in `every_period`.
    """

    plan: Slug
    when: When = "choice"
    asks: Asks = "once"
    open_days: Annotated[int, Field(ge=1, le=MAX_OPEN_DAYS)] = 30

    @field_validator("when")
    @classmethod
    def _one_rule_at_least(cls, when: Literal["choice"] | RulesBody) -> object:
        if when != "choice" and when.empty:
            raise refuse("no-rule")
        return when

    def to_offer(self) -> ConvertsTo:
        """What it says."""
        if self.when == "choice":
            return ConvertsTo(self.plan, asks=self.asks, open_days=self.open_days)
        rules = self.when
        used, below, spend = rules.allowance_used_up, rules.credits_below, rules.spend_over
        return ConvertsTo(
            plan=self.plan,
            allowance_used_up=AllowanceUsedUp(used.meter, used.grace) if used else None,
            credits_below=CreditsBelow(below.unit, to_nanos(below.amount), to_nanos(below.grace))
            if below
            else None,
            spend_over=SpendOver(spend.unit, to_nanos(spend.amount)) if spend else None,
            asks=self.asks,
            open_days=self.open_days,
        )

    @classmethod
    def of(cls, offer: ConvertsTo) -> "ConvertsToBody":
        """The offer as the wire has it."""
        return cls(plan=offer.plan, when=_when(offer), asks=offer.asks, open_days=offer.open_days)


def _when(offer: ConvertsTo) -> Literal["choice"] | RulesBody:
    used, below, spend = offer.allowance_used_up, offer.credits_below, offer.spend_over
    if not (used or below or spend):
        return "choice"
    return RulesBody(
        allowance_used_up=AllowanceUsedUpBody(meter=used.meter, grace=used.grace) if used else None,
        credits_below=CreditsBelowBody(
            unit=below.unit, amount=from_nanos(below.nanos), grace=from_nanos(below.grace_nanos)
        )
        if below
        else None,
        spend_over=SpendOverBody(unit=spend.unit, amount=from_nanos(spend.nanos))
        if spend
        else None,
    )
