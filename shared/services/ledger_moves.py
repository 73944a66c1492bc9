"""What moved in a customer's grants since a time, read back from the newest ledger entry on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.customers import Customer
from shared.domain.ledger import LedgerEntry
from shared.domain.liability import Move
from shared.services.audience import Budget
from shared.services.store import BillingStore

ENTRIES_READ = 1000
# A step that fell due is dated when it did, and may have been taken that much later.
DELAY = timedelta(days=2)
# These are dated by the machine's clock, whatever clock the customer is on.
BY_MACHINE = ("usage", "repair")


@dataclass(frozen=True, slots=True)
class Moves:
    """`held` is what each grant holds after all of the moves, in nanos."""

    held: Mapping[str, int]
    moves: Sequence[Move]


def moves_since(store: BillingStore, customer: Customer, start: datetime, budget: Budget) -> Moves:
    """Everything that moved from the start on, oldest first; some that is earlier may be there.

    A customer on a test clock has its usage at the time of the entry before it.
    Raises: OverBudgetError.
    """
    entries = _entries(store, customer, start - DELAY, budget)
    newest = entries[-1].remaining if entries else {}
    held = {grant: nanos for left in newest.values() for grant, nanos in left.items()}
    moves, at = list[Move](), start - DELAY
    for entry in entries:
        if not _by_machine(customer, entry):
            at = entry.at
        moves += (
            Move(at, entry.kind, grant, nanos)
            for changed in entry.changes.values()
            for grant, nanos in changed.items()
        )
    return Moves(held, moves)


def _entries(
    store: BillingStore, customer: Customer, start: datetime, budget: Budget
) -> list[LedgerEntry]:
    found: list[LedgerEntry] = []
    cursor: str | None = None
    while True:
        page = store.ledger(customer.key, ENTRIES_READ, cursor, newest_first=True)
        budget.spend(1 + len(page.items))
        found += page.items
        cursor = page.cursor
        dated = (entry for entry in page.items if not _by_machine(customer, entry))
        if cursor is None or any(entry.at < start for entry in dated):
            return found[::-1]


def _by_machine(customer: Customer, entry: LedgerEntry) -> bool:
    return customer.test_clock is not None and entry.kind in BY_MACHINE
