"""Customers: profiles, kept by operators."""

from functions._http import Answer, Request, Router
from functions._preconditions import require_match
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import hide_from_portal, money_write, open_cursor, seal_cursor
from shared.domain.customers import Customer
from shared.services.managing_customers import archive_customer, put_customer
from shared.services.segments import customers_page, named_segment
from shared.wire.common import CustomerKey, Page
from shared.wire.customers import CustomerBody, CustomersQuery, CustomerView

router = Router()


@router.route(
    "PUT",
    "/v1/customers/{customer}",
    scope="admin",
    summary="Make a customer, or replace its profile",
    body=CustomerBody,
    answer=CustomerView,
    tagged=True,
)
def save_customer(request: Request, runtime: Runtime, body: CustomerBody) -> CustomerView:
    def unchanged(stored: Customer | None) -> None:
        require_match(request.headers, CustomerView.of(stored) if stored else None)

    customer = put_customer(
        runtime.books,
        validate(CustomerKey, request.parameters["customer"]),
        body.to_profile(),
        request.principal,
        test_clocks=runtime.settings.test_clocks,
        provided=unchanged,
    )
    return CustomerView.of(customer)


@router.route(
    "GET",
    "/v1/customers/{customer}",
    scope="read",
    summary="A customer",
    answer=CustomerView,
    tagged=True,
)
def read_customer(request: Request, runtime: Runtime) -> CustomerView:
    hide_from_portal(request)
    return CustomerView.of(runtime.books.customer(request.parameters["customer"]))


@router.route(
    "GET",
    "/v1/customers",
    scope="read",
    summary="All customers by key, or those of a segment",
    query=CustomersQuery,
    answer=Page[CustomerView],
)
def read_customers(request: Request, runtime: Runtime, query: CustomersQuery) -> Page[CustomerView]:
    segment = named_segment(runtime.segments, query.segment) if query.segment else None
    after = open_cursor(runtime, request, query.cursor)
    page = customers_page(runtime.store, segment, query.limit, after)
    return Page[CustomerView](
        data=[CustomerView.of(customer) for customer in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )


def _customer_json(customer: Customer) -> str:
    return CustomerView.of(customer).model_dump_json()


@router.route(
    "POST",
    "/v1/customers/{customer}/archive",
    scope="admin",
    summary="Archive a customer: new events of it are refused",
    answer=CustomerView,
    money=True,
)
def archive(request: Request, runtime: Runtime) -> Answer:
    write = money_write(request)
    stored = archive_customer(runtime.books, write, _customer_json, archived=True)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/unarchive",
    scope="admin",
    summary="Take events of an archived customer again",
    answer=CustomerView,
    money=True,
)
def unarchive(request: Request, runtime: Runtime) -> Answer:
    write = money_write(request)
    stored = archive_customer(runtime.books, write, _customer_json, archived=False)
    return Answer(stored.answer, stored.status)
