"""Sessions of the customer portal."""

from datetime import timedelta

from functions._http import Request, Router
from functions._runtime import Runtime
from shared.wire.portal import PortalSession, PortalSessionBody

router = Router()


@router.route(
    "POST",
    "/v1/portal/sessions",
    scope="admin",
    summary="Sign a customer in to the portal",
    body=PortalSessionBody,
    answer=PortalSession,
)
def create_portal_session(
    request: Request, runtime: Runtime, body: PortalSessionBody
) -> PortalSession:
    return signed_in(request, runtime, body.customer, timedelta(seconds=body.ttl_seconds))


def signed_in(
    request: Request, runtime: Runtime, customer: str, lifetime: timedelta
) -> PortalSession:
    """A session of the customer, at the address that the request came to.

    Raises: NotFoundError.
    """
    runtime.books.customer(customer)
    token, expires_at = runtime.portal_tokens.issue(customer, lifetime)
    scheme = request.headers.get("x-forwarded-proto", "https")
    base = f"{scheme}://{request.headers.get('host', '')}"
    # Behind the "#" the token stays out of servers' logs and of Referer headers.
    return PortalSession(url=f"{base}/portal#token={token}", token=token, expires_at=expires_at)
