"""Coupons on the wire: published ones, and those that a customer has."""

from decimal import Decimal
from typing import Annotated, ClassVar

from pydantic import Field, ValidationInfo, field_validator

from shared.domain.coupons import AppliedCoupon, AppliedState, Coupon, Duration
from shared.domain.money import from_nanos, to_nanos
from shared.wire.common import (
    Bounds,
    DecimalText,
    Identifier,
    Items,
    Slug,
    Time,
    WireModel,
    refuse,
)
from shared.wire.plans import money
from shared.wire.prices import Currency, once

MAX_PERIODS = 1_000
MAX_PLANS = 50
MAX_REDEMPTIONS = 1_000_000_000
# With more decimals a percentage of minor units would not come out exact in nanos.
Percent = Annotated[Decimal, Bounds(4, lowest=Decimal("0.0001"), highest=Decimal(100))]
AmountOff = Annotated[Decimal, Bounds(3, lowest=Decimal("0.001"))]


class CouponBody(WireModel):
    """A percentage off, or an amount of a currency, of what billing periods cost.

    A percentage is for one period (`once`), for so many in a row, or `forever`. An amount given
    `once` lasts until it is used up, else it is given anew for each period. `plans` are those whose
    prices it lowers, all if there are none. It can be applied before `redeem_by`, at most
    `max_redemptions` times over all customers and versions, and unless it is `archived`.
    """

    name: Identifier
    percentage: Percent | None = None
    currency: Currency | None = None
    amount: AmountOff | None = Field(default=None, validate_default=True)
    duration: Duration = "once"
    periods: Annotated[int, Field(ge=1, le=MAX_PERIODS)] | None = Field(
        default=None, validate_default=True
    )
    plans: Annotated[Items[Slug], Field(max_length=MAX_PLANS)] = ()
    redeem_by: Time | None = None
    max_redemptions: Annotated[int, Field(ge=1, le=MAX_REDEMPTIONS)] | None = None
    archived: bool = False

    @field_validator("currency")
    @classmethod
    def _of_an_amount(cls, currency: str | None, info: ValidationInfo) -> str | None:
        if currency is not None and info.data.get("percentage") is not None:
            raise refuse("not-for-percentage")
        return currency

    @field_validator("amount")
    @classmethod
    def _one_of_two(cls, amount: Decimal | None, info: ValidationInfo) -> Decimal | None:
        if not {"percentage", "currency"} <= set(info.data):
            return amount
        percentage, currency = info.data["percentage"], info.data["currency"]
        if (amount is None) == (percentage is None):
            raise refuse("required" if amount is None else "percentage-and-amount")
        if amount is None:
            return None
        if currency is None:
            raise refuse("currency-required")
        return money(amount, currency)

    @field_validator("periods")
    @classmethod
    def _only_of_periods(cls, periods: int | None, info: ValidationInfo) -> int | None:
        if "duration" in info.data and (periods is None) == (info.data["duration"] == "periods"):
            raise refuse("required" if periods is None else "only-for-periods")
        return periods

    @field_validator("plans")
    @classmethod
    def _each_plan_once(cls, plans: tuple[str, ...]) -> tuple[str, ...]:
        return once(plans, lambda plan: plan, "duplicate-plan")

    def to_coupon(self, key: str) -> Coupon:
        """The coupon; its version is not known yet."""
        return Coupon(
            key=key,
            version=0,
            name=self.name,
            percentage=self.percentage,
            amount_nanos=to_nanos(self.amount or Decimal(0)),
            currency=self.currency,
            duration=self.duration,
            periods=self.periods,
            plans=self.plans,
            redeem_by=self.redeem_by,
            max_redemptions=self.max_redemptions,
            archived=self.archived,
        )


class CouponAnswer(CouponBody):
    """One published version of a coupon, and how often all its versions were given.

    A coupon that was ended for a customer was given all the same: `redemptions` only grows.
    """

    untagged: ClassVar[frozenset[str]] = frozenset({"redemptions"})

    key: str
    version: int
    redemptions: int = 0

    @classmethod
    def of(cls, coupon: Coupon, redemptions: int = 0) -> "CouponAnswer":
        """The coupon as the wire has it."""
        return cls(
            key=coupon.key,
            version=coupon.version,
            name=coupon.name,
            percentage=coupon.percentage,
            currency=coupon.currency,
            amount=_amount(coupon),
            duration=coupon.duration,
            periods=coupon.periods,
            plans=coupon.plans,
            redeem_by=coupon.redeem_by,
            max_redemptions=coupon.max_redemptions,
            archived=coupon.archived,
            redemptions=redemptions,
        )


class ApplyCouponBody(WireModel):
    """The key of the coupon, which is applied in its newest version."""

    coupon: Slug


class AppliedCouponView(WireModel):
    """A coupon that a customer has, and what is left of it.

    It is for billing periods from `first_period` on, up to `last_period` once that is known.
    `periods_left` counts from the current period on and is null where no number of them is set;
    `amount_left` is what is left of an amount for the current period.
    """

    id: str
    coupon: str
    version: int
    name: str
    percentage: DecimalText | None
    amount: DecimalText | None
    currency: str | None
    duration: Duration
    plans: list[str]
    applied_at: Time
    state: AppliedState
    first_period: int
    last_period: int | None
    periods_left: int | None
    amount_left: DecimalText | None

    @classmethod
    def of(cls, applied: AppliedCoupon, period: int) -> "AppliedCouponView":
        """The coupon as it stands in a billing period."""
        coupon = applied.coupon
        is_amount = coupon.percentage is None
        return cls(
            id=applied.id,
            coupon=coupon.key,
            version=coupon.version,
            name=coupon.name,
            percentage=coupon.percentage,
            amount=_amount(coupon),
            currency=coupon.currency,
            duration=coupon.duration,
            plans=list(coupon.plans),
            applied_at=applied.applied_at,
            state=applied.state(period),
            first_period=applied.first,
            last_period=applied.last,
            periods_left=applied.periods_left(period),
            amount_left=from_nanos(applied.left(period)) if is_amount else None,
        )


def _amount(coupon: Coupon) -> Decimal | None:
    return None if coupon.percentage is not None else from_nanos(coupon.amount_nanos)
