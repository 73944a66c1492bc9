"""Everything people and programs ask for, but for events coming in: one function, many routes."""

from typing import Any

from functions._http import Router
from functions._runtime import runtime
from functions.routes import (
    catalogue,
    customers,
    events,
    invoices,
    openapi,
    pages,
    portal,
    quarantine,
    reconciliation,
    subscriptions,
    segments,
    usage,
)
from functions.routes import credits as credit_routes

router = Router(
    (
        openapi.router,
        catalogue.router,
        customers.router,
        subscriptions.router,
        segments.router,
        credit_routes.router,
        usage.router,
        invoices.router,
        quarantine.router,
        reconciliation.router,
        events.router,
        portal.router,
        pages.router,
    )
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
