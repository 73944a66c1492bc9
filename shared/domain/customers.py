"""Who is billed, and on what terms: the customer and its subscription."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.coupons import AppliedCoupon


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer's profile. `test_clock` names the clock it lives on, if not the real one."""

    key: str
    created_at: datetime
    timezone: str = "UTC"
    currency: str | None = None
    name: str | None = None
    email: str | None = None
    traits: Mapping[str, str] = field(default_factory=dict)
    test_clock: str | None = None
    archived_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class SubscribedAddOn:
    """A recurring add-on, in the version and of the number bought in the period `since`.

    It was charged for the rest of that one; `until` is the first period without it, if it ends.
    """

    add_on: str
    version: int
    quantity: int
    since: int
    until: int | None = None

    def lasts(self, period: int) -> bool:
        """Whether it is not over by the period."""
        return self.until is None or period < self.until


@dataclass(frozen=True, slots=True)
class Subscription:
    """The terms that the next period opens on; the running terms are the account's open phases.

    `anchor` is the start that period boundaries are computed from. `next_plan` and
    `next_plan_version`, when set, take over at the next period's start, or when the account says:
    also after a cancellation, which chooses the default plan.
    `quantity` is the number of seats now, `paused` whether nothing is billed until it is resumed;
    `next_quantity` and `next_paused` change with the plan. Trials count from `trial_started_at`,
    for good.
    `due_at` is when the next scheduled step falls due; the billing run finds customers by it.
    `currency` is that of the first plan that bills, for good; `credit_nanos` of it are the
    customer's, left over by invoices that came out below zero. `coupons` are those it was given,
    in that order; `add_ons` the recurring ones that it bought. `version` guards concurrent changes.
    `test_clock` is the customer's: the billing run of the real clock leaves it alone.
    """

    customer: str
    plan: str
    plan_version: int
    anchor: datetime
    timezone: str
    due_at: datetime
    next_plan: str | None = None
    next_plan_version: int | None = None
    test_clock: str | None = None
    currency: str | None = None
    credit_nanos: int = 0
    coupons: tuple[AppliedCoupon, ...] = ()
    quantity: int = 1
    next_quantity: int | None = None
    paused: bool = False
    next_paused: bool | None = None
    trial_started_at: datetime | None = None
    add_ons: tuple[SubscribedAddOn, ...] = ()
    version: int = 0

    @property
    def scheduled(self) -> bool:
        """Whether something changes with the next period."""
        return (self.next_plan, self.next_quantity, self.next_paused) != (None, None, None)

    def without_schedule(self) -> "Subscription":
        """The terms with nothing to change."""
        return replace(
            self, next_plan=None, next_plan_version=None, next_quantity=None, next_paused=None
        )

    def scheduled_as(self, other: "Subscription") -> "Subscription":
        """The terms with what the other ones have scheduled."""
        return replace(
            self,
            next_plan=other.next_plan,
            next_plan_version=other.next_plan_version,
            next_quantity=other.next_quantity,
            next_paused=other.next_paused,
        )
