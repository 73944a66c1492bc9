"""Stripe's sessions of meter event streams, and adjustments of meter events."""

from datetime import timedelta

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.authorizer import SESSION_PREFIX
from functions.vendors._reading import FORM
from functions.vendors._stripe import FORMS, JSON_BODIES
from shared.domain.errors import ForbiddenError, InvalidError, Problem
from shared.domain.events import canonical_json
from shared.wire.vendors.stripe_events import AdjustmentBody, SessionBody, session_answer

SESSION = timedelta(minutes=15)

router = Router()


@router.route(
    "POST",
    "/v2/billing/meter_event_session",
    scope="ingest",
    summary="Stripe: a token for a quarter of an hour's meter event streams",
    body=SessionBody,
    dialect=JSON_BODIES,
)
def create_meter_event_session(request: Request, runtime: Runtime, body: SessionBody) -> Answer:
    if request.principal.startswith(SESSION_PREFIX):
        raise ForbiddenError("A session does not open another one.")
    token, expires_at = runtime.session_tokens.issue(request.principal, SESSION)
    live = runtime.settings.stage == "prod"
    return Answer(canonical_json(session_answer(token, runtime.clock.now(), expires_at, live)))


@router.route(
    "POST",
    "/v1/billing/meter_event_adjustments",
    scope="admin",
    summary="Stripe: cancel a meter event; refused",
    body=AdjustmentBody,
    content_types=(FORM,),
    dialect=FORMS,
)
def create_adjustment_v1(request: Request, runtime: Runtime, body: AdjustmentBody) -> Answer:
    raise _unsupported()


@router.route(
    "POST",
    "/v2/billing/meter_event_adjustments",
    scope="admin",
    summary="Stripe: cancel a meter event; refused",
    body=AdjustmentBody,
    dialect=JSON_BODIES,
)
def create_adjustment_v2(request: Request, runtime: Runtime, body: AdjustmentBody) -> Answer:
    raise _unsupported()


def _unsupported() -> InvalidError:
    return InvalidError(
        "Events are not cancelled by adjustments.", [Problem("/type", "unsupported")]
    )
