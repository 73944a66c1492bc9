"""Transfers of what customers earned: that somebody made one is noted, once."""

from collections.abc import Callable
from dataclasses import asdict, replace

from shared.domain.earned_shares import Payout
from shared.domain.errors import ConflictError, NotFoundError
from shared.services.changes import PutAudit, SaveRecord
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.share_store import ShareStore
from shared.services.standing import Books
from shared.services.store import StoredAnswer

Transfer = tuple[str, str]  # a payout's id, and the reference of whoever transferred it


def note_transfer(
    books: Books,
    records: ShareStore,
    write: MoneyWrite,
    transfer: Transfer,
    render: Callable[[Payout], str],
) -> StoredAnswer:
    """Notes that a transfer was made, under the reference of whoever made it.

    Raises: NotFoundError, ConflictError if it was noted with another reference.
    """
    payout_id, reference = transfer

    def decide() -> Decision:
        found = {p.id: p for p in records.payouts(write.customer)}.get(payout_id)
        if found is None:
            raise NotFoundError("No such payout.")
        if found.status == "paid":
            if found.reference != reference:
                raise ConflictError("The payout was paid otherwise.")
            return Decision([], render(found))
        now = books.now(books.customer(write.customer))
        after = replace(found, status="paid", reference=reference, paid_at=now)
        audit = PutAudit(
            books.clock.now(),
            write.actor,
            "payout.paid",
            f"{write.customer}/{payout_id}",
            asdict(found),
            asdict(after),
        )
        return Decision([SaveRecord(after, found.version), audit], render(after))

    return commit_once(books.store, write, decide)
