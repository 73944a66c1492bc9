"""Closing a period: its totals freeze, its invoice is made, and later usage of it becomes late."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.advancing import advance
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.credits import Grant, Purse
from shared.domain.customers import Subscription
from shared.domain.discounts import reduced
from shared.domain.fees import Fee, period_fee
from shared.domain.invoices import Invoice, Line, period_invoice
from shared.domain.minimums import with_true_up
from shared.domain.opening import Beginning, begin_next, due_terms, next_plan, period_span
from shared.domain.prices import can_fall
from shared.domain.rating import add_totals, settle, subtract_totals
from shared.domain.recurring import renewal_lines, renewed

LAST_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Closing:
    """The account without the closed period, its frozen phases (and those that late usage moved
    on), the terms after it, and the invoice, or None when there is nothing to put on one.
    """

    account: Account
    subscription: Subscription
    closed: tuple[ClosedPhase, ...]
    invoice: Invoice | None


def upcoming_fee(
    account: Account, period: int, subscription: Subscription, catalogue: Catalogue
) -> Fee | None:
    """The fee that a period's invoice charges in advance: the one of the period after it."""
    following = _following(account, period, subscription, catalogue)
    if following is None:
        return None
    beginning, plan = following
    return period_fee(plan, beginning.span, period + 1, beginning.terms.quantity)


def upcoming_add_ons(
    account: Account, period: int, subscription: Subscription, catalogue: Catalogue
) -> tuple[Line, ...]:
    """The lines of the recurring add-ons that a period's invoice charges in advance.

    A trial and a pause go without, and so does a period that began with a change of plan.
    """
    following = _following(account, period, subscription, catalogue)
    if following is None or following[0].state != "active":
        return ()
    beginning, plan = following
    held = renewed(beginning.terms.add_ons, period + 1)
    return renewal_lines(held, catalogue, plan, beginning.span)


def _following(
    account: Account, period: int, subscription: Subscription, catalogue: Catalogue
) -> tuple[Beginning, Plan] | None:
    """How the period after it begins, and the plan in force; None if that was invoiced at once."""
    after = [p for p in account.phases if p.period == period + 1]
    if after and after[0].fee_invoiced:
        return None
    if after:
        plan = after[0].plan_in(catalogue)
        # A later change of rhythm moved the anchor; a period that it ended began at a boundary.
        running = after[0].period == account.current.period
        anchor = subscription.anchor if running else after[0].start
        span = period_span(plan, anchor, subscription.timezone, after[0].start)
        terms = replace(subscription, quantity=after[0].quantity)
        return Beginning(span, after[0].state, terms), plan
    if account.boundary < account.current.end:
        changed = advance(account, subscription, catalogue, ())
        return _following(changed.account, period, changed.subscription, catalogue)
    due = due_terms(account, subscription)
    beginning = begin_next(due, account.current, catalogue)
    return beginning, beginning.plan(next_plan(due, catalogue))


def settled(
    account: Account,
    catalogue: Catalogue,
    closed: Sequence[ClosedPhase],
    grants: Mapping[str, Grant],
    period: int,
) -> Account:
    """The account with the prices charged that can fall, up to an open period and late usage.

    They draw the credits that are open at their phase's end; late usage costs what it changes.
    """
    purse = Purse(tuple(grants.values()), account.grants)

    def charge(phase: Phase, totals: Sequence[Totals]) -> tuple[Totals, ...]:
        nonlocal purse
        after = []
        plan = phase.plan_in(catalogue)
        for rate, total in zip(plan.rate_cards, totals, strict=True):
            if not can_fall(rate.price, averaged=rate.averaged):
                after.append(total)
                continue
            # A phase that was replaced as it began is over in its first instant.
            at = max(phase.start, phase.end - LAST_INSTANT)
            charged = settle(rate, total, at, purse)
            after.append(charged.totals)
            purse = charged.purse
        return tuple(after)

    late = dict(account.late)
    for each in closed:
        if (number := each.phase.number) in late:
            whole = charge(each.phase, tuple(map(add_totals, each.billed, late[number])))
            late[number] = tuple(map(subtract_totals, whole, each.billed))
    phases = tuple(
        replace(p, totals=charge(p, p.totals)) if p.period <= period else p for p in account.phases
    )
    return replace(account, phases=phases, late=late, grants=purse.remaining)


def draft_invoice(
    account: Account,
    subscription: Subscription,
    catalogue: Catalogue,
    closed: Sequence[ClosedPhase],
    grants: Mapping[str, Grant],
    *,
    period: int | None = None,
) -> tuple[Invoice, Subscription]:
    """The invoice of an open period, the oldest by default: what closing it now would bill.

    With it, the terms that it would leave: the credit and the coupons for the next one.
    """
    period = account.phases[0].period if period is None else period
    account = settled(account, catalogue, closed, grants, period)
    return _invoice(account, subscription, catalogue, closed, period)


def _invoice(
    account: Account,
    subscription: Subscription,
    catalogue: Catalogue,
    closed: Sequence[ClosedPhase],
    period: int,
) -> tuple[Invoice, Subscription]:
    fee = upcoming_fee(account, period, subscription, catalogue)
    plan = fee.plan if fee else catalogue.plan(subscription.plan, subscription.plan_version)
    # Metering alone bills nothing, so the first fee decides the currency.
    currency = subscription.currency or plan.currency
    draft = period_invoice(
        account,
        period,
        closed,
        catalogue=catalogue,
        next_fee=fee.line() if fee else None,
        currency=currency,
    )
    add_ons = upcoming_add_ons(account, period, subscription, catalogue)
    draft = replace(draft, lines=(*draft.lines, *add_ons))
    return reduced(with_true_up(draft, account, subscription, catalogue), subscription)


def close_period(
    account: Account,
    subscription: Subscription,
    catalogue: Catalogue,
    closed: Sequence[ClosedPhase],
    grants: Mapping[str, Grant],
    *,
    now: datetime,
) -> Closing:
    """Closes the oldest open period, which must have ended and have a successor."""
    period = account.phases[0].period
    account = settled(account, catalogue, closed, grants, period)
    draft, terms = _invoice(account, subscription, catalogue, closed, period)
    ended = [p for p in account.phases if p.period == period]
    invoice = draft if _is_due(draft, ended, catalogue) else None
    reference = invoice.id if invoice else ""
    frozen = [ClosedPhase(p, p.totals, now, reference) for p in ended]
    moved = [
        replace(c, billed=tuple(map(add_totals, c.billed, account.late[c.phase.number])))
        for c in closed
        if c.phase.number in account.late
    ]
    after = replace(
        account,
        version=account.version + 1,
        phases=tuple(p for p in account.phases if p.period != period),
        late={},
    )
    return Closing(after, terms, (*frozen, *moved), invoice)


def _is_due(draft: Invoice, ended: Sequence[Phase], catalogue: Catalogue) -> bool:
    """Whether there is an invoice at all: of a free plan only if something on it costs."""
    free = all(phase.plan_in(catalogue).converts_to for phase in ended)
    return any(line.amount for line in draft.lines) if free else bool(draft.lines)


def break_expired(
    account: Account, grants: Mapping[str, Grant], now: datetime, grace: timedelta
) -> Account | None:
    """The account without the remainders of grants whose expiry and grace have passed."""

    def broken(grant_id: str) -> bool:
        expires_at = grants[grant_id].expires_at
        return expires_at is not None and expires_at + grace <= now

    left = {
        unit: {grant: nanos for grant, nanos in held.items() if not broken(grant)}
        for unit, held in account.grants.items()
    }
    left = {unit: held for unit, held in left.items() if held}
    if left == account.grants:
        return None
    return replace(account, version=account.version + 1, grants=left)


def next_due(account: Account, grants: Iterable[Grant], grace: timedelta) -> datetime:
    """When the next step falls due: opening, change, closing, breakage, a reservation's end."""
    moments = [account.boundary]
    if account.reserved_until is not None:
        moments.append(account.reserved_until)
    if len({p.period for p in account.phases}) > 1:
        moments.append(account.oldest_period_end + grace)
    held = account.open_grants
    moments += [g.expires_at + grace for g in grants if g.expires_at and g.id in held]
    return min(moments)
