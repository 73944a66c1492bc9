"""Reading invoices: the real-time one of the open period, and the finalized ones."""

from collections.abc import Mapping, Sequence

from shared.domain.accounts import Account, ClosedPhase
from shared.domain.closing import draft_invoice
from shared.domain.errors import NotFoundError
from shared.domain.invoice_document import invoice_document
from shared.services.standing import Books
from shared.services.store import CLOSED_PHASES_READ, BillingStore, Page

Document = Mapping[str, object]


def upcoming_invoice(books: Books, key: str) -> Document:
    """The draft of the current period, and in `closing` those of ended ones not finalized yet.

    Raises: NotFoundError.
    """
    standing = books.standing(key).caught_up()
    account = standing.account
    closed = late_phases(books.store, account)
    terms, catalogue = standing.subscription, standing.catalogue
    drafts = []
    for period in sorted({phase.period for phase in account.phases}):
        draft, terms = draft_invoice(
            account, terms, catalogue, closed, standing.grants, period=period
        )
        drafts.append(invoice_document(draft))
    *closing, current = drafts
    return {**current, "closing": closing}


def list_invoices(books: Books, key: str, limit: int, cursor: str | None) -> Page[Document]:
    """The customer's finalized invoices, newest first.

    Raises: NotFoundError.
    """
    books.customer(key)
    return books.store.invoices(key, limit, cursor)


def read_invoice(books: Books, invoice_id: str) -> Document:
    """A finalized invoice.

    Raises: NotFoundError.
    """
    document = books.store.invoice(invoice_id)
    if document is None:
        raise NotFoundError("No such invoice.")
    return document


def late_phases(store: BillingStore, account: Account) -> Sequence[ClosedPhase]:
    """The closed phases that late usage is billed for; most accounts have none."""
    return store.closed_phases(account.customer, CLOSED_PHASES_READ) if account.late else ()
