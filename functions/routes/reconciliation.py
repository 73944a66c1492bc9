"""Reconciliation: when everything was last found right, what was not, and a pass on demand."""

import time
from dataclasses import replace

from functions._http import Answer, Request, Router
from functions._reconciliation import report
from functions._runtime import Runtime
from functions.routes._common import hide_from_portal, open_cursor, seal_cursor
from shared.services.reconciliation import Reconciliation
from shared.wire.common import PageQuery
from shared.wire.reconciliation import (
    CustomerReconciliationView,
    PassView,
    ReconciliationsView,
    ReconciliationView,
)

# A request ends after half a minute. When this is over, a look at the numbers ends where it is;
# what waits for the stream may wait for ten seconds more, before it sees that time is up.
SECONDS_FOR_A_PASS = 10.0

router = Router()


@router.route(
    "GET",
    "/v1/reconciliation",
    scope="read",
    summary="When all numbers were last found right, and the customers whose numbers contradict",
    query=PageQuery,
    answer=ReconciliationsView,
)
def read_reconciliations(
    request: Request, runtime: Runtime, query: PageQuery
) -> ReconciliationsView:
    notes = runtime.reconciliations
    page = notes.contradicted(query.limit, open_cursor(runtime, request, query.cursor))
    oldest = notes.oldest()
    return ReconciliationsView(
        clean_at=oldest.clean_at if oldest else None,
        data=[ReconciliationView.of(note) for note in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )


@router.route(
    "GET",
    "/v1/reconciliation/{customer}",
    scope="read",
    summary="How one customer's numbers were found, and whether its billing is held",
    answer=CustomerReconciliationView,
)
def read_reconciliation(request: Request, runtime: Runtime) -> CustomerReconciliationView:
    hide_from_portal(request)
    key = request.parameters["customer"]
    runtime.books.customer(key)
    account = runtime.store.account(key)
    note = runtime.reconciliations.reconciliation(key) or Reconciliation(key)
    return CustomerReconciliationView(
        **ReconciliationView.of(note).model_dump(),
        held=account is not None and account.held is not None,
    )


@router.route(
    "POST",
    "/v1/reconciliation/{customer}",
    scope="admin",
    summary="Reconcile a customer now, as far as half a minute goes; once by nature",
    answer=PassView,
)
def reconcile(request: Request, runtime: Runtime) -> PassView:
    until = time.monotonic() + SECONDS_FOR_A_PASS
    customer = request.parameters["customer"]

    def is_over() -> bool:
        return time.monotonic() > until

    known = runtime.reconciler
    reconciler = replace(known, recounting=known.recounting.within_seconds(is_over))
    result = reconciler.reconcile(customer, is_over, again=True)
    report(result)
    return PassView.of(result)


@router.route(
    "DELETE",
    "/v1/reconciliation/{customer}/hold",
    scope="admin",
    summary="Let a customer's billing go on, until a pass finds contradictions again",
    status=204,
)
def release(request: Request, runtime: Runtime) -> Answer:
    runtime.reconciler.release(request.parameters["customer"], request.principal)
    return Answer(status=204)
