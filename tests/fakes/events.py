"""Raw events, barriers and what ingest asks of the billing table, in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from shared.adapters.dynamodb.barriers import SORT_KEY_PREFIX
from shared.adapters.dynamodb.usage_events import read_event, to_item
from shared.domain.errors import UnavailableError
from shared.domain.events import UsageEvent
from shared.services.catalogue import CatalogueStore
from shared.services.ingest import CustomerState, EventKey, Insertion
from shared.services.store import BillingStore

Item = Mapping[str, Mapping[str, Any]]


class MemoryEventStore:
    """See EventStore. Items have the stored form; `on_insert` is the table's stream."""

    def __init__(self, on_insert: Callable[[Item], None] = lambda _: None) -> None:
        self.items: dict[EventKey, Item] = {}
        self._on_insert = on_insert

    def insert(self, events: Sequence[UsageEvent]) -> Sequence[Insertion]:
        return [self.put((event.customer, event.key), to_item(event)) for event in events]

    def fingerprints(self, keys: Iterable[EventKey]) -> Mapping[EventKey, bytes]:
        found = {key: self.items[key] for key in keys if key in self.items}
        return {key: bytes(item["fingerprint"]["B"]) for key, item in found.items()}

    def get(self, customer: str, key: str) -> UsageEvent | None:
        """The event, as a lookup by its identity reads it; UnreadableError for none."""
        item = self.items.get((customer, key))
        return read_event(item) if item else None

    def put(self, key: EventKey, item: Item) -> Insertion:
        """Stores the item unless its key is taken, and puts it on the stream."""
        if key in self.items:
            return "exists"
        self.items[key] = item
        self._on_insert(item)
        return "stored"


class MemoryBarrierStore:
    """See BarrierStore. Barriers travel the events' stream, without being events."""

    def __init__(self, on_insert: Callable[[Item], None] = lambda _: None) -> None:
        self._sent: set[tuple[str, str]] = set()
        self._passed: set[tuple[str, str]] = set()
        self._on_insert = on_insert

    def send(self, customer: str, token: str) -> None:
        if (customer, token) not in self._sent:
            self._sent.add((customer, token))
            self._on_insert({"pk": {"S": customer}, "sk": {"S": SORT_KEY_PREFIX + token}})

    def mark_passed(self, customer: str, token: str) -> None:
        self._passed.add((customer, token))

    def has_passed(self, customer: str, token: str) -> bool:
        return (customer, token) in self._passed


class MemoryIngestContext:
    """See IngestContext."""

    def __init__(self, billing: BillingStore, catalogue: CatalogueStore) -> None:
        self._billing = billing
        self._catalogue = catalogue

    def read(self, customers: Iterable[str]) -> tuple[int, Mapping[str, CustomerState]]:
        states = {}
        for key in customers:
            profile = self._billing.customer(key)
            if profile is None:
                continue
            now = self._billing.clock(profile.test_clock) if profile.test_clock else None
            if profile.test_clock and now is None:
                raise UnavailableError("A customer's test clock is being removed.")
            states[key] = CustomerState(profile.archived_at is not None, now)
        return self._catalogue.head_version(), states
