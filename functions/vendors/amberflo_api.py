"""Amberflo's customers, usage reports and portal sessions."""

import hashlib
import uuid
from datetime import timedelta

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes.portal import signed_in
from functions.vendors._amberflo import DIALECT
from functions.vendors._usage import answer_that_fits, refuse_dimension_named_customer, usage_of
from shared.domain.customers import Customer
from shared.domain.errors import ConflictError, InvalidError, Problem
from shared.domain.events import canonical_json
from shared.services.idempotency import MoneyWrite
from shared.services.managing_customers import archive_customer, put_customer
from shared.services.segments import all_customers
from shared.services.usage_query import UsageQuestion
from shared.wire.portal import DAY_SECONDS
from shared.wire.vendors.amberflo import (
    CustomerBody,
    CustomerQuery,
    NewCustomerQuery,
    SessionBody,
    customer_answer,
    session_answer,
)
from shared.wire.vendors.amberflo_usage import (
    CUSTOMER_ID,
    AllMetersQuery,
    ReportQuery,
    Reports,
    report_answer,
    reported_meter,
)
from shared.wire.vendors.common import renamed

# Parts of pointers as usage queries say them, in their words.
FIELDS = {"/group_by": "/groupBy", "/from": "/timeRange", "/to": "/timeRange"}
RANGE_FIELDS = {"/from": "/startTimeInSeconds", "/to": "/endTimeInSeconds"}

router = Router()


@router.route(
    "GET",
    "/customers",
    scope="read",
    summary="Amberflo: a customer, or all of them",
    query=CustomerQuery,
    dialect=DIALECT,
)
def read_amberflo_customers(request: Request, runtime: Runtime, query: CustomerQuery) -> Answer:
    store = runtime.books.store
    if query.customer_id is None:
        found = [customer_answer(customer) for customer in all_customers(store)]
        return answer_that_fits(canonical_json(found), "/customerId")
    customer = store.customer(query.customer_id)
    # Their clients take an object without a `customerId` for nobody, and make the customer then.
    return Answer(canonical_json(customer_answer(customer) if customer else {}))


@router.route(
    "POST",
    "/customers",
    scope="admin",
    summary="Amberflo: make a customer",
    body=CustomerBody,
    query=NewCustomerQuery,
    dialect=DIALECT,
)
def create_amberflo_customer(
    request: Request, runtime: Runtime, body: CustomerBody, query: NewCustomerQuery
) -> Answer:
    if query.in_stripe == "true":
        detail = "Customers are not made in Stripe from here."
        raise InvalidError(detail, [Problem("/autoCreateCustomerInStripe", "unsupported")])
    if runtime.books.store.customer(body.customer_id) is not None:
        raise ConflictError("The customer is there already: PUT replaces it.")
    return _saved(request, runtime, body)


@router.route(
    "PUT",
    "/customers",
    scope="admin",
    summary="Amberflo: replace a customer's profile",
    body=CustomerBody,
    dialect=DIALECT,
)
def update_amberflo_customer(request: Request, runtime: Runtime, body: CustomerBody) -> Answer:
    return _saved(request, runtime, body)


@router.route(
    "DELETE",
    "/customers/{key}",
    scope="admin",
    summary="Amberflo: delete a customer; it is archived",
    dialect=DIALECT,
)
def delete_amberflo_customer(request: Request, runtime: Runtime) -> Answer:
    customer = runtime.books.customer(request.parameters["key"])
    return Answer(_archived(request, runtime, customer, archived=True))


def _saved(request: Request, runtime: Runtime, body: CustomerBody) -> Answer:
    stored = runtime.books.store.customer(body.customer_id)
    customer = put_customer(
        runtime.books,
        body.customer_id,
        body.to_profile(stored),
        request.principal,
        test_clocks=runtime.settings.test_clocks,
    )
    return Answer(_archived(request, runtime, customer, archived=not body.enabled))


def _archived(request: Request, runtime: Runtime, customer: Customer, *, archived: bool) -> str:
    """The customer after it was archived, or taken back; done twice it changes nothing.

    So each request may have a key of its own, which their clients do not send.
    """
    if (customer.archived_at is not None) == archived:
        return canonical_json(customer_answer(customer))
    content = canonical_json([request.method, customer.key, archived])
    write = MoneyWrite(
        customer=customer.key,
        actor=request.principal,
        key=f"amberflo:{uuid.uuid4()}",
        request_hash=hashlib.sha256(content.encode()).hexdigest(),
    )
    return archive_customer(
        runtime.books, write, lambda c: canonical_json(customer_answer(c)), archived=archived
    ).answer


@router.route(
    "POST",
    "/session",
    scope="admin",
    summary="Amberflo: sign a customer in to the portal",
    body=SessionBody,
    dialect=DIALECT,
)
def create_amberflo_session(request: Request, runtime: Runtime, body: SessionBody) -> Answer:
    lifetime = timedelta(seconds=DAY_SECONDS)
    if body.expiration_epoch_milli_seconds is not None:
        lifetime = body.expiration_epoch_milli_seconds - runtime.clock.now()
    if not timedelta() < lifetime <= timedelta(seconds=DAY_SECONDS):
        detail = "A session ends within a day."
        raise InvalidError(detail, [Problem("/expirationEpochMilliSeconds", "out-of-range")])
    session = signed_in(request, runtime, body.customer_id, lifetime)
    return Answer(canonical_json(session_answer(session.url, session.token, session.expires_at)))


@router.route(
    "POST",
    "/usage",
    scope="read",
    summary="Amberflo: a usage report",
    body=ReportQuery,
    dialect=DIALECT,
)
def report_amberflo_usage(request: Request, runtime: Runtime, body: ReportQuery) -> Answer:
    return answer_that_fits(canonical_json(_report(runtime, body)), "/groupBy")


@router.route(
    "POST",
    "/usage/batch",
    scope="read",
    summary="Amberflo: several usage reports",
    body=Reports,
    dialect=DIALECT,
)
def report_amberflo_usages(request: Request, runtime: Runtime, body: list[ReportQuery]) -> Answer:
    reports = [_report(runtime, query, f"/{index}") for index, query in enumerate(body)]
    return answer_that_fits(canonical_json(reports), "")


@router.route(
    "GET",
    "/usage/all",
    scope="read",
    summary="Amberflo: a usage report of every meter",
    query=AllMetersQuery,
    dialect=DIALECT,
)
def report_all_amberflo_usage(request: Request, runtime: Runtime, query: AllMetersQuery) -> Answer:
    customers = None if query.customer_id is None else (query.customer_id,)
    live = [m for m in runtime.catalogue.newest().meters.values() if m.archived_since is None]
    reports = []
    for meter in live:
        if query.group_by:
            refuse_dimension_named_customer(runtime, meter.key, "/groupBy")
        question = query.to_question(meter.key)
        try:
            found = usage_of(runtime, question, customers)
        except InvalidError as error:
            raise renamed(error, RANGE_FIELDS) from None
        reports.append({"meterApiName": meter.event_type, **report_answer(question, found)})
    return answer_that_fits(canonical_json(reports), "")


def _report(runtime: Runtime, query: ReportQuery, prefix: str = "") -> dict[str, object]:
    """Raises: InvalidError with pointers in their words."""
    try:
        meter = reported_meter(runtime.catalogue.newest(), query)
        if CUSTOMER_ID in query.group_by:
            refuse_dimension_named_customer(runtime, meter.key, "/groupBy")
        question: UsageQuestion = query.to_question(meter.key)
        return report_answer(question, usage_of(runtime, question, query.customers), query.take)
    except InvalidError as error:
        ours = renamed(error, FIELDS)
        problems = [Problem(prefix + p.pointer, p.code) for p in ours.problems]
        raise InvalidError(ours.detail, problems) from None
