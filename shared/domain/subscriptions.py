"""Changing plans: at once, with prorated fees, or at the period's end. Never backdated."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account, Phase
from shared.domain.catalogue import Plan
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.errors import ConflictError
from shared.domain.invoices import Fee, Invoice, invoice_id
from shared.domain.opening import (
    Opening,
    Span,
    billed_currency,
    open_phase,
    period_span,
)


class LowerFeeError(ConflictError):
    """At once, the change would give money back: it takes effect at the period's end."""

    code = "lower-fee"


When = Literal["now", "period_end"]


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A change carried out: the opened phase, and the fees to invoice at once."""

    opening: Opening
    fees: tuple[Fee, ...]


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

    The unused rest of the old fee is credited and the new fee charged, both by the second. A plan
    with another rhythm starts a billing period of its own.

    Raises: ConflictError when the change would lower the fee at once, or change the currency.
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
    fees = _fees(current, wanted, unused, span)
    if sum(fee.nanos for fee in fees) < 0:
        raise LowerFeeError("What is left of the fee exceeds the new one: ask for period_end.")
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
    return PlanChange(replace(opening, account=opened), fees)


def _not_before_usage(now: datetime, phase: Phase) -> datetime:
    """Usage a little ahead of the clock may have opened the phase, and stays in it."""
    after_latest = phase.latest + timedelta(microseconds=1) if phase.latest else now
    return min(max(now, phase.start, after_latest), phase.end)


def _fees(current: Plan, wanted: Plan, unused: Span, span: Span) -> tuple[Fee, ...]:
    fees = []
    if current.fee_nanos:
        credit = -unused.share(current.fee_nanos)
        words = f"{current.name} fee, unused time"
        fees.append(Fee(current, unused, credit, "proration", words))
    if wanted.fee_nanos:
        fees.append(Fee(wanted, span, span.share(wanted.fee_nanos)))
    return tuple(fees)


def fee_invoice(
    account: Account, kind: Literal["start", "change"], fees: tuple[Fee, ...]
) -> Invoice | None:
    """The invoice of fees that are due at once; None when there are none."""
    if not fees:
        return None
    phase = account.current
    return Invoice(
        id=invoice_id(account.customer, kind, str(phase.number)),
        customer=account.customer,
        kind=kind,
        period=phase.period,
        start=phase.start,
        end=phase.end,
        currency=fees[-1].plan.currency,
        lines=tuple(fee.line() for fee in fees),
    )
