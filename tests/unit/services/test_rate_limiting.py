"""A key's limit: so many requests in each minute, and how long the others are to wait."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.services.rate_limiting import RateLimiter, TooManyRequestsError
from tests.fakes.clocks import SettableClock
from tests.fakes.request_counters import MemoryRequestCounters

MINUTE = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)


def wait(limiter: RateLimiter, key_id: str = "k", limit: int = 1) -> int:
    """How many seconds the refusal asks for; 0 where the request passes."""
    try:
        limiter.admit(key_id, limit)
    except TooManyRequestsError as refused:
        return refused.retry_after_seconds
    return 0


@pytest.mark.parametrize(
    ("after", "seconds"), [(0, 60), (1, 60), (29_800, 31), (59_000, 1), (59_999, 1)]
)
def test_the_wait_is_whole_seconds_up_to_the_next_window(after: int, seconds: int) -> None:
    clock = SettableClock(MINUTE + timedelta(milliseconds=after))
    limiter = RateLimiter(MemoryRequestCounters(), clock)
    assert [wait(limiter), wait(limiter)] == [0, seconds]
    clock.at += timedelta(seconds=seconds)
    assert [wait(limiter), wait(limiter) > 0] == [0, True]


def test_servers_share_what_they_count() -> None:
    counters, clock = MemoryRequestCounters(), SettableClock(MINUTE)
    servers = [RateLimiter(counters, clock) for _ in range(3)]
    passed = [wait(servers[number % 3], limit=7) == 0 for number in range(20)]
    assert passed == [True] * 7 + [False] * 13


def test_a_window_that_is_used_up_is_not_asked_about_again() -> None:
    counters, clock = MemoryRequestCounters(), SettableClock(MINUTE)
    limiter = RateLimiter(counters, clock)
    for _ in range(100):
        wait(limiter)
    assert counters.asked == 2
    assert wait(limiter, "another") == 0
    clock.at += timedelta(minutes=1)
    assert wait(limiter) == 0
