"""Credits: grants, balances, the ledger."""

from itertools import dropwhile, islice

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import hide_from_portal, money_write, open_cursor, seal_cursor
from shared.services.balances import balance, balances, ledger
from shared.services.granting import HeldGrant, grant_credits, list_grants, void_credits
from shared.wire.common import Page, PageQuery
from shared.wire.credits import (
    BalanceQuery,
    BalancesView,
    BalanceView,
    GrantBody,
    GrantView,
    LedgerEntryView,
    LedgerQuery,
)

router = Router()


def _grant_json(held: HeldGrant) -> str:
    return GrantView.of(held).model_dump_json()


@router.route(
    "POST",
    "/v1/customers/{customer}/grants",
    scope="admin",
    summary="Grant credits",
    body=GrantBody,
    answer=GrantView,
    status=201,
    money=True,
)
def create_grant(request: Request, runtime: Runtime, body: GrantBody) -> Answer:
    write = money_write(request, body)
    stored = grant_credits(runtime.books, write, body.to_order(), _grant_json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/grants/{grant}/void",
    scope="admin",
    summary="Take back what is left of a grant",
    answer=GrantView,
    money=True,
)
def void_grant(request: Request, runtime: Runtime) -> Answer:
    grant = request.parameters["grant"]
    stored = void_credits(runtime.books, money_write(request), grant, _grant_json)
    return Answer(stored.answer, stored.status)


@router.route(
    "GET",
    "/v1/customers/{customer}/grants",
    scope="read",
    summary="Every grant of a customer, oldest first",
    query=PageQuery,
    answer=Page[GrantView],
)
def read_grants(request: Request, runtime: Runtime, query: PageQuery) -> Page[GrantView]:
    hide_from_portal(request)
    after = open_cursor(runtime, request, query.cursor)
    grants = iter(list_grants(runtime.books, request.parameters["customer"]))
    if after is not None:
        grants = islice(dropwhile(lambda held: held.grant.id != after, grants), 1, None)
    page = list(islice(grants, query.limit))
    last = page[-1].grant.id if next(grants, None) is not None else None
    return Page[GrantView](
        data=[GrantView.of(held) for held in page],
        next_cursor=seal_cursor(runtime, request, last),
    )


@router.route(
    "GET",
    "/v1/customers/{customer}/balance",
    scope="read",
    summary="What a customer holds: of one unit, or of each",
    query=BalanceQuery,
    answer=BalanceView | BalancesView,
)
def read_balance(
    request: Request, runtime: Runtime, query: BalanceQuery
) -> BalanceView | BalancesView:
    customer = request.parameters["customer"]
    if query.unit is None:
        found = balances(runtime.books, customer, query.at)
        return BalancesView(data=[BalanceView.of(each) for each in found])
    return BalanceView.of(balance(runtime.books, customer, query.unit, query.at))


@router.route(
    "GET",
    "/v1/customers/{customer}/ledger",
    scope="read",
    summary="What moved a customer's balances, step by step",
    query=LedgerQuery,
    answer=Page[LedgerEntryView],
)
def read_ledger(request: Request, runtime: Runtime, query: LedgerQuery) -> Page[LedgerEntryView]:
    customer = request.parameters["customer"]
    page = ledger(
        runtime.books,
        customer,
        query.unit,
        query.limit,
        open_cursor(runtime, request, query.cursor),
        newest_first=query.order == "desc",
    )
    moved = {key for entry in page.items for held in entry.changes.values() for key in held}
    grants = runtime.store.grants(customer, moved)
    return Page[LedgerEntryView](
        data=[LedgerEntryView.of(entry, query.unit, grants) for entry in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )
