"""Usage events come in, in our own format and in those of other vendors' clients."""

from collections.abc import Sequence
from typing import Any, get_args

from functions._http import JSON, Answer, Request, Router, problem
from functions._ingesting import refusal, take
from functions._runtime import Runtime, runtime
from functions.vendors import amberflo_ingest, lago_ingest, openmeter_ingest, stripe_ingest
from shared.domain.errors import UnavailableError
from shared.services.ingest import Outcome
from shared.wire.events import Event, EventOrBatch, IngestAnswer, submissions

# What a refusal says of each event where some may be stored.
OUTCOMES = {
    "type": "array",
    "description": "What became of each event, in the request's order.",
    "items": {"enum": list(get_args(Outcome))},
}

router = Router(
    (
        openmeter_ingest.router,
        amberflo_ingest.router,
        lago_ingest.router,
        stripe_ingest.router,
    )
)


@router.route(
    "POST",
    "/v1/events",
    scope="ingest",
    summary="Send usage events; each counts once, however often it is sent",
    body=EventOrBatch,
    answer=IngestAnswer,
    content_types=(JSON, "application/cloudevents+json", "application/cloudevents-batch+json"),
    refusals={409: {"outcomes": OUTCOMES}, 503: {"outcomes": OUTCOMES}},
)
def send_events(
    request: Request, runtime: Runtime, body: Event | Sequence[Event]
) -> IngestAnswer | Answer:
    sent = submissions(body)
    try:
        result = take(runtime, sent)
    except UnavailableError as unavailable:
        return problem(unavailable, request.instance, outcomes=["unknown"] * len(sent))
    error = refusal(result, sent)
    if error is not None:
        return problem(error, request.instance, outcomes=result.outcomes)
    return IngestAnswer(
        accepted=result.outcomes.count("accepted"),
        duplicates=result.outcomes.count("duplicate"),
        unmetered=result.unmetered,
    )


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
