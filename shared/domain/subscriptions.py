"""Changing plans: at an instant, with prorated fees, or at the period's end. Never backdated."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account, Phase
from shared.domain.catalogue import Plan
from shared.domain.credits import Grant, Purse
from shared.domain.customers import Subscription
from shared.domain.discounts import reduced
from shared.domain.errors import ConflictError
from shared.domain.fees import Fee, period_fee
from shared.domain.invoices import Invoice, invoice_id
from shared.domain.money import divide
from shared.domain.opening import (
    Beginning,
    Opening,
    begin,
    billed_currency,
    open_phase,
    period_span,
    plan_grants,
    state_of,
)
from shared.domain.periods import Span
from shared.domain.recurring import carried_over
from shared.domain.refilling import unused_of

When = Literal["now", "period_end"]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A change carried out: the opened phase, and the fees that are due at once on its invoice.

    `gives_back`: the unused rest of the old fee exceeds the new one.
    """

    opening: Opening
    fees: tuple[Fee, ...]
    gives_back: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What a subscription is to be: a published plan, a number of seats, paused or not."""

    plan: Plan
    quantity: int = 1
    paused: bool = False

    @staticmethod
    def current(subscription: Subscription, plan: Plan) -> "Target":
        """What it is; `plan` is the one in force."""
        return Target(plan, subscription.quantity, subscription.paused)

    @staticmethod
    def scheduled(subscription: Subscription, plan: Plan) -> "Target":
        """What it is to be; `plan` is the next one."""
        paused = subscription.next_paused
        return Target(
            plan,
            subscription.next_quantity or subscription.quantity,
            subscription.paused if paused is None else paused,
        )

    def differs_in_seats(self, other: "Target") -> bool:
        """Whether it is another number of seats, and nothing else."""
        return self != other and self == replace(other, quantity=self.quantity)

    @property
    def fee_nanos(self) -> int:
        """The fee for a whole period."""
        return 0 if self.paused else self.plan.fee_nanos * self.quantity


def default_moment(current: Target, wanted: Target) -> When:
    """Upgrades take effect at once, downgrades at the period's end."""
    return "now" if wanted.fee_nanos >= current.fee_nanos else "period_end"


def check_currency(subscription: Subscription, wanted: Plan) -> None:
    """One customer is billed in one currency: late usage and the next fee share an invoice.

    Raises: ConflictError.
    """
    if wanted.bills and subscription.currency not in (None, wanted.currency):
        raise ConflictError("The plan is in another currency.")


def schedule_change(subscription: Subscription, wanted: Target) -> Subscription:
    """The terms with the target taking over at the next period's start, or a chosen instant."""
    return replace(
        subscription,
        next_plan=wanted.plan.key,
        next_plan_version=wanted.plan.version,
        next_quantity=wanted.quantity,
        next_paused=wanted.paused,
    )


def change_now(
    account: Account,
    subscription: Subscription,
    *,
    current: Plan,
    wanted: Target,
    grants: Mapping[str, Grant],
    now: datetime,
) -> PlanChange:
    """Ends the current phase at `now` and starts one on the wanted plan, or its pause.

    The unused rest of the old fee is credited and the new fee charged, both by the second. Where
    that gives money back, no more is credited than is unused of what the phase was given, and
    what the invoice is below zero stays the customer's. A plan with another rhythm starts a
    billing period of its own, as a trial does.
    """
    last = account.current
    now = _not_before_usage(now, last)
    whole = period_span(current, subscription.anchor, subscription.timezone, last.start)
    unused = Span(now, last.end, whole.whole_start)
    beginning, same_period = _begin_within(last, subscription, current, wanted, unused)
    period = last.period if same_period else last.period + 1
    charge = period_fee(beginning.plan(wanted.plan), beginning.span, period, wanted.quantity)
    paid = current.in_force(last.state, subscription.quantity)
    credit = unused.share(paid.fee_nanos)
    gives_back = credit > (charge.nanos if charge else 0)
    if gives_back:
        given = current.in_force(last.state, last.quantity)
        purse = Purse(tuple(grants.values()), account.grants)
        credit = min(credit, _fee_of_unused(account, purse, paid, given, unused))
    phases = (*account.phases[:-1], replace(last, end=now))
    ended = replace(account, phases=phases, changes_at=None)
    held = tuple(grants.values())
    opening = open_phase(ended, wanted.plan, beginning, period, grants=held, fee_invoiced=True)
    opened = replace(opening.account, version=account.version + 1)
    credited = _credited(paid, unused, last.period, credit, subscription.quantity)
    fees = (*credited, *((charge,) if charge else ()))
    reference = str(opened.current.number)
    invoice, terms = fee_invoice(opened, "change", fees, opening.subscription, reference)
    changed = Opening(opened, opening.grants, terms, opening.at, "subscription", invoice)
    return PlanChange(changed, fees, gives_back)


def _begin_within(
    last: Phase, subscription: Subscription, current: Plan, wanted: Target, rest: Span
) -> tuple[Beginning, bool]:
    """The phase that takes over the rest of the current period; whether it is of that period."""
    plan = wanted.plan
    terms = replace(
        subscription,
        plan=plan.key,
        plan_version=plan.version,
        currency=billed_currency(subscription, plan),
        quantity=wanted.quantity,
        paused=wanted.paused,
        add_ons=carried_over(subscription.add_ons, current, plan, last.period + 1),
    ).without_schedule()
    state = state_of(terms, plan, rest.start)
    same_rhythm = (plan.interval, plan.period) == (current.interval, current.period)
    if same_rhythm and current.version > 0 and "trial" not in (last.state, state):
        return Beginning(rest, state, terms), True
    return begin(terms, plan, rest.start, anew=True), False


def change_quantity(
    account: Account, subscription: Subscription, *, current: Plan, quantity: int, now: datetime
) -> Opening:
    """Another number of seats from now on, and the invoice of the difference.

    The fee of the old number is credited and that of the new one charged, both by the second. The
    phase goes on: tiers do not start afresh, and the next period gives what is given per seat.
    """
    phase = account.current
    now = min(max(now, phase.start), phase.end)
    whole = period_span(current, subscription.anchor, subscription.timezone, phase.start)
    rest = Span(now, phase.end, whole.whole_start)
    paid = current.in_force(phase.state, subscription.quantity)
    charge = period_fee(current.in_force(phase.state, quantity), rest, phase.period, quantity)
    credit = rest.share(paid.fee_nanos)
    credited = _credited(paid, rest, phase.period, credit, subscription.quantity)
    fees = (*credited, *((charge,) if charge else ()))
    reference = f"{phase.number}.{subscription.version}"
    invoice, left = fee_invoice(account, "change", fees, subscription, reference)
    terms = replace(left, quantity=quantity).without_schedule()
    longer = replace(phase, seats=(*phase.seats, (now, quantity)))
    phases = (*account.phases[:-1], longer)
    after = replace(account, phases=phases, changes_at=None, version=account.version + 1)
    return Opening(after, (), terms, now, "seats", invoice)


def _not_before_usage(now: datetime, phase: Phase) -> datetime:
    """Usage a little ahead of the clock may have opened the phase, and stays in it."""
    after_latest = phase.latest + timedelta(microseconds=1) if phase.latest else now
    return min(max(now, phase.start, after_latest), phase.end)


def _fee_of_unused(account: Account, purse: Purse, paid: Plan, gave: Plan, rest: Span) -> int:
    """The current phase's fee, times the smallest unused share of what it was given, in nanos.

    `paid` is the plan for the seats of now, `gave` for those that the phase began with; `rest` is
    what of the phase is unused.
    """
    phase = account.current
    span = replace(rest, start=phase.start)
    seconds = int((span.end - span.whole_start).total_seconds())
    fee = paid.fee_nanos * int((span.end - span.start).total_seconds())
    given = plan_grants(account.customer, gave, span, phase.number)
    left = unused_of(gave, given, purse, rest.start)
    shares = [divide(fee * nanos, seconds * grant.amount) for grant, nanos in left]
    return min(shares, default=paid.fee_nanos)


def _credited(plan: Plan, unused: Span, period: int, nanos: int, quantity: int) -> tuple[Fee, ...]:
    if not plan.fee_nanos:
        return ()
    words = f"{plan.name} fee, unused time"
    return (Fee(plan, unused, period, -nanos, quantity, "proration", words),)


def fee_invoice(
    account: Account,
    kind: Literal["start", "change"],
    fees: tuple[Fee, ...],
    terms: Subscription,
    reference: str = "1",
) -> tuple[Invoice | None, Subscription]:
    """The invoice of fees that are due at once, None when there are none; and the terms after it.

    `reference` tells changes apart.
    """
    if not fees:
        return None, terms
    phase = account.current
    invoice = Invoice(
        id=invoice_id(account.customer, kind, reference),
        customer=account.customer,
        kind=kind,
        period=phase.period,
        start=fees[-1].span.start,
        end=phase.end,
        currency=fees[-1].plan.currency,
        lines=tuple(fee.line() for fee in fees),
    )
    return reduced(invoice, terms)
