"""Invoices: the real-time one, and the finalized ones."""

import json

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import accepts, open_cursor, seal_cursor
from functions.routes._invoice_page import SECURITY_HEADERS, invoice_page
from shared.services.invoicing import list_invoices, read_invoice, upcoming_invoice
from shared.wire.common import Page, PageQuery
from shared.wire.invoices import InvoiceView

HTML = "text/html"

router = Router()


@router.route(
    "GET",
    "/v1/customers/{customer}/invoices/upcoming",
    scope="read",
    summary="The invoice of the open period as it stands",
    answer=InvoiceView,
)
def read_upcoming_invoice(request: Request, runtime: Runtime) -> Answer:
    return Answer(json.dumps(upcoming_invoice(runtime.books, request.parameters["customer"])))


@router.route(
    "GET",
    "/v1/customers/{customer}/invoices",
    scope="read",
    summary="A customer's finalized invoices, newest first",
    query=PageQuery,
    answer=Page[InvoiceView],
)
def read_invoices(request: Request, runtime: Runtime, query: PageQuery) -> Answer:
    after = open_cursor(runtime, request, query.cursor)
    page = list_invoices(runtime.books, request.parameters["customer"], query.limit, after)
    cursor = seal_cursor(runtime, request, page.cursor)
    return Answer(json.dumps({"data": page.items, "next_cursor": cursor}))


@router.route(
    "GET",
    "/v1/invoices/{invoice}",
    scope="read",
    summary="A finalized invoice; a page where Accept says so",
    answer=InvoiceView,
    portal=True,
)
def read_finalized_invoice(request: Request, runtime: Runtime) -> Answer:
    document = read_invoice(runtime.books, request.parameters["invoice"])
    request.require_customer(str(document["customer"]))
    if not accepts(request, HTML):
        return Answer(json.dumps(document))
    content_type = f"{HTML}; charset=utf-8"
    return Answer(invoice_page(document), content_type=content_type, headers=SECURITY_HEADERS)
