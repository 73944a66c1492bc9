"""Amberflo's prepaid orders, wallet and invoices."""

import hashlib
from collections.abc import Iterator

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.vendors._amberflo import DIALECT
from functions.vendors._usage import answer_that_fits
from shared.domain.errors import InvalidError, NotFoundError
from shared.domain.events import canonical_json
from shared.domain.money import from_nanos
from shared.services.balances import balance
from shared.services.granting import HeldGrant, grant_credits, list_grants
from shared.services.idempotency import MoneyWrite
from shared.services.invoicing import list_invoices, upcoming_invoice
from shared.services.standing import Standing
from shared.wire.vendors.amberflo_billing import (
    Document,
    InvoiceQuery,
    InvoicesQuery,
    PrepaidOrder,
    PrepaidQuery,
    WalletQuery,
    invoice_answer,
    prepaid_answer,
    wallet_answer,
)
from shared.wire.vendors.common import renamed

INVOICES_PER_PAGE = 100
PREPAID = "/payments/pricing/amberflo/customer-prepaid"
BILLING = "/payments/billing"
# Parts of pointers as granting says them, in their words.
FIELDS = {"/amount": "/originalWorth", "/cost_basis": "/prepaidPrice"}

router = Router()


@router.route(
    "POST",
    PREPAID,
    scope="admin",
    summary="Amberflo: a prepaid order; its id is its Idempotency-Key",
    body=PrepaidOrder,
    dialect=DIALECT,
)
def create_prepaid_order(request: Request, runtime: Runtime, body: PrepaidOrder) -> Answer:
    standing = runtime.books.standing(body.customer_id)
    order = body.to_order(_currency(standing), runtime.books.now(standing.customer))
    asked = canonical_json(["prepaid", body.model_dump(mode="json")])
    write = MoneyWrite(
        customer=body.customer_id,
        actor=request.principal,
        key=f"amberflo-prepaid:{hashlib.sha256(body.id.encode()).hexdigest()}",
        request_hash=hashlib.sha256(asked.encode()).hexdigest(),
    )
    try:
        stored = grant_credits(
            runtime.books, write, order, lambda held: canonical_json(prepaid_answer(held, body.id))
        )
    except InvalidError as error:
        raise renamed(error, FIELDS) from None
    return Answer(stored.answer)


@router.route(
    "GET",
    f"{PREPAID}/list",
    scope="read",
    summary="Amberflo: a customer's active prepaid orders",
    query=PrepaidQuery,
    dialect=DIALECT,
)
def list_prepaid_orders(request: Request, runtime: Runtime, query: PrepaidQuery) -> Answer:
    currency = _currency(runtime.books.standing(query.customer_id))
    cards = _cards(runtime, query.customer_id, currency)
    return answer_that_fits(canonical_json([prepaid_answer(card) for card in cards]), "")


@router.route(
    "GET",
    f"{BILLING}/customer-prepaid-wallet",
    scope="read",
    summary="Amberflo: what a customer has paid in advance",
    query=WalletQuery,
    dialect=DIALECT,
)
def read_prepaid_wallet(request: Request, runtime: Runtime, query: WalletQuery) -> Answer:
    customer = query.customer_id
    currency = _currency(runtime.books.standing(customer))
    answer = wallet_answer(customer, currency, _cards(runtime, customer, currency))
    return answer_that_fits(canonical_json(answer), "")


@router.route(
    "GET",
    f"{BILLING}/customer-product-invoice",
    scope="read",
    summary="Amberflo: the latest invoice, or one of a day",
    query=InvoiceQuery,
    dialect=DIALECT,
)
def read_product_invoice(request: Request, runtime: Runtime, query: InvoiceQuery) -> Answer:
    timezone = runtime.books.customer(query.customer_id).timezone
    for document, status in _invoices(runtime, query.customer_id):
        if query.latest or query.means(document, timezone):
            found = _answers(runtime, query.customer_id, [(document, status)])
            return Answer(canonical_json(found[0]))
    raise NotFoundError("No such invoice.")


@router.route(
    "GET",
    f"{BILLING}/customer-product-invoice/all",
    scope="read",
    summary="Amberflo: a customer's invoices, newest first",
    query=InvoicesQuery,
    dialect=DIALECT,
)
def list_product_invoices(request: Request, runtime: Runtime, query: InvoicesQuery) -> Answer:
    customer = query.customer_id
    found = _answers(runtime, customer, list(_invoices(runtime, customer)))
    return answer_that_fits(canonical_json(found), "")


def _currency(standing: Standing) -> str:
    return standing.customer.currency or standing.plan.currency


def _cards(runtime: Runtime, customer: str, currency: str) -> list[HeldGrant]:
    """What was bought and is not used up, in the customer's currency."""
    return [
        held
        for held in list_grants(runtime.books, customer)
        if held.status == "active" and held.grant.source == "purchase"
        if held.grant.unit == currency
    ]


def _invoices(runtime: Runtime, customer: str) -> Iterator[tuple[Document, str]]:
    """The customer's invoices with their statuses, the current period's first."""
    upcoming: Document = upcoming_invoice(runtime.books, customer)
    yield upcoming, "open"
    for document in reversed(upcoming["closing"]):
        yield document, "grace_period"
    cursor: str | None = None
    while True:
        page = list_invoices(runtime.books, customer, INVOICES_PER_PAGE, cursor)
        for finalized in page.items:
            yield finalized, "price_locked"
        cursor = page.cursor
        if cursor is None:
            return


def _answers(
    runtime: Runtime, customer: str, invoices: list[tuple[Document, str]]
) -> list[dict[str, object]]:
    standing = runtime.books.standing(customer)
    left = from_nanos(balance(runtime.books, customer, _currency(standing)).settled)
    timezone = standing.customer.timezone
    answers = []
    for document, status in invoices:
        plans = [line["plan"] for line in document["lines"] if line["plan"]]
        plan = plans[0] if plans else standing.plan.key
        answers.append(invoice_answer(document, plan, status, timezone, left))
    return answers
