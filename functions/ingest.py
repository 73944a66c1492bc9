"""Usage events come in."""

from collections.abc import Sequence
from typing import Any, get_args

from functions._http import JSON, Answer, Request, Router, problem
from functions._ingesting import refusal, take
from functions._runtime import Runtime, runtime
from shared.domain.errors import UnavailableError
from shared.services.ingest import Outcome, Submission
from shared.wire.events import Event, EventOrBatch, IngestAnswer

# What a refusal says of each event where some may be stored.
OUTCOMES = {
    "type": "array",
    "description": "What became of each event, in the request's order.",
    "items": {"enum": list(get_args(Outcome))},
}

router = Router()


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
    if isinstance(body, Event):
        submissions = [_submission(body, "")]
    else:
        submissions = [_submission(event, f"/{index}") for index, event in enumerate(body)]
    try:
        result = take(runtime, submissions)
    except UnavailableError as unavailable:
        return problem(unavailable, request.instance, outcomes=["unknown"] * len(submissions))
    error = refusal(result, submissions)
    if error is not None:
        return problem(error, request.instance, outcomes=result.outcomes)
    return IngestAnswer(
        accepted=result.outcomes.count("accepted"),
        duplicates=result.outcomes.count("duplicate"),
        unmetered=result.unmetered,
    )


def _submission(event: Event, pointer: str) -> Submission:
    return Submission(
        pointer=pointer,
        customer=event.subject,
        source=event.source,
        id=event.id,
        type=event.type,
        occurred_at=event.time,
        data=event.data,
        extensions=event.extensions,
    )


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
