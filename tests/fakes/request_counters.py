"""Counters of requests in memory."""

from collections import Counter
from datetime import datetime
from threading import Lock


class MemoryRequestCounters:
    """See RequestCounters; `asked` is how often it was."""

    def __init__(self) -> None:
        self.asked = 0
        self._requests: Counter[tuple[str, datetime]] = Counter()
        self._lock = Lock()

    def count(self, key_id: str, window: datetime, limit: int) -> bool:
        with self._lock:
            self.asked += 1
            if self._requests[key_id, window] >= limit:
                return False
            self._requests[key_id, window] += 1
            return True
