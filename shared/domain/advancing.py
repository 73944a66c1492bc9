"""What is due where an account's present terms end: a scheduled change, or the next period."""

from collections.abc import Sequence
from dataclasses import replace

from shared.domain.accounts import MAX_OPEN_PHASES, RESERVED_PHASES, Account
from shared.domain.catalogue import Catalogue
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.opening import Opening, next_plan, open_next_period
from shared.domain.subscriptions import Target, change_now, change_quantity


def advance(
    account: Account, subscription: Subscription, catalogue: Catalogue, grants: Sequence[Grant]
) -> Opening:
    """Takes the step that is due at the account's boundary; whoever meets it first does.

    Raises: RatingError when too many phases are open; NotFoundError for an unknown plan version.
    """
    at, last = account.boundary, account.current
    if at == last.end:
        return open_next_period(account, subscription, catalogue, grants)
    current = catalogue.plan(last.plan, last.plan_version)
    now = Target.current(subscription, current)
    wanted = Target.scheduled(subscription, next_plan(subscription, catalogue))
    if wanted == now:
        return _unscheduled(account, subscription.without_schedule())
    if wanted.differs_in_seats(now):
        return change_quantity(
            account, subscription, current=current, quantity=wanted.quantity, now=at
        )
    if len(account.phases) + RESERVED_PHASES >= MAX_OPEN_PHASES:
        # As a change that is asked for now would have to, this one waits for the period's end.
        return _unscheduled(account, subscription)
    held = {grant.id: grant for grant in grants}
    return change_now(
        account, subscription, current=current, wanted=wanted, grants=held, now=at
    ).opening


def _unscheduled(account: Account, terms: Subscription) -> Opening:
    """Nothing happens at the instant but that it has passed."""
    passed = replace(account, changes_at=None, version=account.version + 1)
    return Opening(passed, (), terms, account.boundary, "schedule")
