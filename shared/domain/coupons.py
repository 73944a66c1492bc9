"""Coupons: what takes something off what a customer is billed, for how many billing periods.

A coupon that is applied keeps the terms that it was applied with. It is for billing periods: it
takes something off what a period costs, whichever invoice bills that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

Duration = Literal["once", "periods", "forever"]
AppliedState = Literal["active", "ended"]

# Applied coupons stand with the customer's terms, in one small item.
MAX_ACTIVE = 8


@dataclass(frozen=True, slots=True)
class Coupon:
    """One published version of a coupon: a percentage, or an amount of a currency in nanos.

    A percentage lasts for one billing period (`once`), for so many in a row, or `forever`. An
    amount that is given `once` lasts until it is used up; else it is given anew for each period.
    `plans` are those whose prices it lowers (none: all). It can be applied before `redeem_by`,
    `max_redemptions` times over all customers and versions, and unless it is archived.
    """

    key: str
    version: int
    name: str
    percentage: Decimal | None = None
    amount_nanos: int = 0
    currency: str | None = None
    duration: Duration = "once"
    periods: int | None = None
    plans: tuple[str, ...] = ()
    redeem_by: datetime | None = None
    max_redemptions: int | None = None
    archived: bool = False

    @property
    def is_budget(self) -> bool:
        """Whether it is one amount, used up over as many invoices as that takes."""
        return self.percentage is None and self.duration == "once"

    @property
    def lasts(self) -> int | None:
        """For how many billing periods in a row it is; None: no end is set by them."""
        if self.duration == "once":
            return None if self.is_budget else 1
        return self.periods

    def prices(self, plan: str, currency: str) -> bool:
        """Whether it lowers the prices of a plan, on an invoice in the currency."""
        return self.currency in (None, currency) and (not self.plans or plan in self.plans)


@dataclass(frozen=True, slots=True)
class AppliedCoupon:
    """A coupon that a customer has.

    It is for billing periods from `first` on; once it has taken something off (`started`), that
    is the first one that it did so for. It was ended for periods from `ended_from` on. `taken` is
    what an amount took off of each period that is open, in nanos; a budget's is under period 0.
    """

    id: str
    coupon: Coupon
    applied_at: datetime
    first: int
    started: bool = False
    ended_from: int | None = None
    taken: Mapping[int, int] = field(default_factory=dict)

    @property
    def last(self) -> int | None:
        """The last billing period that it is for, None if that is not known."""
        lasts = self.coupon.lasts if self.started else None
        ends = [] if lasts is None else [self.first + lasts - 1]
        ends += [] if self.ended_from is None else [self.ended_from - 1]
        return min(ends, default=None)

    def covers(self, period: int) -> bool:
        """Whether it takes something off what the billing period costs."""
        return period >= self.first and (self.last is None or period <= self.last)

    def left(self, period: int) -> int:
        """What is left of an amount for the billing period, in nanos."""
        return self.coupon.amount_nanos - self.taken.get(self.purse(period), 0)

    def purse(self, period: int) -> int:
        """Under which number `taken` has what it took off of the billing period."""
        return 0 if self.coupon.is_budget else period

    def periods_left(self, period: int) -> int | None:
        """For how many billing periods it is, from this one on; None: no end is set by them."""
        lasts = self.coupon.lasts
        if self.last is None:
            return lasts
        return max(0, self.last - max(period, self.first) + 1)

    def state(self, period: int) -> AppliedState:
        """Whether it may still take something off of the billing period or a later one."""
        used_up = self.coupon.is_budget and not self.left(period)
        over = self.last is not None and self.last < max(period, self.first)
        return "ended" if used_up or over else "active"


@dataclass(frozen=True, slots=True)
class Discount:
    """What a discount line is of: the applied coupon, and what was left of an amount before it."""

    applied: str
    coupon: Coupon
    left: int | None
