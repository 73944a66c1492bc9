"""Whether a customer's books agree with themselves: ledger, grants, amounts, open invoice."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account
from shared.domain.closing import draft_invoice
from shared.domain.credits import Grant
from shared.domain.errors import MeterlineError
from shared.domain.invoice_document import invoice_document
from shared.domain.ledger import Amounts, LedgerEntry, entry_between
from shared.domain.reconciliation import misrated, phases_of
from shared.services.changes import PutLedgerEntry
from shared.services.journal import entry_of
from shared.services.reconciliation import JournalGap, Reconciliation
from shared.services.store import CLOSED_PHASES_READ, BillingStore, CatalogueSource

ENTRIES_READ = 500
# Twice as long as a stream keeps its records, on every stage: an entry is never written twice.
JOURNAL_SETTLE = timedelta(hours=48)


@dataclass(slots=True)
class Chain:
    """The ledger since it was last checked: what is wrong, and the entries that would span gaps."""

    findings: list[str] = field(default_factory=list)
    spans: list[LedgerEntry] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Bookkeeping:
    """Checks; the only thing it ever writes is an entry over versions that have none."""

    store: BillingStore
    catalogue: CatalogueSource

    def ledger(
        self, note: Reconciliation, account: Account, now: datetime
    ) -> tuple[Reconciliation, int, list[str]]:
        """Checks the entries since the note; returns the next note, gaps spanned, and findings.

        A version without an entry may still be in the stream. If it still has none after
        JOURNAL_SETTLE, it never will have: one marked entry then spans what is missing, from the
        difference.
        """
        if note.ledger_version == account.version:
            return note, 0, self._last_link(account)
        chain = self._chain(note.ledger_version, account, now)
        if chain.findings or not chain.spans:
            version = note.ledger_version if chain.findings else account.version
            return _checked(note, version, None), 0, chain.findings
        seen = note.gap or JournalGap(account.version, now)
        if seen.seen_at + JOURNAL_SETTLE > now:
            return _checked(note, note.ledger_version, seen), 0, []
        lost = [entry for entry in chain.spans if entry.to_version <= seen.account_version]
        for entry in lost:
            self.store.commit([PutLedgerEntry(entry)])
        more = len(lost) < len(chain.spans)
        left = JournalGap(account.version, now) if more else None
        return _checked(note, note.ledger_version if more else account.version, left), len(lost), []

    def _chain(self, known: int, account: Account, now: datetime) -> Chain:
        """The account's newest version back to the one known, link by link."""
        chain = Chain()
        newer_from, newer_before = account.version, _held(account.grants)
        for entry in self._newest_first(account.customer):
            if entry.to_version > account.version:
                continue
            if entry.to_version == newer_from and _held(entry.remaining) != newer_before:
                chain.findings.append(f"ledger: entry {entry.to_version} does not carry on")
            if entry.to_version < newer_from:
                older = Account(account.customer, entry.to_version, grants=entry.remaining)
                newer = Account(account.customer, newer_from, grants=newer_before)
                chain.spans.append(_span(older, newer, now))
            if entry.to_version <= known:
                return chain
            newer_from, newer_before = entry.from_version, _before(entry)
        if known > 0:
            chain.findings.append(f"ledger: what led up to version {known} is gone")
        elif newer_from > 0:
            start = Account(account.customer)
            newer = Account(account.customer, newer_from, grants=newer_before)
            chain.spans.append(_span(start, newer, now))
        elif newer_before:
            chain.findings.append("ledger: the first entry starts with something")
        return chain

    def _last_link(self, account: Account) -> list[str]:
        """What is wrong if the account no longer is what its own entry led to."""
        entry = entry_of(self.store, account)
        if entry is None or _held(entry.remaining) == _held(account.grants):
            return []
        return [f"ledger: entry {entry.to_version} does not carry on"]

    def _newest_first(self, customer: str) -> Iterator[LedgerEntry]:
        cursor: str | None = None
        while True:
            page = self.store.ledger(customer, ENTRIES_READ, cursor, newest_first=True)
            yield from page.items
            cursor = page.cursor
            if cursor is None:
                return

    def books(self, account: Account) -> Iterator[str]:
        """What is wrong with grants, with amounts, and with the open invoice."""
        catalogue = self.catalogue.newest()
        closed = self.store.closed_phases(account.customer, CLOSED_PHASES_READ)
        grants = self.store.grants(account.customer, account.open_grants)
        yield from _grants(account, grants)
        for phase in phases_of(account, closed):
            yield from misrated(phase, catalogue)
        terms = self.store.subscription(account.customer)
        try:
            if terms is not None:
                draft, _ = draft_invoice(account, terms, catalogue, closed, grants)
                invoice_document(draft)
        except (MeterlineError, LookupError) as error:
            yield f"the open invoice cannot be made: {error}"


def _grants(account: Account, grants: Mapping[str, Grant]) -> Iterator[str]:
    held = [(unit, key, n) for unit, left in account.grants.items() for key, n in left.items()]
    for unit, key, nanos in held:
        grant = grants.get(key)
        if grant is None or grant.unit != unit:
            yield f"grant {key} is held in {unit}, and not granted"
        elif not 0 <= nanos <= grant.amount or grant.voided_at is not None:
            yield f"grant {key} cannot have {nanos} nanos left"


def _checked(note: Reconciliation, version: int, gap: JournalGap | None) -> Reconciliation:
    return replace(note, ledger_version=version, gap=gap)


def _span(older: Account, newer: Account, now: datetime) -> LedgerEntry:
    cause = {"reason": "journal", "from_version": str(older.version)}
    return entry_between(older, newer, now, "repair", cause)


def _held(amounts: Amounts) -> dict[str, dict[str, int]]:
    """The amounts without what is nothing."""
    held = {unit: {g: n for g, n in left.items() if n} for unit, left in amounts.items()}
    return {unit: left for unit, left in held.items() if left}


def _before(entry: LedgerEntry) -> dict[str, dict[str, int]]:
    """What was held before the entry."""
    left = {unit: dict(held) for unit, held in entry.remaining.items()}
    for unit, moved in entry.changes.items():
        own = left.setdefault(unit, {})
        for grant, nanos in moved.items():
            own[grant] = own.get(grant, 0) - nanos
    return _held(left)
