"""Changing and cancelling plans."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from shared.domain.accounts import MAX_OPEN_PHASES
from shared.domain.catalogue import Plan
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.subscriptions import (
    PlanChange,
    When,
    change_now,
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

Render = Callable[[Standing], str]


@dataclass(frozen=True, slots=True)
class SubscriptionOrder:
    """What is asked for. `plan` is set for a change; a cancellation leads to the default plan.

    `at` None means: an upgrade at once, a downgrade or a cancellation at the period's end.
    """

    action: Literal["change", "cancel"]
    plan: str | None = None
    at: When | None = None


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


def _wanted_plan(standing: Standing, order: SubscriptionOrder) -> Plan:
    if order.plan is None:
        return standing.catalogue.default_plan()
    try:
        return standing.catalogue.latest_plan(order.plan)
    except NotFoundError:
        raise InvalidError("No such plan.", [Problem("/plan", "unknown-plan")]) from None


def _moment(current: Plan, wanted: Plan, order: SubscriptionOrder) -> When:
    if order.at is not None:
        return order.at
    return "period_end" if order.action == "cancel" else default_moment(current, wanted)


def _carry_out(
    books: Books, before: Standing, order: SubscriptionOrder
) -> tuple[list[Change], Standing]:
    """The changes and the standing after them; the plan in force only drops what was scheduled."""
    terms, wanted = before.subscription, _wanted_plan(before, order)
    if (wanted.key, wanted.version) == (before.plan.key, before.plan.version):
        if terms.next_plan is None:
            return [], before
        kept = replace(terms, next_plan=None, next_plan_version=None)
        return [SaveSubscription(kept)], replace(before, subscription=kept)
    if _moment(before.plan, wanted, order) == "now":
        change = _change_now(before, wanted)
        if order.at == "now" or not change.gives_back:
            return _changes(books, before, change), before.opened(change.opening)
    check_currency(terms, wanted)
    scheduled = schedule_change(terms, wanted)
    return [SaveSubscription(scheduled)], replace(before, subscription=scheduled)


def _change_now(before: Standing, wanted: Plan) -> PlanChange:
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
        }

    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=f"subscription.{order.action}",
        subject=write.customer,
        before=terms(before),
        after=terms(after),
    )
