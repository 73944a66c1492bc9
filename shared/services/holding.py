"""Holding a customer's billing while its numbers contradict each other, and letting it go on."""

from dataclasses import replace
from datetime import datetime

from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.ledger import entry_between
from shared.services.changes import PutAudit, PutLedgerEntry, SaveAccount
from shared.services.journal import entry_of
from shared.services.store import BillingStore

MAX_ATTEMPTS = 20


def hold(store: BillingStore, key: str, reason: str | None, actor: str, now: datetime) -> None:
    """Stops the customer's billing for the reason, or lets it go on: a version of the account.

    Its entry carries on what the ledger said. What the account has that no entry explains stays
    unexplained, and whoever puts the account right has put right both.
    Raises: UnavailableError for a customer without an account, or one that is too busy.
    """
    for _ in range(MAX_ATTEMPTS):
        account = store.account(key)
        if account is None:
            raise UnavailableError("the customer has no account yet")
        if (account.held is None) == (reason is None):
            return
        after = replace(account, version=account.version + 1, held=reason)
        cause = {"by": actor, "held": "yes" if reason else "no"}
        entry = entry_between(account, after, now, "hold", cause)
        before = entry_of(store, account)
        if before is not None:
            entry = replace(entry, remaining=before.remaining)
        audit = PutAudit(
            at=now,
            actor=actor,
            action="hold" if reason else "release",
            subject=key,
            before={"held": account.held},
            after={"held": reason},
        )
        try:
            store.commit([SaveAccount(after, account.version), PutLedgerEntry(entry), audit])
        except VersionConflictError:
            continue
        return
    raise UnavailableError("the customer is too busy to be held or released now")
