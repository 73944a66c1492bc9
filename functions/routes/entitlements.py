"""Entitlements: what a customer may use now, and how much is left of it."""

from functions._http import Request, Router
from functions._runtime import Runtime
from shared.services.entitlements import entitlement, entitlements
from shared.wire.entitlements import EntitlementsView, EntitlementView

router = Router()


@router.route(
    "GET",
    "/v1/customers/{customer}/entitlements",
    scope="read",
    summary="What a customer may use: each feature and meter of its plan",
    answer=EntitlementsView,
)
def read_entitlements(request: Request, runtime: Runtime) -> EntitlementsView:
    found = entitlements(runtime.books, request.parameters["customer"])
    return EntitlementsView(data=list(map(EntitlementView.of, found)))


@router.route(
    "GET",
    "/v1/customers/{customer}/entitlements/{feature}",
    scope="read",
    summary="Whether a customer may use a feature or meter now, and how much is left",
    answer=EntitlementView,
)
def read_entitlement(request: Request, runtime: Runtime) -> EntitlementView:
    asked = request.parameters
    return EntitlementView.of(entitlement(runtime.books, asked["customer"], asked["feature"]))
