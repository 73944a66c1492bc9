"""Lago's events coming in. What is there already is refused, as Lago does, and stays as it is."""

from collections.abc import Sequence
from typing import Any

from functions._http import Answer, Request, Router
from functions._ingesting import refusal
from functions._metrics import count
from functions._runtime import Runtime
from functions._validation import validate
from functions.vendors._lago import DIALECT
from functions.vendors._taking import take_foreign
from shared.domain.errors import ConflictError, InvalidError, Problem
from shared.domain.events import canonical_json, event_key
from shared.services.ingest import Submission
from shared.wire.vendors.lago import FIELDS, BatchBody, EventBody, event_answer

router = Router()


def receive_event(runtime: Runtime, body: object) -> Answer:
    """Answers one event of theirs, on the path that they share with OpenMeter.

    Raises: InvalidError, UnavailableError.
    """
    submission = validate(EventBody, body).event.to_submission("/event")
    return Answer(canonical_json({"event": _store(runtime, [submission])[0]}))


@router.route(
    "POST",
    "/api/v1/events/batch",
    scope="ingest",
    summary="Lago: send up to 100 events, all or none",
    body=BatchBody,
    dialect=DIALECT,
)
def receive_batch(request: Request, runtime: Runtime, body: BatchBody) -> Answer:
    submissions = [e.to_submission(f"/events/{index}") for index, e in enumerate(body.events)]
    return Answer(canonical_json({"events": _store(runtime, submissions)}))


def _store(runtime: Runtime, submissions: Sequence[Submission]) -> list[dict[str, Any]]:
    """Stores all of them; none if one is there already, whatever it says.

    Raises: InvalidError, UnavailableError.
    """
    taken = runtime.ingest.stored(submissions)
    identities = [(s.customer, s.id) for s in submissions]
    repeated = [identity in identities[:n] for n, identity in enumerate(identities)]
    there = [s for s, *why in zip(submissions, taken, repeated, strict=True) if any(why)]
    if there:
        count("ingest", {"EventsDuplicate": len(there)})
        raise _already_there([s.pointer for s in there])
    result = take_foreign(runtime, submissions, FIELDS)
    error = refusal(result, submissions)
    if isinstance(error, ConflictError):  # Somebody else's came in between.
        raise _already_there([problem.pointer for problem in error.problems])
    if error is not None:
        raise error
    now = runtime.clock.now()
    return [event_answer(s, event_key(s.source, s.id), now) for s in submissions]


def _already_there(pointers: Sequence[str]) -> InvalidError:
    problems = [Problem(f"{pointer}/transaction_id", "value_already_exist") for pointer in pointers]
    return InvalidError("Some events are there already.", problems)
