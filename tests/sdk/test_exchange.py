"""Which answers are waited for, how long, and which stand."""

import pytest

from meterline_client._exchange import (
    Answer,
    Pause,
    Request,
    Retry,
    exchange,
    retry_after_seconds,
)
from meterline_client.errors import UnreachableError

REQUEST = Request("POST", "/v1/events", body=b"[]")
LOST = Answer(None, failure="ReadError")


def play(answers: list[Answer], retry: Retry | None = None) -> tuple[Answer, list[float]]:
    """The answer that stands, and the pauses before it; every answer must be asked for."""
    steps = exchange(REQUEST, retry or Retry(base_seconds=0), lambda a: a.content != b"cut")
    pauses: list[float] = []
    left = list(answers)
    found: Answer | None = None
    while True:
        try:
            step = steps.send(found)
        except StopIteration as done:
            assert left == []
            return done.value, pauses
        found = None
        if isinstance(step, Pause):
            pauses.append(step.seconds)
        else:
            assert step is REQUEST
            found = left.pop(0)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(status: int) -> None:
    good = Answer(200)
    assert play([Answer(status), LOST, Answer(200, content=b"cut"), good])[0] is good


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 409, 413, 415, 422])
def test_other_refusals_stand_at_once(status: int) -> None:
    assert play([Answer(status)])[1] == []


def test_attempts_are_counted() -> None:
    assert play([Answer(503)] * 3, Retry(3, base_seconds=0))[0].status == 503
    with pytest.raises(UnreachableError, match="ReadError"):
        play([LOST] * 3, Retry(3, base_seconds=0))


def test_without_a_number_of_attempts_it_never_gives_up() -> None:
    assert play([LOST] * 500 + [Answer(200)], Retry(None, base_seconds=0))[0].ok


def test_pauses_grow_to_the_cap_with_full_jitter() -> None:
    retry = Retry(base_seconds=0.1, cap_seconds=2.0)
    for attempt, ceiling in ((1, 0.1), (2, 0.2), (4, 0.8), (6, 2.0), (5000, 2.0)):
        drawn = [retry.backoff(attempt) for _ in range(400)]
        assert 0 <= min(drawn) < 0.2 * ceiling
        assert 0.8 * ceiling < max(drawn) <= ceiling


def test_it_waits_at_least_as_long_as_the_server_asks() -> None:
    busy = Answer(429, {"retry-after": "7"})
    _, [pause] = play([busy, Answer(200)], Retry(base_seconds=0.5))
    assert 7 <= pause <= 7.5


def test_a_wait_for_the_next_minute_is_waited_out() -> None:
    limited = Answer(429, {"retry-after": "60"})
    assert play([limited, Answer(200)], Retry(base_seconds=0))[1] == [60]


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    busy = Answer(429, {"retry-after": "3600"})
    assert play([busy], Retry(longest_wait_seconds=60)) == (busy, [])


def test_who_never_gives_up_waits_no_longer_than_it_wants_to() -> None:
    busy = Answer(429, {"retry-after": "9" * 400})
    retry = Retry(None, base_seconds=0, longest_wait_seconds=60)
    assert play([busy, Answer(200)], retry)[1] == [60]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "٣"}, 0),
        ({}, 0),
        (
            {
                "retry-after": "Tue, 10 Mar 2026 12:00:30 GMT",
                "date": "Tue, 10 Mar 2026 12:00:00 GMT",
            },
            30,
        ),
        ({"retry-after": "Tue, 10 Mar 2020 12:00:30 GMT"}, 0),
    ],
)
def test_retry_after_is_seconds_or_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_seconds(headers) == seconds
