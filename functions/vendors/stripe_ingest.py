"""Stripe's meter events coming in: as forms, as JSON, and in streams."""

import hashlib
import uuid

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import idempotency_key
from functions.vendors._reading import FORM
from functions.vendors._stripe import FORMS, JSON_BODIES
from functions.vendors._taking import store_foreign
from shared.domain.events import canonical_json
from shared.wire.vendors.stripe_events import (
    FIELDS,
    MeterEventStream,
    MeterEventV1,
    MeterEventV2,
    to_submission,
    v1_answer,
    v2_answer,
)

router = Router()


@router.route(
    "POST",
    "/v1/billing/meter_events",
    scope="ingest",
    summary="Stripe: send a meter event",
    body=MeterEventV1,
    content_types=(FORM,),
    dialect=FORMS,
)
def create_meter_event_v1(request: Request, runtime: Runtime, body: MeterEventV1) -> Answer:
    identifier = _store(request, runtime, body)
    answer = v1_answer(body, identifier, runtime.clock.now(), live=_is_live(runtime))
    return Answer(canonical_json(answer))


@router.route(
    "POST",
    "/v2/billing/meter_events",
    scope="ingest",
    summary="Stripe: send a meter event",
    body=MeterEventV2,
    dialect=JSON_BODIES,
)
def create_meter_event_v2(request: Request, runtime: Runtime, body: MeterEventV2) -> Answer:
    identifier = _store(request, runtime, body)
    answer = v2_answer(body, identifier, runtime.clock.now(), live=_is_live(runtime))
    return Answer(canonical_json(answer))


@router.route(
    "POST",
    "/v2/billing/meter_event_stream",
    scope="ingest",
    summary="Stripe: send up to 100 meter events",
    body=MeterEventStream,
    dialect=JSON_BODIES,
)
def create_meter_event_stream(request: Request, runtime: Runtime, body: MeterEventStream) -> Answer:
    submissions = [
        to_submission(event, event.identifier or _identifier(request, index), f"/events/{index}")
        for index, event in enumerate(body.events)
    ]
    store_foreign(runtime, submissions, FIELDS)
    return Answer("{}")


def _store(request: Request, runtime: Runtime, event: MeterEventV1 | MeterEventV2) -> str:
    identifier = event.identifier or _identifier(request, 0)
    store_foreign(runtime, [to_submission(event, identifier, "")], FIELDS)
    return identifier


def _identifier(request: Request, index: int) -> str:
    """An identifier for an event without one: a retry has the same Idempotency-Key, so the same."""
    if "idempotency-key" not in request.headers:
        return str(uuid.uuid4())
    named = canonical_json([idempotency_key(request.headers), index])
    return hashlib.sha256(named.encode()).hexdigest()


def _is_live(runtime: Runtime) -> bool:
    return runtime.settings.stage == "prod"
