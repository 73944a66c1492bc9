"""Opening phases: what a customer is given at a period's start, and what rolls over into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import MAX_OPEN_PHASES, Account, Phase, Totals, allowance_unit
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.credits import Grant, Purse, draw_order
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import RatingError
from shared.domain.money import to_nanos
from shared.domain.periods import parse_days, period_containing, prorate
from shared.domain.rating import charge_opening


@dataclass(frozen=True, slots=True)
class Opening:
    """The account with the new phase, the grants it was given, and the terms from now on."""

    account: Account
    grants: tuple[Grant, ...]
    subscription: Subscription


@dataclass(frozen=True, slots=True)
class Span:
    """A phase's [start, end) inside the whole period that fees and allowances are for."""

    start: datetime
    end: datetime
    whole_start: datetime

    def share(self, nanos: int) -> int:
        """The part of an amount for a whole period that falls to this span, by the second."""
        whole = int((self.end - self.whole_start).total_seconds())
        return prorate(nanos, int((self.end - self.start).total_seconds()), whole)


def period_span(plan: Plan, anchor: datetime, timezone: str, at: datetime) -> Span:
    """The rest, from `at` on, of the plan's period that holds `at`."""
    start, end = period_containing(plan.interval, plan.period, anchor, timezone, at)
    return Span(max(at, start), end, start)


def start_subscription(
    customer: Customer, plan: Plan, started_at: datetime
) -> tuple[Opening, Span]:
    """The first phase of a new customer, from `started_at` to its first period boundary."""
    started_at = started_at.replace(microsecond=0)
    span = period_span(plan, started_at, customer.timezone, started_at)
    subscription = Subscription(
        customer=customer.key,
        plan=plan.key,
        plan_version=plan.version,
        anchor=started_at,
        timezone=customer.timezone,
        due_at=span.end,
        test_clock=customer.test_clock,
        currency=plan.currency if plan.bills else None,
    )
    account = Account(customer.key, test_clock=customer.test_clock)
    opening = open_phase(account, plan, span, 1, subscription, fee_invoiced=True)
    return opening, span


def next_plan(subscription: Subscription, catalogue: Catalogue) -> Plan:
    """The plan that the next period opens on.

    A customer without a chosen plan moves to the default as soon as there is one.
    """
    if subscription.next_plan is not None and subscription.next_plan_version is not None:
        return catalogue.plan(subscription.next_plan, subscription.next_plan_version)
    current = catalogue.plan(subscription.plan, subscription.plan_version)
    if current.version:
        return current
    default = catalogue.default_plan()
    return default if subscription.currency in (None, default.currency) else current


def billed_currency(subscription: Subscription, plan: Plan) -> str | None:
    """What the customer is billed in once it is on the plan; None while nothing ever billed."""
    return subscription.currency or (plan.currency if plan.bills else None)


def next_span(
    plan: Plan, current: Plan, subscription: Subscription, boundary: datetime
) -> tuple[Span, datetime]:
    """The period that starts at the boundary, and the anchor it is computed from.

    A plan with another rhythm than the current one takes the boundary as its own anchor.
    """
    same = (plan.interval, plan.period) == (current.interval, current.period)
    anchor = subscription.anchor if same else boundary
    return period_span(plan, anchor, subscription.timezone, boundary), anchor


def open_next_period(
    account: Account,
    subscription: Subscription,
    catalogue: Catalogue,
    grants: Sequence[Grant],
) -> Opening:
    """Opens the period that follows the account's last phase.

    Raises: RatingError when too many phases are open; NotFoundError for an unknown plan version.
    """
    last = account.current
    current = catalogue.plan(subscription.plan, subscription.plan_version)
    plan = next_plan(subscription, catalogue)
    span, anchor = next_span(plan, current, subscription, last.end)
    rolled, remaining = _roll_over(account, grants, span, last.number + 1)
    terms = replace(
        subscription,
        plan=plan.key,
        plan_version=plan.version,
        anchor=anchor,
        currency=billed_currency(subscription, plan),
        next_plan=None,
        next_plan_version=None,
    )
    continued = replace(account, grants=remaining)
    return open_phase(continued, plan, span, last.period + 1, terms, grants=grants, rolled=rolled)


def open_phase(
    account: Account,
    plan: Plan,
    span: Span,
    period: int,
    subscription: Subscription,
    *,
    grants: Sequence[Grant] = (),
    rolled: Sequence[Grant] = (),
    fee_invoiced: bool = False,
) -> Opening:
    """Adds a phase with the plan's grants, and charges what each rate costs at zero usage.

    Raises: RatingError when too many phases are open.
    """
    if len(account.phases) >= MAX_OPEN_PHASES:
        raise RatingError("too many open phases")
    number = account.phases[-1].number + 1 if account.phases else 1
    given = (*rolled, *plan_grants(account.customer, plan, span, number))
    purse = Purse((*grants, *given), account.grants)
    for grant in given:
        left = {**purse.remaining.get(grant.unit, {}), grant.id: grant.amount}
        purse = purse.holding(grant.unit, left)
    totals: list[Totals] = []
    for rate in plan.rate_cards:
        charge = charge_opening(rate, span.start, purse)
        totals.append(charge.totals)
        purse = charge.purse
    phase = Phase(
        number, period, span.start, span.end, plan.key, plan.version, tuple(totals), fee_invoiced
    )
    opened = replace(
        account,
        phases=(*account.phases, phase),
        grants=purse.remaining,
        validity={**account.validity, **{grant.id: grant.validity for grant in given}},
    )
    return Opening(opened, given, subscription)


def plan_grants(customer: str, plan: Plan, span: Span, number: int) -> tuple[Grant, ...]:
    """The plan's allowances and included credits for the span, prorated by the second."""

    def grant(suffix: str, unit: str, nanos: int, expires_at: datetime | None) -> Grant:
        return Grant(
            id=f"p{number}-{suffix}",
            customer=customer,
            unit=unit,
            amount=span.share(nanos),
            source="plan",
            effective_at=span.start,
            created_at=span.start,
            expires_at=expires_at,
        )

    given = [
        grant(f"a{i}", allowance_unit(item.meter), to_nanos(item.quantity), span.end)
        for i, item in enumerate(plan.allowances)
    ]
    for i, item in enumerate(plan.credits):
        expires_at = _credit_expiry(item.expires, span)
        credit = grant(f"c{i}", item.unit, item.amount_nanos, expires_at)
        given.append(replace(credit, rollover_max=item.rollover_max_nanos))
    return tuple(g for g in given if g.amount > 0)


def _credit_expiry(expires: str, span: Span) -> datetime | None:
    if expires == "period_end":
        return span.end
    return None if expires == "never" else span.start + timedelta(days=parse_days(expires))


def _roll_over(
    account: Account, grants: Sequence[Grant], span: Span, number: int
) -> tuple[tuple[Grant, ...], Mapping[str, Mapping[str, int]]]:
    """Moves what may roll over of the grants that expire at the boundary into new grants.

    One new grant per unit, at most the largest cap. It keeps the old effective date, so that usage
    of the ended period which is still on its way draws the expired remainder first, then it.
    """
    remaining = {unit: dict(left) for unit, left in account.grants.items()}
    rolled = []
    for unit in sorted(remaining):
        held = [g for g in grants if g.id in remaining[unit]]
        ending = [g for g in held if g.rollover_max > 0 and g.expires_at == span.start]
        budget = max((g.rollover_max for g in ending), default=0)
        moved = 0
        for grant in sorted(ending, key=draw_order, reverse=True):
            part = min(remaining[unit][grant.id], budget - moved)
            moved += part
            remaining[unit][grant.id] -= part
        if moved:
            rolled.append(_rolled_grant(ending, unit, moved, span, number))
        remaining[unit] = {key: nanos for key, nanos in remaining[unit].items() if nanos}
    return tuple(rolled), {unit: left for unit, left in remaining.items() if left}


def _rolled_grant(ending: Sequence[Grant], unit: str, nanos: int, span: Span, number: int) -> Grant:
    newest = max(ending, key=lambda g: g.effective_at)
    return replace(
        newest,
        id=f"p{number}-r-{unit}",
        amount=nanos,
        created_at=span.start,
        expires_at=span.end,
    )
