"""The HTTP layer and limits: who is counted, who is refused and how, and who never is."""

import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from functions._http import Answer, Request, Router
from shared.domain.errors import UnavailableError
from shared.services.rate_limiting import RateLimiter, RequestCounters
from tests.fakes.request_counters import MemoryRequestCounters
from tests.integration.api import SettableClock
from tests.unit.http.events import api_event

AT = datetime(2026, 3, 10, 12, 30, 48, tzinfo=UTC)
router = Router()


@router.route("POST", "/v1/things", scope="ingest", summary="Make", answer=None)
def make_thing(request: Request, runtime: Any) -> Answer:
    runtime.made.append(request.principal)
    return Answer("made")


class BrokenCounters:
    """Cannot be written."""

    def count(self, key_id: str, window: datetime, limit: int) -> bool:
        raise UnavailableError("No answer.")


class System:
    """The route above, and what it made."""

    def __init__(self, counters: RequestCounters) -> None:
        limiter = RateLimiter(counters, SettableClock(AT))
        self.runtime = SimpleNamespace(rate_limiter=limiter, made=[])

    def send(self, **more: Any) -> dict[str, Any]:
        event = api_event("POST", "/v1/things", **{"scopes": "ingest", **more})
        return router.serve(event, lambda: self.runtime)

    def statuses(self, times: int, **more: Any) -> list[int]:
        return [self.send(**more)["statusCode"] for _ in range(times)]


def test_over_the_limit_is_429_with_nothing_done(capsys: pytest.CaptureFixture[str]) -> None:
    system = System(MemoryRequestCounters())
    assert system.statuses(3, rate_limit=2) == [200, 200, 429]
    assert len(system.runtime.made) == 2
    refused = system.send(rate_limit=2)
    problem = json.loads(refused["body"])
    assert refused["headers"]["Content-Type"] == "application/problem+json"
    assert refused["headers"]["Retry-After"] == "12"
    assert (problem["status"], problem["code"]) == (429, "too-many-requests")
    assert problem["title"] == "Too Many Requests"
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(c["service"], c["RequestsOverLimit"]) for c in counted] == [("rate_limits", 1)] * 2


def test_a_key_without_a_limit_is_not_counted() -> None:
    counters = MemoryRequestCounters()
    assert System(counters).statuses(5) == [200] * 5
    assert counters.asked == 0


def test_who_may_not_do_it_is_not_counted() -> None:
    counters = MemoryRequestCounters()
    assert System(counters).statuses(2, scopes="read", rate_limit=1) == [403, 403]
    assert counters.asked == 0


def test_the_sessions_of_a_key_share_its_limit() -> None:
    system = System(MemoryRequestCounters())
    by_key = {"principal": "9f86d081884c7d65", "rate_limit": 2}
    by_session = {"principal": "session:9f86d081884c7d65", "rate_limit": 2}
    by_another = {"principal": "0000000000000000", "rate_limit": 2}
    callers = (by_session, by_key, by_session, by_key, by_another)
    assert [system.send(**c)["statusCode"] for c in callers] == [200, 200, 429, 429, 200]


def test_what_cannot_be_counted_passes_and_that_is_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    system = System(BrokenCounters())
    assert system.statuses(2, rate_limit=1) == [200, 200]
    counted = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [c["RequestsNotCounted"] for c in counted] == [1, 1]
