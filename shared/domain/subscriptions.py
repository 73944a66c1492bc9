"""Changing plans: at once, with prorated fees, or at the period's end. Never backdated."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account, Phase
from shared.domain.carrying import carry
from shared.domain.catalogue import Plan
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.errors import ConflictError
from shared.domain.invoices import Fee, Invoice, invoice_id, period_fee
from shared.domain.money import divide
from shared.domain.opening import (
    Opening,
    Span,
    billed_currency,
    open_phase,
    period_span,
    plan_grants,
)

When = Literal["now", "period_end"]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A change carried out: the opened phase, and the fees that are due at once on an invoice.

    `gives_back`: the unused rest of the old fee exceeds the new one.
    """

    opening: Opening
    fees: tuple[Fee, ...]
    invoice: Invoice | None
    gives_back: bool


def default_moment(current: Plan, wanted: Plan) -> When:
    """Upgrades take effect at once, downgrades at the period's end."""
    return "now" if wanted.fee_nanos >= current.fee_nanos else "period_end"


def check_currency(subscription: Subscription, wanted: Plan) -> None:
    """One customer is billed in one currency: late usage and the next fee share an invoice.

    Raises: ConflictError.
    """
    if wanted.bills and subscription.currency not in (None, wanted.currency):
        raise ConflictError("The plan is in another currency.")


def schedule_change(subscription: Subscription, plan: Plan) -> Subscription:
    """The terms with the plan taking over at the next period's start."""
    return replace(subscription, next_plan=plan.key, next_plan_version=plan.version)


def change_now(
    account: Account,
    subscription: Subscription,
    *,
    current: Plan,
    wanted: Plan,
    grants: Mapping[str, Grant],
    now: datetime,
) -> PlanChange:
    """Ends the current phase at `now` and starts one on the wanted plan.

    The unused rest of the old fee is credited and the new fee charged, both by the second. Where
    that gives money back, no more is credited than is unused of what the phase was given, and
    what the invoice is below zero stays the customer's. A plan with another rhythm starts a
    billing period of its own.

    Raises: ConflictError when the change would change the currency.
    """
    check_currency(subscription, wanted)
    last = account.current
    now = _not_before_usage(now, last)
    rhythm = (wanted.interval, wanted.period)
    same_period = rhythm == (current.interval, current.period) and current.version > 0
    whole = period_span(current, subscription.anchor, subscription.timezone, last.start)
    if same_period:
        span = Span(now, last.end, whole.whole_start)
        terms = subscription
    else:
        span = period_span(wanted, now, subscription.timezone, now)
        terms = replace(subscription, anchor=now)
    unused = Span(now, last.end, whole.whole_start)
    charge = period_fee(wanted, span)
    credit = unused.share(current.fee_nanos)
    gives_back = credit > (charge.nanos if charge else 0)
    if gives_back:
        credit = min(credit, _fee_of_unused(account, current, whole))
    terms = replace(
        terms,
        plan=wanted.key,
        plan_version=wanted.version,
        currency=billed_currency(subscription, wanted),
        next_plan=None,
        next_plan_version=None,
    )
    ended = replace(account, phases=(*account.phases[:-1], replace(last, end=now)))
    period = last.period if same_period else last.period + 1
    held = tuple(grants.values())
    opening = open_phase(ended, wanted, span, period, terms, grants=held, fee_invoiced=True)
    opened = replace(opening.account, version=account.version + 1)
    fees = (*_credited(current, unused, credit), *((charge,) if charge else ()))
    invoice, left = fee_invoice(opened, "change", fees, subscription.credit_nanos)
    opening = replace(
        opening,
        account=opened,
        subscription=replace(opening.subscription, credit_nanos=left),
    )
    return PlanChange(opening, fees, invoice, gives_back)


def _not_before_usage(now: datetime, phase: Phase) -> datetime:
    """Usage a little ahead of the clock may have opened the phase, and stays in it."""
    after_latest = phase.latest + timedelta(microseconds=1) if phase.latest else now
    return min(max(now, phase.start, after_latest), phase.end)


def _fee_of_unused(account: Account, plan: Plan, whole: Span) -> int:
    """The current phase's fee, times the smallest unused share of what it was given, in nanos."""
    phase = account.current
    span = Span(phase.start, phase.end, whole.whole_start)
    seconds = int((span.end - span.whole_start).total_seconds())
    fee = plan.fee_nanos * int((span.end - span.start).total_seconds())
    left = {key: nanos for held in account.grants.values() for key, nanos in held.items()}
    given = plan_grants(account.customer, plan, span, phase.number)
    unused = [divide(fee * left.get(g.id, 0), seconds * g.amount) for g in given]
    return min(unused, default=plan.fee_nanos)


def _credited(plan: Plan, unused: Span, nanos: int) -> tuple[Fee, ...]:
    if not plan.fee_nanos:
        return ()
    return (Fee(plan, unused, -nanos, "proration", f"{plan.name} fee, unused time"),)


def fee_invoice(
    account: Account, kind: Literal["start", "change"], fees: tuple[Fee, ...], credit: int = 0
) -> tuple[Invoice | None, int]:
    """The invoice of fees that are due at once, None when there are none; and the credit left.

    `credit` is what earlier invoices left over, in nanos.
    """
    if not fees:
        return None, credit
    phase = account.current
    invoice = Invoice(
        id=invoice_id(account.customer, kind, str(phase.number)),
        customer=account.customer,
        kind=kind,
        period=phase.period,
        start=phase.start,
        end=phase.end,
        currency=fees[-1].plan.currency,
        lines=tuple(fee.line() for fee in fees),
    )
    return carry(invoice, credit)
