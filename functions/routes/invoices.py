"""Invoices: the real-time one, and the finalized ones."""

import json
import logging

from functions._http import Answer, Request, Router
from functions._metrics import count
from functions._runtime import Runtime
from functions.routes._common import accepts, open_cursor, page_that_fits, seal_cursor
from functions.routes._invoice_page import SECURITY_HEADERS, invoice_page
from shared.domain.errors import NotFoundError
from shared.domain.events import canonical_json
from shared.services.invoicing import list_invoices, read_invoice, upcoming_invoice
from shared.services.line_events import ContradictionError
from shared.wire.common import Page, PageQuery
from shared.wire.invoices import InvoiceView, UpcomingInvoiceView
from shared.wire.line_events import LineEventsPage, progress_of, progress_text

HTML = "text/html"

router = Router()
logger = logging.getLogger("meterline")


@router.route(
    "GET",
    "/v1/customers/{customer}/invoices/upcoming",
    scope="read",
    summary="The invoice of the current period as it stands",
    answer=UpcomingInvoiceView,
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

    def render(limit: int) -> tuple[str, int]:
        page = list_invoices(runtime.books, request.parameters["customer"], limit, after)
        cursor = seal_cursor(runtime, request, page.cursor)
        return json.dumps({"data": page.items, "next_cursor": cursor}), len(page.items)

    return Answer(page_that_fits(query.limit, render))


@router.route(
    "GET",
    "/v1/invoices/{invoice}",
    scope="read",
    summary="A finalized invoice; a page where Accept says so",
    answer=InvoiceView,
    portal=True,
    alternatives=(HTML,),
)
def read_finalized_invoice(request: Request, runtime: Runtime) -> Answer:
    document = read_invoice(runtime.books, request.parameters["invoice"])
    request.require_customer(str(document["customer"]))
    if not accepts(request, HTML):
        return Answer(json.dumps(document))
    content_type = f"{HTML}; charset=utf-8"
    return Answer(invoice_page(document), content_type=content_type, headers=SECURITY_HEADERS)


@router.route(
    "GET",
    "/v1/invoices/{invoice}/lines/{line}/events",
    scope="read",
    summary="The events behind a line of usage, recounted against what was billed",
    query=PageQuery,
    answer=LineEventsPage,
    portal=True,
)
def read_line_events(request: Request, runtime: Runtime, query: PageQuery) -> Answer:
    document = read_invoice(runtime.books, request.parameters["invoice"])
    request.require_customer(str(document["customer"]))
    number = request.parameters["line"]
    if not (number.isascii() and number.isdigit()):
        raise NotFoundError("No such line.")
    cursor = open_cursor(runtime, request, query.cursor)
    after = progress_of(cursor) if cursor else None

    def render(limit: int) -> tuple[str, int]:
        page = runtime.line_proofs.page(document, int(number), limit, after)
        following = progress_text(page.following) if page.following else None
        view = LineEventsPage.of(page, seal_cursor(runtime, request, following))
        # Written as canonical JSON, which keeps the numbers in events' data exact.
        return canonical_json(view.model_dump()), len(page.events)

    try:
        return Answer(page_that_fits(query.limit, render))
    except ContradictionError:
        count("api", {"LineContradictions": 1})
        logger.exception("an invoice line contradicts its events", extra={"path": request.path})
        raise
