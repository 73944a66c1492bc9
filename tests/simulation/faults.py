"""Faults at every call of storage, and other actors' whole steps in between."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TypeVar

from shared.adapters.dynamodb.usage_events import to_item
from shared.domain.catalogue import Catalogue
from shared.domain.corrections import History
from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.events import UsageEvent
from shared.domain.usage_hours import HourKey
from shared.services.changes import Change
from shared.services.ingest import EventKey, Insertion
from shared.services.store import Footing
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.corrections import MemoryCorrectionStore
from tests.fakes.events import MemoryEventStore
from tests.simulation.mix import Mix

T = TypeVar("T")

MAX_DEPTH = 3  # How many actors may stand inside one another's steps.


class Crash(BaseException):
    """The process is gone: nothing of it may go on."""


class Storm:
    """Decides when a fault strikes. `elsewhere` runs one step of some other actor."""

    def __init__(
        self, rng: random.Random, mix: Mix, seen: Counter[str], elsewhere: Callable[[], None]
    ) -> None:
        self.on = True
        self._rng = rng
        self._mix = mix
        self._seen = seen
        self._elsewhere = elsewhere
        self._depth = 0
        self._burst = 0

    def strikes(self, fault: str, note: str = "") -> bool:
        """Whether the fault strikes now."""
        rate = self._mix.rate(fault) if self.on else 0.0
        struck = rate > 0 and self._rng.random() < rate
        if struck:
            self._seen[f"fault: {note or fault}"] += 1
        return struck

    def read(self) -> None:
        """Before a read: others may act, storage may refuse."""
        self.interrupt(0.2)
        self._refuse()

    @contextmanager
    def write(self) -> Iterator[None]:
        """Around a write: the block makes it."""
        self.interrupt(1.0)
        self._refuse()
        if self.strikes("crash-before-commit"):
            raise Crash
        yield
        if self.strikes("crash-after-commit"):
            raise Crash

    def interrupt(self, share: float) -> None:
        """Lets another actor take a whole step here, as one on another machine would."""
        rate = self._mix.rate("interruption") * share if self.on else 0.0
        if rate and self._depth < MAX_DEPTH and self._rng.random() < rate:
            self._seen["fault: interruption"] += 1
            self._depth += 1
            try:
                self._elsewhere()
            finally:
                self._depth -= 1

    def _refuse(self) -> None:
        """Throttling comes in bursts; in a burst every call may be refused."""
        if not self.on or not self._mix.rate("throttling"):
            return
        if self._burst == 0 and self._rng.random() < 0.01:
            self._burst = self._rng.randint(5, 60)
        if self._burst:
            self._burst -= 1
            if self.strikes("throttling"):
                raise UnavailableError("throttled")


def commit(write: Callable[[], None], storm: Storm, seen: Counter[str]) -> None:
    """Makes a conditional write; a lost reply makes the client send the same request again."""
    with storm.write():
        write()
        if storm.strikes("timeout"):
            raise UnavailableError("no reply: nothing is known of the write")
        if storm.strikes("lost-reply"):
            storm.interrupt(1.0)
            try:
                write()
            except VersionConflictError:
                seen["branch: own write taken for another's"] += 1
                raise


class FaultyBillingStore:
    """A BillingStore whose every call may fail or be overtaken."""

    def __init__(self, store: MemoryBillingStore, storm: Storm, seen: Counter[str]) -> None:
        self._store = store
        self._storm = storm
        self._seen = seen

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def read(*arguments: Any, **options: Any) -> Any:
            self._storm.read()
            return method(*arguments, **options)

        return read

    def footing(self, customer: str, hours: Iterable[HourKey]) -> Footing:
        """One request, but each item is read at an instant of its own."""
        self._storm.read()
        keys = list(hours)
        account = self._store.account(customer)
        self._storm.interrupt(0.3)
        found = self._store.footing(customer, keys)
        return Footing(account, found.subscription, found.hours)

    def commit(self, batch: Sequence[Change]) -> None:
        commit(lambda: self._store.commit(batch), self._storm, self._seen)


class FaultyCorrectionStore:
    """A CorrectionStore whose every call may fail or be overtaken."""

    def __init__(self, store: MemoryCorrectionStore, storm: Storm, seen: Counter[str]) -> None:
        self._store = store
        self._storm = storm
        self._seen = seen

    def history(self, customer: str, key: str) -> History | None:
        self._storm.read()
        return self._store.history(customer, key)

    def histories(self, customer: str, keys: Sequence[str]) -> Mapping[str, History]:
        self._storm.read()
        return self._store.histories(customer, keys)

    def commit(self, entries: Sequence[UsageEvent], beside: Sequence[Change]) -> None:
        commit(lambda: self._store.commit(entries, beside), self._storm, self._seen)


class FaultyEventStore:
    """An EventStore that loses replies, refuses single events and dies in the middle."""

    def __init__(self, store: MemoryEventStore, storm: Storm, poison: Callable[..., Any]) -> None:
        self._store = store
        self._storm = storm
        self._poison = poison

    def insert(self, events: Sequence[UsageEvent]) -> Sequence[Insertion]:
        return [self._insert(event) for event in events]

    def fingerprints(self, keys: Iterable[EventKey]) -> Mapping[EventKey, bytes]:
        self._storm.read()
        return self._store.fingerprints(keys)

    def _insert(self, event: UsageEvent) -> Insertion:
        key = event.customer, event.key
        item = self._poison(to_item(event))
        try:
            with self._storm.write():
                verdict = self._store.put(key, item)
                if self._storm.strikes("timeout", "insert's reply lost for good"):
                    return "failed"
                if self._storm.strikes("lost-reply", "insert's reply lost, sent again"):
                    return self._store.put(key, item)
                return verdict
        except UnavailableError:
            return "failed"


class FaultyStore:
    """Any store whose reads and writes may fail or be overtaken; `writes` names the latter."""

    def __init__(self, store: Any, storm: Storm, *writes: str) -> None:
        self._store = store
        self._storm = storm
        self._writes = writes

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def call(*arguments: Any) -> Any:
            if name not in self._writes:
                self._storm.read()
                return method(*arguments)
            with self._storm.write():
                return method(*arguments)

        return call


class FaultyCatalogueStore:
    """Reads of the catalogue may be refused."""

    def __init__(self, store: MemoryCatalogueStore, storm: Storm) -> None:
        self._store = store
        self._storm = storm

    def head_version(self) -> int:
        self._storm.read()
        return self._store.head_version()

    def load(self) -> Catalogue:
        self._storm.read()
        return self._store.load()

    def publish(self, *arguments: Any) -> None:
        self._store.publish(*arguments)


class SkewedClock:
    """A machine's clock, a little wrong. `now` is the true time."""

    def __init__(self, now: Callable[[], datetime], skew: Any) -> None:
        self._now = now
        self._skew = skew

    def now(self) -> datetime:
        return self._now() + self._skew
