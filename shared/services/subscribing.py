"""Changing and cancelling plans."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.accounts import MAX_OPEN_PHASES
from shared.domain.catalogue import Plan
from shared.domain.customers import Subscription
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.subscriptions import (
    PlanChange,
    Target,
    When,
    change_now,
    change_quantity,
    check_currency,
    default_moment,
    schedule_change,
)
from shared.services.changes import Change, PutAudit, SaveSubscription
from shared.services.finalizing import finalize
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.opening import opening_changes
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer

# Periods to come need room for their phases, or usage of them could not be placed.
RESERVED_PHASES = 2

Action = Literal["change", "cancel", "pause", "resume"]
Render = Callable[[Standing], str]


@dataclass(frozen=True, slots=True)
class SubscriptionOrder:
    """What is asked for: of a change, what is None stays as it is.

    A cancellation leads to one seat of the default plan. `at` None means: an upgrade, a pause and
    what resumes at once; a downgrade and a cancellation at the period's end.
    """

    action: Action
    plan: str | None = None
    at: When | None = None
    quantity: int | None = None


def change_subscription(
    books: Books, write: MoneyWrite, order: SubscriptionOrder, render: Render
) -> StoredAnswer:
    """Carries the order out or schedules it; `render` makes the answer.

    Fees that are due at once are on an invoice of their own, finalized in the same commit.
    Raises: NotFoundError, InvalidError, ConflictError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        changes, after = _carry_out(books, before, order)
        if changes:
            changes.append(_audit(books, write, order, before, after))
        return Decision(changes, render(after))

    return commit_once(books.store, write, decide)


def read_subscription(books: Books, key: str) -> Standing:
    """The standing that a subscription is shown from, its current period opened.

    Raises: NotFoundError.
    """
    return books.standing(key).caught_up()


def _target(standing: Standing, order: SubscriptionOrder) -> Target:
    """What the order asks the subscription to be."""
    now = Target.now(standing.subscription, standing.plan)
    match order.action:
        case "cancel":
            return Target(standing.catalogue.default_plan())
        case "pause":
            return replace(now, paused=True)
        case "resume":
            return replace(now, paused=False)
    plan = standing.plan if order.plan is None else _newest(standing, order.plan)
    return replace(now, plan=plan, quantity=order.quantity or now.quantity)


def _newest(standing: Standing, key: str) -> Plan:
    try:
        return standing.catalogue.latest_plan(key)
    except NotFoundError:
        raise InvalidError("No such plan.", [Problem("/plan", "unknown-plan")]) from None


def _moment(current: Target, wanted: Target, order: SubscriptionOrder) -> When:
    if order.at is not None:
        return order.at
    if order.action == "change":
        return default_moment(current, wanted)
    return "period_end" if order.action == "cancel" else "now"


def _carry_out(
    books: Books, before: Standing, order: SubscriptionOrder
) -> tuple[list[Change], Standing]:
    """The changes and the standing after them; what is in force only drops what was scheduled."""
    terms, wanted = before.subscription, _target(before, order)
    current = Target.now(terms, before.plan)
    if wanted == current:
        if not terms.scheduled:
            return [], before
        return _save(before, terms.without_schedule())
    if _moment(current, wanted, order) == "now":
        if wanted == replace(current, quantity=wanted.quantity):
            return _change_quantity(books, before, wanted.quantity)
        change = _change_now(before, wanted)
        if order.at == "now" or order.action == "pause" or not change.gives_back:
            return _changes(books, before, change), before.opened(change.opening)
    check_currency(terms, wanted.plan)
    return _save(before, schedule_change(terms, wanted))


def _save(before: Standing, terms: Subscription) -> tuple[list[Change], Standing]:
    return [SaveSubscription(terms)], replace(before, subscription=terms)


def _change_quantity(
    books: Books, before: Standing, quantity: int
) -> tuple[list[Change], Standing]:
    terms, invoice = change_quantity(
        before.account, before.subscription, current=before.plan, quantity=quantity, now=before.now
    )
    changes, after = _save(before, terms)
    if invoice is not None:
        changes.append(finalize(books.store, before.customer, invoice, before.now))
    return changes, after


def change_at_once(books: Books, before: Standing, wanted: Target) -> tuple[list[Change], Standing]:
    """The changes that make the subscription so from now on, and the standing after them.

    Raises: ConflictError.
    """
    change = _change_now(before, wanted)
    return _changes(books, before, change), before.opened(change.opening)


def _change_now(before: Standing, wanted: Target) -> PlanChange:
    if len(before.account.phases) + RESERVED_PHASES >= MAX_OPEN_PHASES:
        raise ConflictError("Too many changes in one period: this one waits for the period's end.")
    return change_now(
        before.account,
        before.subscription,
        current=before.plan,
        wanted=wanted,
        grants=before.grants,
        now=before.now,
    )


def _changes(books: Books, before: Standing, change: PlanChange) -> list[Change]:
    held = before.grants.values()
    changes = opening_changes(before.account, change.opening, held, books.grace, "subscription")
    if change.invoice is not None:
        changes.append(finalize(books.store, before.customer, change.invoice, before.now))
    return changes


def _audit(
    books: Books, write: MoneyWrite, order: SubscriptionOrder, before: Standing, after: Standing
) -> PutAudit:
    def terms(standing: Standing) -> dict[str, object]:
        return {
            "plan": standing.plan.key,
            "plan_version": standing.plan.version,
            "next_plan": standing.subscription.next_plan,
            "next_plan_version": standing.subscription.next_plan_version,
            "quantity": standing.subscription.quantity,
            "next_quantity": standing.subscription.next_quantity,
            "paused": standing.subscription.paused,
            "next_paused": standing.subscription.next_paused,
        }

    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=f"subscription.{order.action}",
        subject=write.customer,
        before=terms(before),
        after=terms(after),
    )
