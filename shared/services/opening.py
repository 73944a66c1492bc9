"""Opening a phase in storage: all that belongs to it in one transaction."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account
from shared.domain.closing import next_due
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.ledger import entry_between
from shared.domain.opening import Opening
from shared.services.changes import (
    Change,
    PutGrant,
    PutLedgerEntry,
    SaveAccount,
    SaveSubscription,
)
from shared.services.finalizing import finalize
from shared.services.store import BillingStore


def opening_changes(
    store: BillingStore,
    before: Account,
    opening: Opening,
    grants: Iterable[Grant],
    grace: timedelta,
    *,
    now: datetime,
) -> list[Change]:
    """The changes that open a phase (or change the terms) of an account read as `before`.

    `grants` are those that the account held before. `now` is the customer's: what was scheduled may
    be carried out late, for the instant that it was scheduled for.
    """
    account = replace(opening.account, version=before.version + 1)
    phase = account.current
    subscription = with_due(opening.subscription, account, (*grants, *opening.grants), grace)
    cause = {"plan": phase.plan, "plan_version": str(phase.plan_version)}
    return [
        SaveAccount(account, before.version),
        SaveSubscription(subscription),
        PutLedgerEntry(entry_between(before, account, opening.at, opening.kind, cause)),
        *(PutGrant(grant) for grant in opening.grants),
        *_invoiced(store, opening, now),
    ]


def _invoiced(store: BillingStore, opening: Opening, now: datetime) -> Iterator[Change]:
    """An invoice is of the instant that it is for, and issued when it is made, not before."""
    if opening.invoice is not None:
        yield finalize(store, opening.subscription, opening.invoice, max(opening.at, now))


def with_due(
    subscription: Subscription, account: Account, grants: Iterable[Grant], grace: timedelta
) -> Subscription:
    """The terms, due when the account's next scheduled step is."""
    return replace(subscription, due_at=next_due(account, grants, grace))
