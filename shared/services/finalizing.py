"""Finalizing an invoice: it gets the next number of its series and never changes again."""

from dataclasses import replace
from datetime import datetime

from shared.domain.customers import Subscription
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.invoices import TEST_SERIES, Invoice
from shared.services.changes import PutInvoice
from shared.services.store import BillingStore


def invoice_series(terms: Subscription) -> str:
    """Which gap-free run of numbers the customer's invoices belong to.

    Each test clock has its own, so that trying things out leaves no gap in the real one.
    """
    return f"{TEST_SERIES}{terms.test_clock}" if terms.test_clock else "INV"


def finalize(
    store: BillingStore, terms: Subscription, invoice: Invoice, now: datetime
) -> PutInvoice:
    """The change that puts the invoice, finalized under the next number.

    The number is claimed by the commit: losing the race for it is a version conflict.
    """
    series = invoice_series(terms)
    number = store.last_invoice_number(series) + 1
    finalized = replace(
        invoice, status="finalized", number=f"{series}-{number:06d}", finalized_at=now
    )
    document = invoice_document(finalized)
    document["hash"] = document_hash(document)
    return PutInvoice(terms.customer, document, now, series, number)
