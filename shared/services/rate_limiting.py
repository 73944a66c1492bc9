"""The limit of a key: so many requests in a minute, counted once for all servers together.

Minutes are fixed windows that begin with the clock's, as one conditional write can count those
exactly. A bucket that refills would take a read, arithmetic that no update expression has, and
another try after each lost race. What it costs: a client that sends all it may at the end of a
minute may do so again at the start of the next.
"""

from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.errors import MeterlineError
from shared.services.store import Clock

WINDOW = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
# A counter is one item, and DynamoDB takes 1,000 writes of an item a second.
MAX_RATE_LIMIT = 60_000


class TooManyRequestsError(MeterlineError):
    """The key has had its requests of this minute (429): send again after so many seconds."""

    code = "too-many-requests"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__("The key is over its limit of requests per minute.")
        self.retry_after_seconds = retry_after_seconds


class RequestCounters(Protocol):
    """How many requests each key had in each window."""

    def count(self, key_id: str, window: datetime, limit: int) -> bool:
        """Counts one more request in the window that starts then, unless there were `limit`.

        Returns whether it was counted: of any number of callers at once, exactly `limit` are told
        so. One whose reply was lost on the way may be counted twice.
        Raises: UnavailableError, whatever it is that keeps the counter from being written.
        """


class RateLimiter:
    """Lets through as many requests of a key in each minute as its limit says."""

    def __init__(self, counters: RequestCounters, clock: Clock) -> None:
        self._counters = counters
        self._clock = clock
        self._used_up: dict[str, datetime] = {}

    def admit(self, key_id: str, limit: int) -> None:
        """Counts one request.

        A window that is used up stays so: it is not asked about again, so that a client that goes
        on however fast writes nothing and cannot overload the counter that holds it back.
        Raises: TooManyRequestsError; UnavailableError where nobody knows.
        """
        now = self._clock.now()
        window = now.replace(second=0, microsecond=0)
        if self._used_up.get(key_id) != window:
            if self._counters.count(key_id, window, limit):
                return
            self._used_up[key_id] = window
        # Rounded up: whoever waits that long finds the next window open.
        raise TooManyRequestsError(-((now - window - WINDOW) // SECOND))
