"""Usage events come in."""

from collections.abc import Sequence
from typing import Any, get_args

from functions._http import JSON, Answer, Request, Router, problem
from functions._metrics import count
from functions._runtime import Runtime, runtime
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    MeterlineError,
    Problem,
    UnavailableError,
)
from shared.services.ingest import IngestResult, Outcome, Submission
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
        result = runtime.ingest.take(submissions)
    except InvalidError:
        count("ingest", {"EventsRejected": len(submissions)})
        raise
    except UnavailableError as unavailable:
        count("ingest", {"EventsNotStored": len(submissions)})
        return problem(unavailable, request.instance, outcomes=["unknown"] * len(submissions))
    answer = IngestAnswer(
        accepted=result.outcomes.count("accepted"),
        duplicates=result.outcomes.count("duplicate"),
        unmetered=result.unmetered,
    )
    count("ingest", _counters(result))
    error = _refusal(result, submissions)
    if error is None:
        return answer
    return problem(error, request.instance, outcomes=result.outcomes)


def _counters(result: IngestResult) -> dict[str, int]:
    return {
        "EventsAccepted": result.outcomes.count("accepted"),
        "EventsDuplicate": result.outcomes.count("duplicate"),
        "EventsConflicting": result.outcomes.count("conflict"),
        "EventsNotStored": result.outcomes.count("unknown"),
        "EventsUnmetered": result.unmetered,
        "EventsLackingValue": result.value_missing,
    }


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


def _refusal(result: IngestResult, submissions: Sequence[Submission]) -> MeterlineError | None:
    """What to say where not every event is stored as sent; `outcomes` then tells of each."""

    def problems(outcome: str, code: str) -> list[Problem]:
        pairs = zip(submissions, result.outcomes, strict=True)
        return [Problem(s.pointer, code) for s, found in pairs if found == outcome]

    if unknown := problems("unknown", "not-stored"):
        return UnavailableError("Some events may not be stored: send all of them again.", unknown)
    if conflicts := problems("conflict", "differs-from-stored"):
        detail = "Some events were stored before with another type or data; the rest is stored."
        return ConflictError(detail, conflicts)
    return None


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """API Gateway HTTP API, payload 2.0."""
    return router.serve(event, runtime)
