"""Corrections in memory, beside the events that they correct."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import count

from shared.adapters.dynamodb.usage_events import to_item
from shared.domain.corrections import History
from shared.domain.errors import VersionConflictError
from shared.domain.events import UsageEvent, correction_key
from shared.services.changes import Change
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.events import MemoryEventStore


class MemoryCorrectionStore:
    """See CorrectionStore."""

    def __init__(self, events: MemoryEventStore, billing: MemoryBillingStore) -> None:
        self._events = events
        self._billing = billing

    def history(self, customer: str, key: str) -> History | None:
        return self.histories(customer, [key]).get(key)

    def histories(self, customer: str, keys: Sequence[str]) -> Mapping[str, History]:
        found = {key: event for key in keys if (event := self._events.get(customer, key))}
        return {key: History(event, tuple(self._entries(event))) for key, event in found.items()}

    def commit(self, entries: Sequence[UsageEvent], beside: Sequence[Change]) -> None:
        reversal, items = entries[0], self._events.items
        corrected = reversal.customer, str(reversal.reversed_key)
        if corrected not in items or any((e.customer, e.key) in items for e in entries):
            raise VersionConflictError("What is corrected is not there, or was corrected before.")
        if beside:
            self._billing.commit(beside)
        for entry in entries:
            self._events.put((entry.customer, entry.key), to_item(entry))

    def _entries(self, event: UsageEvent) -> Iterator[UsageEvent]:
        for number in count(1):
            keys = (
                correction_key(event.source, event.id, number, role)
                for role in ("reversal", "replacement")
            )
            stored = [self._events.get(event.customer, key) for key in keys]
            if stored[0] is None:
                return
            yield from filter(None, stored)
