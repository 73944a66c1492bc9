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
    runtime.books.customer(body.customer)
    lifetime = timedelta(seconds=body.ttl_seconds)
    token, expires_at = runtime.portal_tokens.issue(body.customer, lifetime)
    scheme = request.headers.get("x-forwarded-proto", "https")
    base = f"{scheme}://{request.headers.get('host', '')}"
    # Behind the "#" the token stays out of servers' logs and of Referer headers.
    return PortalSession(url=f"{base}/portal#token={token}", token=token, expires_at=expires_at)
