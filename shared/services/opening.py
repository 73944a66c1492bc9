"""Opening a period in storage: phase, plan grants, terms and ledger entry in one transaction."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta

from shared.domain.accounts import Account
from shared.domain.closing import next_due
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.ledger import EntryKind, entry_between
from shared.domain.opening import Opening
from shared.services.changes import (
    Change,
    PutGrant,
    PutLedgerEntry,
    SaveAccount,
    SaveSubscription,
)


def opening_changes(
    before: Account,
    opening: Opening,
    grants: Iterable[Grant],
    grace: timedelta,
    kind: EntryKind = "opening",
) -> list[Change]:
    """The changes that open a phase on an account read at `before`'s version.

    `grants` are those that the account held before.
    """
    account = replace(opening.account, version=before.version + 1)
    phase = account.current
    subscription = with_due(opening.subscription, account, (*grants, *opening.grants), grace)
    cause = {"plan": phase.plan, "plan_version": str(phase.plan_version)}
    return [
        SaveAccount(account, before.version),
        SaveSubscription(subscription),
        PutLedgerEntry(entry_between(before, account, phase.start, kind, cause)),
        *(PutGrant(grant) for grant in opening.grants),
    ]


def with_due(
    subscription: Subscription, account: Account, grants: Iterable[Grant], grace: timedelta
) -> Subscription:
    """The terms, due when the account's next scheduled step is."""
    return replace(subscription, due_at=next_due(account, grants, grace))
