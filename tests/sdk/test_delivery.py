"""What becomes of each event of a batch, whatever the API says of it."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterline_client._delivery import Verdict, deliver
from meterline_client._exchange import Answer, Request, Retry, Steps
from meterline_client._queue import Entry
from meterline_client.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    Problem,
    UnreachableError,
)

NO_WAIT = Retry(2, base_seconds=0)


def entries(count: int) -> list[Entry]:
    return [Entry(json.dumps({"id": str(n)}).encode(), 0.0) for n in range(count)]


def problem(status: int, **members: object) -> Answer:
    return Answer(status, content=json.dumps({"code": "refused", **members}).encode())


def verdict_of(steps: Steps[Verdict], *answers: Answer) -> Verdict:
    """The verdict after these answers, which are all asked for."""
    left = list(answers)
    found: Answer | None = None
    while True:
        try:
            step = steps.send(found)
        except StopIteration as done:
            assert left == []
            verdict: Verdict = done.value
            return verdict
        found = left.pop(0) if isinstance(step, Request) else None


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 100_000,
        b'{"accepted": 1, "duplicates": 0}',
        b'{"accepted": 2, "duplicates": 0, "unmetered": null}',
    ],
    ids=["deep", "of fewer", "no number"],
)
def test_an_answer_that_is_not_the_apis_is_none(content: bytes) -> None:
    batch, good = entries(2), b'{"accepted": 0, "duplicates": 2, "unmetered": 0}'
    verdict = verdict_of(
        deliver(batch, NO_WAIT), Answer(200, content=content), Answer(200, content=good)
    )
    assert verdict == Verdict(stored=batch, duplicates=2)


def test_a_refusal_that_cannot_be_read_is_one() -> None:
    verdict = verdict_of(deliver(entries(1), NO_WAIT), Answer(401, content=b"[" * 100_000))
    assert isinstance(verdict.error, AuthenticationError)


def test_a_batch_that_is_stored_is_settled() -> None:
    batch = entries(3)
    content = b'{"accepted": 2, "duplicates": 1, "unmetered": 1}'
    verdict = verdict_of(deliver(batch, NO_WAIT), Answer(200, content=content))
    assert verdict == Verdict(stored=batch, accepted=2, duplicates=1, unmetered=1)


def test_a_success_that_tells_of_other_numbers_is_no_answer() -> None:
    batch = entries(3)
    other = Answer(200, content=b'{"accepted": 1, "duplicates": 0}')
    verdict = verdict_of(deliver(batch, NO_WAIT), other, Answer(200, content=b"<html>"))
    assert verdict.undelivered == batch
    assert isinstance(verdict.error, UnreachableError)


def test_the_events_that_pointers_name_are_set_aside() -> None:
    batch = entries(4)
    errors = [
        {"pointer": "/1/data/tokens", "code": "not-a-number"},
        {"pointer": "/3", "code": "not-an-object"},
        {"pointer": "/1/time", "code": "too-old"},
    ]
    verdict = verdict_of(deliver(batch, NO_WAIT), problem(422, errors=errors))
    assert verdict.refused == [
        (batch[1], (Problem("/data/tokens", "not-a-number"), Problem("/time", "too-old"))),
        (batch[3], (Problem("", "not-an-object"),)),
    ]
    assert verdict.again == [[batch[0], batch[2]]]


def test_a_refusal_that_names_no_event_is_narrowed_down_by_halves() -> None:
    batch = entries(5)
    for status in (400, 413, 422):
        verdict = verdict_of(deliver(batch, NO_WAIT), problem(status))
        assert (verdict.refused, verdict.again) == ([], [batch[:2], batch[2:]])
        alone = verdict_of(deliver(batch[:1], NO_WAIT), problem(status))
        assert (alone.refused, alone.again) == ([(batch[0], ())], [])


def test_a_conflict_settles_what_it_tells_of() -> None:
    batch = entries(4)
    outcomes = ["accepted", "conflict", "duplicate", "accepted"]
    errors = [{"pointer": "/1", "code": "differs-from-stored"}]
    answer = problem(409, outcomes=outcomes, errors=errors)
    verdict = verdict_of(deliver(batch, NO_WAIT), answer)
    assert verdict.stored == [batch[0], batch[2], batch[3]]
    assert (verdict.accepted, verdict.duplicates) == (2, 1)
    assert verdict.refused == [(batch[1], (Problem("", "differs-from-stored"),))]
    assert isinstance(verdict.error, ConflictError)
    assert verdict.again == []


def test_all_of_it_is_sent_again_while_some_may_not_be_stored() -> None:
    batch = entries(2)
    partly = problem(503, outcomes=["accepted", "unknown"])
    stored = Answer(200, content=b'{"accepted": 1, "duplicates": 1}')
    assert verdict_of(deliver(batch, NO_WAIT), partly, stored).stored == batch
    verdict = verdict_of(deliver(batch, NO_WAIT), partly, partly)
    assert (verdict.stored, verdict.undelivered) == ([batch[0]], [batch[1]])


def test_a_refusal_of_the_sender_is_nobodys_fault_among_the_events() -> None:
    batch = entries(2)
    verdict = verdict_of(deliver(batch, NO_WAIT), problem(401))
    assert (verdict.undelivered, verdict.again, verdict.refused) == (batch, [], [])
    assert isinstance(verdict.error, AuthenticationError)


OUTCOMES = st.sampled_from(["accepted", "duplicate", "conflict", "unknown", "nonsense"])
POINTERS = st.sampled_from(["", "/0", "/1/data/x", "/7", "/9999999", "/x", "//", "/-1", "/٣"])
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "outcomes": st.lists(OUTCOMES, max_size=9) | st.none(),
        "errors": st.lists(st.fixed_dictionaries({"pointer": POINTERS, "code": st.just("c")}))
        | st.integers(),
        "accepted": st.integers(0, 9) | st.text(max_size=2),
        "duplicates": st.integers(0, 9),
    },
)
ANSWERS = st.builds(
    lambda status, document, cut: Answer(status, content=json.dumps(document).encode()[:cut]),
    st.sampled_from([None, 200, 302, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503]),
    DOCUMENTS | st.lists(st.integers()) | st.text(max_size=3),
    st.sampled_from([5, 1000, 1000, 1000]),
)


@given(st.integers(1, 9), st.data())
def test_each_event_ends_in_one_place_whatever_is_answered(size: int, data: st.DataObject) -> None:
    batch = entries(size)
    work = [list(batch)]
    ends: Counter[int] = Counter()
    rounds = 0
    while work:
        rounds += 1
        assert rounds <= 3 * size
        retry = Retry(1, base_seconds=0)
        verdict = verdict_of(deliver(work.pop(), retry), data.draw(ANSWERS))
        work += [list(again) for again in verdict.again]
        assert all(work)
        refused = [entry for entry, _ in verdict.refused]
        ends.update(map(id, [*verdict.stored, *verdict.undelivered, *refused]))
        assert verdict.accepted + verdict.duplicates == len(verdict.stored)
        if not verdict.stored:
            assert isinstance(verdict.error, ApiError | UnreachableError)
    assert ends == Counter(map(id, batch))
