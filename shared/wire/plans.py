"""Plans on the wire, exactly as the API page has them."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from shared.domain.catalogue import (
    Allowance,
    IncludedCredits,
    Interval,
    OnExhausted,
    PeriodMode,
    Plan,
    Rate,
)
from shared.domain.money import MAX_MINOR_UNITS, MINOR_PLACES, from_nanos, to_nanos
from shared.domain.periods import parse_days
from shared.domain.publishing import MAX_RATE_CARDS
from shared.wire.catalogue import MAX_DIMENSIONS, PropertyName
from shared.wire.common import (
    Bounds,
    Identifier,
    Items,
    Quantity,
    QueryModel,
    Slug,
    Text,
    WireModel,
    refuse,
)
from shared.wire.conversion_rules import ConvertsToBody
from shared.wire.prices import Currency, IfGiven, PriceBody, of_price, once, to_price

MAX_FEATURES = 50
MAX_TRIAL_DAYS = 730


def money(amount: Decimal, currency: str) -> Decimal:
    """The amount, if it is a number of the currency's minor units, and not an absurd one."""
    places = MINOR_PLACES[currency]
    return Bounds(places, highest=Decimal(MAX_MINOR_UNITS).scaleb(-places)).read(amount)


def _known_expiry(expires: str) -> str:
    if expires not in ("period_end", "never"):
        try:
            parse_days(expires)
        except ValueError:
            raise refuse("not-an-expiry") from None
    return expires


# "period_end", "never" or ISO days such as "P90D".
Expiry = Annotated[str, AfterValidator(_known_expiry)]


class AllowanceBody(WireModel):
    """Units of a meter included in each period."""

    meter: Slug
    quantity: Quantity


class IncludedCreditsBody(WireModel):
    """Credits granted at each period's start; `rollover_max` of what is left may pass on.

    If less than `rollover_min` is left to pass on, the difference is given, too. With `refill`,
    what is left of plans' credits of the unit is brought to `amount`, which is not added then.
    """

    unit: Identifier
    amount: Quantity
    expires: Expiry = "period_end"
    rollover_max: Quantity | None = None
    rollover_min: Annotated[Quantity | None, IfGiven] = None
    refill: Annotated[bool, Field(exclude_if=lambda refill: not refill)] = False

    @field_validator("rollover_max")
    @classmethod
    def _only_what_expires_rolls_over(
        cls, rollover_max: Decimal | None, info: ValidationInfo
    ) -> Decimal | None:
        if rollover_max is not None and info.data.get("expires") != "period_end":
            raise refuse("rollover-without-period-end")
        return rollover_max

    @field_validator("rollover_min")
    @classmethod
    def _no_more_than_the_maximum(
        cls, rollover_min: Decimal | None, info: ValidationInfo
    ) -> Decimal | None:
        if rollover_min is not None and rollover_min > (info.data.get("rollover_max") or 0):
            raise refuse("minimum-above-maximum")
        return rollover_min

    @field_validator("refill")
    @classmethod
    def _only_what_stays_is_refilled(cls, refill: bool, info: ValidationInfo) -> bool:
        amount, expires = info.data.get("amount"), info.data.get("expires")
        passes_on = info.data.get("rollover_max") or 0
        if not refill or amount is None or expires is None:
            return refill
        if expires == "period_end" and not passes_on:
            raise refuse("nothing-left-to-refill")
        if passes_on > amount:
            raise refuse("rollover-above-refill")
        if info.data.get("rollover_min"):
            raise refuse("refill-and-rollover-min")
        return refill


class RateBody(WireModel):
    """The price of a meter's usage where its dimensions match; `unit` defaults to the currency."""

    meter: Slug
    where: dict[PropertyName, Text] = Field(default_factory=dict, max_length=MAX_DIMENSIONS)
    price: PriceBody
    unit: Identifier | None = None


Feature = Literal[True] | Annotated[int, Field(ge=0, le=10**12)]


class PlanBody(WireModel):
    """A priced offer. Its fee is charged at each period's start, for each seat.

    What a period's usage falls short of the `minimum` is charged when it ends, whatever the seats.

    The first `trial_days` of a customer on plans with a trial are free: of the fee, and of what
    usage costs unless `bill_trial_usage`.
    """

    name: Identifier
    currency: Currency
    interval: Interval = "month"
    fee: Annotated[Decimal, Bounds(places=3)] = Decimal(0)
    trial_days: Annotated[int, Field(ge=0, le=MAX_TRIAL_DAYS)] = 0
    bill_trial_usage: bool = False
    allowances: Annotated[Items[AllowanceBody], Field(max_length=MAX_RATE_CARDS)] = ()
    credits: Annotated[Items[IncludedCreditsBody], Field(max_length=MAX_RATE_CARDS)] = ()
    rates: Annotated[Items[RateBody], Field(max_length=MAX_RATE_CARDS)] = ()
    features: dict[Slug, Feature] = Field(default_factory=dict, max_length=MAX_FEATURES)
    default: bool = False
    period: PeriodMode = "anniversary"
    on_exhausted: OnExhausted = "bill"
    minimum: Annotated[Decimal, Bounds(places=3)] = Decimal(0)
    converts_to: ConvertsToBody | None = None

    @field_validator("fee", "minimum")
    @classmethod
    def _in_minor_units(cls, amount: Decimal, info: ValidationInfo) -> Decimal:
        currency = info.data.get("currency")
        return amount if currency is None else money(amount, currency)

    @field_validator("allowances")
    @classmethod
    def _one_allowance_a_meter(cls, found: tuple[AllowanceBody, ...]) -> tuple[AllowanceBody, ...]:
        return once(found, lambda allowance: allowance.meter, "duplicate-meter")

    @field_validator("credits")
    @classmethod
    def _one_grant_a_unit(
        cls, found: tuple[IncludedCreditsBody, ...], info: ValidationInfo
    ) -> tuple[IncludedCreditsBody, ...]:
        currency = info.data.get("currency")
        for credit in found:
            if credit.unit == currency:
                money(credit.amount, currency)
        return once(found, lambda credit: credit.unit, "duplicate-unit")

    def to_plan(self, key: str) -> Plan:
        """The plan; its version is not known yet."""
        return Plan(
            key=key,
            version=0,
            name=self.name,
            currency=self.currency,
            interval=self.interval,
            period=self.period,
            fee_nanos=to_nanos(self.fee),
            minimum_nanos=to_nanos(self.minimum),
            allowances=tuple(Allowance(a.meter, a.quantity) for a in self.allowances),
            credits=tuple(_included_credits(body) for body in self.credits),
            rates=tuple(
                Rate(rate.meter, to_price(rate.price), rate.unit or self.currency, rate.where)
                for rate in self.rates
            ),
            features=self.features,
            default=self.default,
            on_exhausted=self.on_exhausted,
            trial_days=self.trial_days,
            bill_trial_usage=self.bill_trial_usage,
            converts_to=self.converts_to.to_offer() if self.converts_to else None,
        )


class PlanAnswer(PlanBody):
    """One published version of a plan."""

    key: str
    version: int

    @classmethod
    def of(cls, plan: Plan) -> "PlanAnswer":
        """The plan as the wire has it."""
        return cls(
            key=plan.key,
            version=plan.version,
            name=plan.name,
            currency=plan.currency,
            interval=plan.interval,
            period=plan.period,
            fee=from_nanos(plan.fee_nanos),
            minimum=from_nanos(plan.minimum_nanos),
            allowances=tuple(
                AllowanceBody(meter=a.meter, quantity=a.quantity) for a in plan.allowances
            ),
            credits=tuple(_included_credits_body(credit) for credit in plan.credits),
            rates=tuple(_rate_body(rate) for rate in plan.rates),
            features=dict(plan.features),
            default=plan.default,
            on_exhausted=plan.on_exhausted,
            trial_days=plan.trial_days,
            bill_trial_usage=plan.bill_trial_usage,
            converts_to=ConvertsToBody.of(plan.converts_to) if plan.converts_to else None,
        )


def _included_credits(body: IncludedCreditsBody) -> IncludedCredits:
    return IncludedCredits(
        unit=body.unit,
        amount_nanos=to_nanos(body.amount),
        expires=body.expires,
        rollover_max_nanos=to_nanos(body.rollover_max or Decimal(0)),
        rollover_min_nanos=to_nanos(body.rollover_min or Decimal(0)),
        refill=body.refill,
    )


def _included_credits_body(credit: IncludedCredits) -> IncludedCreditsBody:
    rolls_over = credit.expires == "period_end"
    return IncludedCreditsBody(
        unit=credit.unit,
        amount=from_nanos(credit.amount_nanos),
        expires=credit.expires,
        rollover_max=from_nanos(credit.rollover_max_nanos) if rolls_over else None,
        rollover_min=from_nanos(credit.rollover_min_nanos) if credit.rollover_min_nanos else None,
        refill=credit.refill,
    )


def _rate_body(rate: Rate) -> RateBody:
    if rate.price is None:
        raise ValueError("published rates have prices")
    return RateBody(
        meter=rate.meter, where=dict(rate.where), price=of_price(rate.price), unit=rate.unit
    )


class PlanQuery(QueryModel):
    """Which version of a plan; the newest if none is named."""

    version: Annotated[int, Field(ge=1)] | None = None
