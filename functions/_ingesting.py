"""Usage events taken in for a route, in whatever format they came, and counted."""

from collections.abc import Sequence

from functions._metrics import count
from functions._runtime import Runtime
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    MeterlineError,
    Problem,
    UnavailableError,
)
from shared.services.ingest import IngestResult, Submission


def take(runtime: Runtime, submissions: Sequence[Submission]) -> IngestResult:
    """What became of each event; the metrics say it as well.

    Raises: InvalidError, UnavailableError, both with nothing known to be stored.
    """
    try:
        result = runtime.ingest.take(submissions)
    except InvalidError:
        count("ingest", {"EventsRejected": len(submissions)})
        raise
    except UnavailableError:
        count("ingest", {"EventsNotStored": len(submissions)})
        raise
    count("ingest", _counters(result))
    return result


def refusal(result: IngestResult, submissions: Sequence[Submission]) -> MeterlineError | None:
    """What to say where not every event is stored as sent; outcomes then tell of each."""

    def problems(outcome: str, code: str) -> list[Problem]:
        pairs = zip(submissions, result.outcomes, strict=True)
        return [Problem(s.pointer, code) for s, found in pairs if found == outcome]

    if unknown := problems("unknown", "not-stored"):
        return UnavailableError("Some events may not be stored: send all of them again.", unknown)
    if conflicts := problems("conflict", "differs-from-stored"):
        detail = "Some events were stored before with another type or data; the rest is stored."
        return ConflictError(detail, conflicts)
    return None


def _counters(result: IngestResult) -> dict[str, int]:
    return {
        "EventsAccepted": result.outcomes.count("accepted"),
        "EventsDuplicate": result.outcomes.count("duplicate"),
        "EventsConflicting": result.outcomes.count("conflict"),
        "EventsNotStored": result.outcomes.count("unknown"),
        "EventsUnmetered": result.unmetered,
        "EventsLackingValue": result.value_missing,
    }
