"""Changing and cancelling plans."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.domain.accounts import MAX_OPEN_PHASES, RESERVED_PHASES
from shared.domain.catalogue import Plan
from shared.domain.customers import Subscription
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.events import utc_text
from shared.domain.opening import Opening
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
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.opening import opening_changes
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer

Action = Literal["change", "cancel", "pause", "resume"]
Render = Callable[[Standing], str]


@dataclass(frozen=True, slots=True)
class SubscriptionOrder:
    """What is asked for: of a change, what is None stays as it is.

    A cancellation leads to one seat of the default plan. `at` None means: an upgrade, a pause and
    what resumes at once; a downgrade and a cancellation at the period's end. An instant is to come.
    """

    action: Action
    plan: str | None = None
    at: When | datetime | None = None
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
        changes, after = carry_out(books, before, order)
        if changes:
            changes.append(audited(books, write, order, before, after))
        return Decision(changes, render(after))

    return commit_once(books.store, write, decide)


def read_subscription(books: Books, key: str) -> Standing:
    """The standing that a subscription is shown from, its current period opened.

    Raises: NotFoundError.
    """
    return books.standing(key).caught_up()


def _target(standing: Standing, order: SubscriptionOrder) -> Target:
    """What the order asks the subscription to be."""
    now = Target.current(standing.subscription, standing.plan)
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


def _moment(current: Target, wanted: Target, order: SubscriptionOrder) -> When | datetime:
    if order.at is not None:
        return order.at
    if order.action == "change":
        return default_moment(current, wanted)
    return "period_end" if order.action == "cancel" else "now"


def carry_out(
    books: Books, before: Standing, order: SubscriptionOrder
) -> tuple[list[Change], Standing]:
    """The changes and the standing after them; what is in force only drops what was scheduled.

    Raises: InvalidError, ConflictError.
    """
    terms, wanted = before.subscription, _target(before, order)
    current = Target.current(terms, before.plan)
    if wanted == current:
        if not terms.scheduled:
            return [], before
        return _schedule(books, before, terms.without_schedule(), None)
    check_currency(terms, wanted.plan)
    at = _moment(current, wanted, order)
    if at == "now":
        if wanted.differs_in_seats(current):
            return _made(books, before, _change_quantity(before, wanted.quantity))
        change = _change_now(before, wanted)
        if order.at == "now" or order.action == "pause" or not change.gives_back:
            return _made(books, before, change.opening)
    instant = at if isinstance(at, datetime) else None
    if instant is not None and instant <= before.now:
        raise InvalidError("The change would be backdated.", [Problem("/at", "not-in-the-future")])
    return _schedule(books, before, schedule_change(terms, wanted), instant)


def _schedule(
    books: Books, before: Standing, terms: Subscription, at: datetime | None
) -> tuple[list[Change], Standing]:
    """Keeps with the terms what they have scheduled; the account knows of an instant."""
    after = replace(before, subscription=terms)
    if at == before.account.changes_at:
        return [SaveSubscription(terms)], after
    account = replace(before.account, version=before.account.version + 1, changes_at=at)
    cause = {"plan": after.next_plan.key, "at": utc_text(at) if at else "period_end"}
    changes = books.posting(before, account, before.grants, "schedule", cause, terms=terms)
    return changes, replace(after, account=account)


def _made(books: Books, before: Standing, opening: Opening) -> tuple[list[Change], Standing]:
    held = before.grants.values()
    changes = opening_changes(
        books.store, before.account, opening, held, books.grace, now=before.now
    )
    return changes, before.opened(opening)


def _change_quantity(before: Standing, quantity: int) -> Opening:
    return change_quantity(
        before.account, before.subscription, current=before.plan, quantity=quantity, now=before.now
    )


def change_at_once(books: Books, before: Standing, wanted: Target) -> tuple[list[Change], Standing]:
    """The changes that make the subscription so from now on, and the standing after them.

    Raises: ConflictError.
    """
    check_currency(before.subscription, wanted.plan)
    return _made(books, before, _change_now(before, wanted).opening)


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


def audited(
    books: Books, write: MoneyWrite, order: SubscriptionOrder, before: Standing, after: Standing
) -> PutAudit:
    """The audit entry of an order that was carried out."""

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
            "changes_at": standing.account.changes_at,
        }

    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=f"subscription.{order.action}",
        subject=write.customer,
        before=terms(before),
        after=terms(after),
    )
