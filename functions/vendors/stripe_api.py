"""Stripe's sessions of meter event streams, and adjustments of meter events."""

from contextlib import suppress
from datetime import timedelta

from functions._http import Answer, Request, Router
from functions._rate_limits import SESSION_PREFIX
from functions._runtime import Runtime
from functions.vendors._finding import found
from functions.vendors._reading import FORM
from functions.vendors._stripe import FORMS, JSON_BODIES
from shared.domain.errors import ForbiddenError, NotFoundError
from shared.domain.events import canonical_json, event_key, time_text
from shared.services.correcting import AlreadyCancelledError, CorrectionOrder
from shared.wire.vendors.stripe_events import (
    SOURCE,
    AdjustmentBody,
    SessionBody,
    adjustment_answer,
    session_answer,
)

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
    summary="Stripe: cancel a meter event",
    body=AdjustmentBody,
    content_types=(FORM,),
    dialect=FORMS,
)
def create_adjustment_v1(request: Request, runtime: Runtime, body: AdjustmentBody) -> Answer:
    _cancel(request, runtime, body)
    answer = adjustment_answer(body, runtime.settings.stage == "prod")
    return Answer(canonical_json({"object": "billing.meter_event_adjustment", **answer}))


@router.route(
    "POST",
    "/v2/billing/meter_event_adjustments",
    scope="admin",
    summary="Stripe: cancel a meter event",
    body=AdjustmentBody,
    dialect=JSON_BODIES,
)
def create_adjustment_v2(request: Request, runtime: Runtime, body: AdjustmentBody) -> Answer:
    _cancel(request, runtime, body)
    answer = adjustment_answer(body, runtime.settings.stage == "prod")
    named = {"object": "v2.billing.meter_event_adjustment", "id": f"mea_{body.cancel.identifier}"}
    created = time_text(runtime.clock.now())
    return Answer(canonical_json({**named, "created": created, **answer}))


def _cancel(request: Request, runtime: Runtime, body: AdjustmentBody) -> None:
    """Cancels the event of the identifier, whoever's it is; twice is as once.

    Raises: NotFoundError, InvalidError.
    """
    identifier = body.cancel.identifier
    event = found(runtime, event_key(SOURCE, identifier), None, "/cancel/identifier")
    if event.type != body.event_name:
        raise NotFoundError("No such event.")
    order = CorrectionOrder(event.customer, SOURCE, identifier, None, request.principal)
    with suppress(AlreadyCancelledError):
        runtime.correcting.correct(order, lambda _: "")
