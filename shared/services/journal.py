"""The ledger journal: every account version that passes down the stream gets its entry."""

from dataclasses import dataclass
from datetime import datetime

from shared.domain.accounts import Account
from shared.domain.errors import VersionConflictError
from shared.domain.ledger import LedgerEntry, entry_between
from shared.domain.money import format_exact
from shared.services.changes import PutLedgerEntry
from shared.services.store import BillingStore


@dataclass(frozen=True, slots=True)
class AccountVersion:
    """Two neighbouring versions of an account, as one stream record shows them."""

    before: Account | None
    after: Account
    at: datetime


def journal_entry(change: AccountVersion) -> LedgerEntry:
    """The entry of a version that aggregation wrote; people's operations write their own."""
    cause = usage_cause(change.before, change.after)
    return entry_between(change.before, change.after, change.at, "usage", cause)


def entry_of(store: BillingStore, account: Account) -> LedgerEntry | None:
    """The entry that led to the account's version, if that is the newest one and there already."""
    newest = store.ledger(account.customer, 1, None, newest_first=True).items
    return next((entry for entry in newest if entry.to_version == account.version), None)


def usage_cause(before: Account | None, after: Account) -> dict[str, str]:
    """How many usages of open phases, and late ones of closed phases, a version added."""
    counts = {p.number: sum(t.count for t in p.totals) for p in (before.phases if before else ())}
    now = {p.number: sum(t.count for t in p.totals) for p in after.phases}
    late_before = sum(t.count for late in (before.late if before else {}).values() for t in late)
    late_now = sum(t.count for late in after.late.values() for t in late)
    events = sum(count - counts.get(number, 0) for number, count in now.items())
    cause = {"usages": str(events)}
    if late_now != late_before:
        cause["late_usages"] = str(late_now - late_before)
    old = before.reserved if before else {}
    freed = {unit: held - after.reserved.get(unit, 0) for unit, held in old.items()}
    if any(freed.values()):
        amounts = (f"{format_exact(nanos)} {unit}" for unit, nanos in freed.items() if nanos)
        cause["freed"] = ", ".join(amounts)
    return cause


def journal(store: BillingStore, change: AccountVersion) -> bool:
    """Puts the version's entry; False if it has one already, whoever wrote it."""
    try:
        store.commit([PutLedgerEntry(journal_entry(change))])
    except VersionConflictError:
        return False
    return True
