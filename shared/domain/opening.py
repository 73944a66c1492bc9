"""Opening phases: what a customer is given at a period's start, and what rolls over into it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import MAX_OPEN_PHASES, Account, Phase, Totals, allowance_unit
from shared.domain.catalogue import Catalogue, PhaseState, Plan
from shared.domain.credits import Grant, Purse, draw_order
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import RatingError
from shared.domain.invoices import Invoice
from shared.domain.ledger import EntryKind
from shared.domain.money import to_nanos
from shared.domain.periods import Span, add_days, parse_days, period_containing
from shared.domain.rating import charge_opening
from shared.domain.recurring import carried_over, renewal_grants, renewed, still_billed
from shared.domain.refilling import refilled
from shared.domain.topping_up import topped_up


@dataclass(frozen=True, slots=True)
class Opening:
    """The account with the new phase, the grants it was given, and the terms from now on.

    `invoice` is of fees that are due `at` once. Where only the terms change, there is no new phase.
    """

    account: Account
    grants: tuple[Grant, ...]
    subscription: Subscription
    at: datetime
    kind: EntryKind = "opening"
    invoice: Invoice | None = None


def period_span(plan: Plan, anchor: datetime, timezone: str, at: datetime) -> Span:
    """The rest, from `at` on, of the plan's period that holds `at`."""
    start, end = period_containing(plan.interval, plan.period, anchor, timezone, at)
    return Span(max(at, start), end, start)


def start_subscription(
    customer: Customer, plan: Plan, started_at: datetime
) -> tuple[Opening, Span]:
    """The first phase of a new customer, from `started_at` to its first period boundary."""
    started_at = started_at.replace(microsecond=0)
    terms = Subscription(
        customer=customer.key,
        plan=plan.key,
        plan_version=plan.version,
        anchor=started_at,
        timezone=customer.timezone,
        due_at=started_at,
        test_clock=customer.test_clock,
        currency=plan.currency if plan.bills else None,
    )
    account = Account(customer.key, test_clock=customer.test_clock)
    beginning = begin(terms, plan, started_at, anew=False)
    beginning = replace(beginning, terms=replace(beginning.terms, due_at=beginning.span.end))
    return open_phase(account, plan, beginning, 1, fee_invoiced=True), beginning.span


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


@dataclass(frozen=True, slots=True)
class Beginning:
    """How a phase begins: its span, its state, and the terms from then on."""

    span: Span
    state: PhaseState
    terms: Subscription

    def plan(self, plan: Plan) -> Plan:
        """What of the published plan is in force."""
        return plan.in_force(self.state, self.terms.quantity)


def state_of(terms: Subscription, plan: Plan, at: datetime) -> PhaseState:
    """The state of a phase that begins on the plan at the instant."""
    if terms.paused:
        return "paused"
    return "trial" if _trial_end(terms, plan, at) > at else "active"


def _trial_end(terms: Subscription, plan: Plan, at: datetime) -> datetime:
    """Trials count from the first start on a plan that has one, and never start again."""
    return add_days(terms.trial_started_at or at, plan.trial_days, terms.timezone)


def begin(terms: Subscription, plan: Plan, at: datetime, *, anew: bool) -> Beginning:
    """A period that begins at the instant; `anew` makes that the anchor of its boundaries.

    A trial is a period of its own.
    """
    state = state_of(terms, plan, at)
    if state == "trial":
        end = _trial_end(terms, plan, at)
        started = terms.trial_started_at or at
        return Beginning(Span(at, end, at), state, replace(terms, trial_started_at=started))
    if anew:
        terms = replace(terms, anchor=at)
    return Beginning(period_span(plan, terms.anchor, terms.timezone, at), state, terms)


def begin_next(subscription: Subscription, last: Phase, catalogue: Catalogue) -> Beginning:
    """The period that follows the phase, with everything that was scheduled for it.

    A plan with another rhythm, and the first period after a trial, take the boundary as anchor.
    """
    current = catalogue.plan(subscription.plan, subscription.plan_version)
    plan = next_plan(subscription, catalogue)
    same = (plan.interval, plan.period) == (current.interval, current.period)
    terms = replace(
        subscription,
        plan=plan.key,
        plan_version=plan.version,
        currency=billed_currency(subscription, plan),
        quantity=subscription.next_quantity or subscription.quantity,
        paused=subscription.paused
        if subscription.next_paused is None
        else subscription.next_paused,
        add_ons=carried_over(subscription.add_ons, current, plan, last.period + 1),
    ).without_schedule()
    return begin(terms, plan, last.end, anew=not same or last.state == "trial")


def open_next_period(
    account: Account,
    subscription: Subscription,
    catalogue: Catalogue,
    grants: Sequence[Grant],
) -> Opening:
    """Opens the period that follows the account's last phase, on what is scheduled for then.

    Raises: RatingError when too many phases are open; NotFoundError for an unknown plan version.
    """
    last = account.current
    due = due_terms(account, subscription)
    plan = next_plan(due, catalogue)
    beginning = begin_next(due, last, catalogue)
    ended, number = last.plan_in(catalogue), last.number + 1
    rolled, remaining = roll_over(account, grants, beginning.span, number)
    rolled = topped_up(account.customer, ended, rolled, beginning.span, number)
    continued = replace(account, grants=remaining)
    if due == subscription:
        continued = replace(continued, changes_at=None)
    recurring = _recurring(account, beginning, catalogue)
    opening = open_phase(
        continued,
        plan,
        beginning,
        last.period + 1,
        grants=grants,
        rolled=(*rolled, *recurring),
    )
    terms = opening.subscription
    terms = replace(terms, add_ons=still_billed(terms.add_ons, account.phases[0].period))
    if due != subscription:
        terms = terms.scheduled_as(subscription)
    return replace(opening, subscription=terms)


def _recurring(account: Account, beginning: Beginning, catalogue: Catalogue) -> tuple[Grant, ...]:
    """What recurring add-ons give with the next period; a trial and a pause go without."""
    last, add_ons = account.current, beginning.terms.add_ons
    if beginning.state != "active":
        return ()
    held = renewed(add_ons, last.period + 1)
    return renewal_grants(account.customer, held, catalogue, beginning.span, last.number + 1)


def due_terms(account: Account, subscription: Subscription) -> Subscription:
    """The terms with what is scheduled for the end of the account's last phase, not later."""
    later = account.changes_at is not None and account.changes_at > account.current.end
    return subscription.without_schedule() if later else subscription


def open_phase(
    account: Account,
    plan: Plan,
    beginning: Beginning,
    period: int,
    *,
    grants: Sequence[Grant] = (),
    rolled: Sequence[Grant] = (),
    fee_invoiced: bool = False,
) -> Opening:
    """Adds a phase of the published plan, with the grants that are in force of it.

    What each rate costs at zero usage is charged.
    Raises: RatingError when too many phases are open.
    """
    if len(account.phases) >= MAX_OPEN_PHASES:
        raise RatingError("too many open phases")
    number = account.phases[-1].number + 1 if account.phases else 1
    span, plan = beginning.span, beginning.plan(plan)
    purse = Purse(tuple(grants), account.grants).receiving(rolled)
    whole = plan_grants(account.customer, plan, span, number)
    fresh = refilled(plan, whole, purse, span.start)
    given, purse = (*rolled, *fresh), purse.receiving(fresh)
    totals: list[Totals] = []
    for rate in plan.rate_cards:
        charge = charge_opening(rate, span.start, purse)
        totals.append(charge.totals)
        purse = charge.purse
    phase = Phase(
        number=number,
        period=period,
        start=span.start,
        end=span.end,
        plan=plan.key,
        plan_version=plan.version,
        totals=tuple(totals),
        fee_invoiced=fee_invoiced,
        state=beginning.state,
        quantity=beginning.terms.quantity,
    )
    opened = replace(
        account,
        phases=(*account.phases, phase),
        grants=purse.remaining,
        validity={**account.validity, **{grant.id: grant.validity for grant in given}},
    )
    return Opening(opened, given, beginning.terms, span.start)


def plan_grants(customer: str, plan: Plan, span: Span, number: int) -> tuple[Grant, ...]:
    """The plan's allowances and included credits for the span, prorated by the second.

    Credits that refill are whole here: what is there already is not taken off.
    """

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


def roll_over(
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
