"""Everything people and programs ask for, but for events coming in: one function, many routes."""

from typing import Any

from functions._http import Router
from functions._runtime import runtime
from functions.routes import (
    add_ons,
    analytics,
    catalogue,
    conversions,
    costs,
    coupons,
    customers,
    earned_shares,
    entitlements,
    event_types,
    events,
    invoices,
    migrations,
    openapi,
    pages,
    portal,
    quarantine,
    reconciliation,
    reservations,
    rewards,
    segments,
    shadow,
    subscriptions,
    usage,
)
from functions.routes import credits as credit_routes
from functions.vendors import amberflo_api, amberflo_billing, lago_api, openmeter_api, stripe_api

router = Router(
    (
        openapi.router,
        catalogue.router,
        costs.router,
        coupons.router,
        analytics.router,
        customers.router,
        segments.router,
        subscriptions.router,
        migrations.router,
        credit_routes.router,
        add_ons.router,
        entitlements.router,
        conversions.router,
        reservations.router,
        rewards.router,
        earned_shares.router,
        usage.router,
        invoices.router,
        quarantine.router,
        reconciliation.router,
        events.router,
        event_types.router,
        shadow.router,
        portal.router,
        pages.router,
        openmeter_api.router,
        amberflo_api.router,
        amberflo_billing.router,
        lago_api.router,
        stripe_api.router,
    )
)


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
