"""What reconciliation keeps and reads, in memory."""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice

from shared.adapters.dynamodb.usage_events import read_event
from shared.domain.errors import UnreadableError
from shared.domain.events import UsageEvent, utc_time
from shared.services.reconciliation import RawEvent, Reconciliation
from tests.fakes.events import Item, MemoryEventStore


class MemoryReconciliationNotes:
    """Keeps what ReconciliationStore keeps for the reconciler; lists are for people's pages."""

    def __init__(self) -> None:
        self.notes: dict[str, Reconciliation] = {}

    def reconciliation(self, customer: str) -> Reconciliation | None:
        return self.notes.get(customer)

    def save(self, reconciliation: Reconciliation) -> None:
        self.notes[reconciliation.customer] = reconciliation


class MemoryRawEvents:
    """See RawEvents: the stored items in order of time. An item is read once, while it stays."""

    def __init__(self, events: MemoryEventStore) -> None:
        self._events = events
        self._placed = 0
        self._by_time: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
        self._read: dict[tuple[str, str], tuple[Item, UsageEvent | None]] = {}

    def first(self, customer: str, start: datetime, end: datetime) -> datetime | None:
        return next((at for at, _ in self._between(customer, start, end)), None)

    def between(self, customer: str, start: datetime, end: datetime) -> Iterator[RawEvent]:
        for _, key in self._between(customer, start, end):
            yield RawEvent(key, self._event((customer, key)))

    def _between(self, customer: str, start: datetime, end: datetime) -> list[tuple[datetime, str]]:
        for (owner, key), item in islice(self._events.items.items(), self._placed, None):
            insort(self._by_time[owner], (utc_time(item["occurred_at"]["S"]), key))
            self._placed += 1
        placed = self._by_time[customer]
        return placed[bisect_left(placed, (start, "")) : bisect_left(placed, (end, ""))]

    def _event(self, key: tuple[str, str]) -> UsageEvent | None:
        item = self._events.items[key]
        known = self._read.get(key)
        if known is None or known[0] is not item:
            known = item, _readable(item)
            self._read[key] = known
        return known[1]


def _readable(item: Item) -> UsageEvent | None:
    try:
        return read_event(item)
    except UnreadableError:
        return None
