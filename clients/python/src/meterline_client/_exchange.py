"""One request and its retries, without I/O: generators say what to send and how long to wait.

The synchronous and the asynchronous client drive the same generators, so that both behave alike.
"""

import json
import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

from meterline_client.errors import UnreachableError

T = TypeVar("T")

RETRYABLE_STATUSES = frozenset((408, 429))


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and how patiently a request is repeated: 408, 429, 5xx and network failures only.

    Before attempt n + 1 it waits a random part of base × 2^(n-1) seconds, at most the cap; longer
    if the server asks for it (Retry-After), unless that exceeds `longest_wait_seconds`: then the
    answer stands; a key's rate limit asks for a minute at most. Without `attempts` it never gives
    up, and waits for that long instead.
    """

    attempts: int | None = 5
    base_seconds: float = 0.2
    cap_seconds: float = 30.0
    longest_wait_seconds: float = 60.0

    def backoff(self, attempt: int) -> float:
        """Seconds to wait after this attempt, the first being 1: exponential, full jitter."""
        ceiling = min(self.cap_seconds, self.base_seconds * 2 ** min(attempt - 1, 30))
        return random.uniform(0, ceiling)  # noqa: S311


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, the same at each attempt. `path` is percent-encoded."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; without a status nothing usable did, and `failure` says why."""

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    failure: str = ""

    @property
    def ok(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def retryable(self) -> bool:
        return self.status is None or self.status in RETRYABLE_STATUSES or self.status >= 500

    def document(self) -> Any:
        """The JSON of the body; None where it is none."""
        try:
            return json.loads(self.content)
        except (ValueError, RecursionError):
            return None


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing is sent for so long."""

    seconds: float


Steps = Generator[Request | Pause, Answer | None, T]


def exchange(request: Request, retry: Retry, usable: Callable[[Answer], bool]) -> Steps[Answer]:
    """Sends the request until an answer stands. A 2xx that is not `usable` is no answer.

    Raises: UnreachableError.
    """
    attempt = 0
    while True:
        answer = yield request
        assert answer is not None  # noqa: S101
        if answer.ok and not usable(answer):
            answer = Answer(None, failure="the answer is cut short, or not the API's")
        attempt += 1
        asked = retry_after_seconds(answer.headers)
        longest = retry.longest_wait_seconds
        exhausted = retry.attempts is not None and (attempt >= retry.attempts or asked > longest)
        if not answer.retryable or exhausted:
            if answer.status is None:
                raise UnreachableError(answer.failure)
            return answer
        yield Pause(min(asked, longest) + retry.backoff(attempt))


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """What Retry-After asks for, in seconds or until an HTTP date; 0 if it asks for nothing.

    A date is compared with the answer's own Date, so that the clocks need not agree.
    """
    text = headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        until = parsedate_to_datetime(text).timestamp()
    except ValueError:
        return 0.0
    try:
        now = parsedate_to_datetime(headers.get("date", "")).timestamp()
    except ValueError:
        now = time.time()
    return max(0.0, until - now)
