"""OpenMeter's ingest: CloudEvents, as our own, on its own paths and with its own answers."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from functions._http import JSON, Answer, Dialect, Request, Router
from functions._ingesting import refusal, take
from functions._runtime import Runtime
from functions._validation import validate
from functions.vendors import _lago
from functions.vendors._openmeter import DIALECT
from functions.vendors.lago_ingest import receive_event
from shared.wire.events import Event, EventOrBatch, submissions

CLOUDEVENTS = ("application/cloudevents+json", "application/cloudevents-batch+json")

router = Router()


def _spoken(request: Request) -> Dialect:
    """Lago's where the body is an event of theirs, whoever sent it and as whatever."""
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return DIALECT
    return _lago.DIALECT if _is_lago(body) else DIALECT


def _is_lago(body: object) -> bool:
    # Both vendors take JSON here. CloudEvents may have an attribute `event`, but say what they are.
    return isinstance(body, Mapping) and "event" in body and "specversion" not in body


@router.route(
    "POST",
    "/api/v1/events",
    scope="ingest",
    summary="OpenMeter: send events; Lago: send one event",
    body=Any,
    content_types=(JSON, *CLOUDEVENTS),
    dialect=replace(DIALECT, spoken=_spoken),
)
def receive_on_shared_path(request: Request, runtime: Runtime, body: object) -> Answer:
    is_json = request.headers.get("content-type", "").strip().lower().startswith(JSON)
    if is_json and _is_lago(body):
        return receive_event(runtime, body)
    return _receive(runtime, validate(EventOrBatch, body), 204)


@router.route(
    "POST",
    "/api/v3/openmeter/events",
    scope="ingest",
    summary="OpenMeter: send events",
    body=EventOrBatch,
    content_types=(JSON, *CLOUDEVENTS),
    dialect=DIALECT,
)
def receive_events(request: Request, runtime: Runtime, body: Event | list[Event]) -> Answer:
    return _receive(runtime, body, 202)


def _receive(runtime: Runtime, body: Event | list[Event], status: int) -> Answer:
    sent = submissions(body)
    result = take(runtime, sent)
    error = refusal(result, sent)
    if error is not None:
        raise error
    return Answer(status=status)
