"""A batch of events, sent until what became of each of them is known.

The API stores all of a batch or none of it when it complains about form (422), and says where.
Those events are set aside, and the others are sent again without them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from meterline_client._exchange import Answer, Request, Retry, Steps, exchange
from meterline_client._http import packed
from meterline_client._queue import Entry
from meterline_client.errors import ApiError, MeterlineError, Problem, UnreachableError

# Complaints about what was sent, not about who sent it or when.
CONTENT_STATUSES = frozenset((400, 409, 413, 422))


@dataclass(slots=True)
class Verdict:
    """What is now known of some events of a batch. Those under `again` are not settled yet.

    `refused` are at fault themselves, with the places in them; of `undelivered` nothing is known
    but `error`.
    """

    stored: Sequence[Entry] = ()
    accepted: int = 0
    duplicates: int = 0
    unmetered: int = 0
    refused: list[tuple[Entry, tuple[Problem, ...]]] = field(default_factory=list)
    undelivered: Sequence[Entry] = ()
    error: MeterlineError | None = None
    again: list[Sequence[Entry]] = field(default_factory=list)


def deliver(batch: Sequence[Entry], retry: Retry) -> Steps[Verdict]:
    """Sends one batch as one request, as often as it takes, and judges the answer."""
    request = Request(
        "POST", "/v1/events", **packed(b"[" + b",".join(e.payload for e in batch) + b"]")
    )
    try:
        answer = yield from exchange(request, retry, lambda answer: _accounts_for(answer, batch))
    except UnreachableError as error:
        return Verdict(undelivered=batch, error=error)
    return judge(batch, answer)


def judge(batch: Sequence[Entry], answer: Answer) -> Verdict:
    """What the answer says of each event."""
    if answer.ok:
        counts = answer.document()
        return Verdict(batch, counts["accepted"], counts["duplicates"], counts.get("unmetered", 0))
    error = ApiError.of(answer.status or 0, answer.content)
    by_place = _problems_by_place(error, len(batch))
    outcomes = _outcomes(answer, len(batch))
    if outcomes:
        return _by_outcomes(batch, outcomes, by_place, error)
    if answer.status not in CONTENT_STATUSES:
        return Verdict(undelivered=batch, error=error)
    if not by_place and len(batch) > 1:
        # It does not say which: halving finds it.
        middle = len(batch) // 2
        return Verdict(error=error, again=[batch[:middle], batch[middle:]])
    if not by_place:
        by_place = {0: error.problems}
    others = [entry for place, entry in enumerate(batch) if place not in by_place]
    refused = [(batch[place], problems) for place, problems in by_place.items()]
    return Verdict(refused=refused, error=error, again=[others] if others else [])


def _by_outcomes(
    batch: Sequence[Entry],
    outcomes: Sequence[str],
    by_place: dict[int, tuple[Problem, ...]],
    error: ApiError,
) -> Verdict:
    """The answer tells of each event; what it does not know is sent again after a 409 only."""
    unknown = [e for e, o in zip(batch, outcomes, strict=True) if o == "unknown"]
    again = error.status < 500 and 0 < len(unknown) < len(batch)
    return Verdict(
        stored=[e for e, o in zip(batch, outcomes, strict=True) if o in ("accepted", "duplicate")],
        accepted=outcomes.count("accepted"),
        duplicates=outcomes.count("duplicate"),
        refused=[
            (entry, by_place.get(place, ()))
            for place, (entry, outcome) in enumerate(zip(batch, outcomes, strict=True))
            if outcome == "conflict"
        ],
        undelivered=() if again else unknown,
        error=error,
        again=[unknown] if again else [],
    )


def _accounts_for(answer: Answer, batch: Sequence[Entry]) -> bool:
    """Whether a 2xx is the API's: it tells of as many events as were sent."""
    counts = answer.document()
    if not isinstance(counts, dict):
        return False
    accepted, duplicates = counts.get("accepted"), counts.get("duplicates")
    if not isinstance(accepted, int) or not isinstance(duplicates, int):
        return False
    return accepted + duplicates == len(batch) and isinstance(counts.get("unmetered", 0), int)


def _outcomes(answer: Answer, size: int) -> Sequence[str]:
    """What the refusal says of each event; nothing if it does not tell of all of them."""
    document = answer.document()
    listed = document.get("outcomes") if isinstance(document, dict) else None
    known = ("accepted", "duplicate", "conflict", "unknown")
    if not isinstance(listed, list) or len(listed) != size or any(o not in known for o in listed):
        return ()
    return listed


def _problems_by_place(error: ApiError, size: int) -> dict[int, tuple[Problem, ...]]:
    """The problems of each event that the pointers name, their pointers now within the event."""
    found: dict[int, tuple[Problem, ...]] = {}
    for problem in error.problems:
        match = re.fullmatch(r"/(\d{1,6})((?:/.*)?)", problem.pointer, re.ASCII | re.DOTALL)
        if match and int(match[1]) < size:
            place = int(match[1])
            found[place] = (*found.get(place, ()), Problem(match[2], problem.code))
    return found
