"""What a seed's world stores: tables in memory with their streams, and the faults beneath them."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local.streams.shard import wire_format
from shared.domain.accounts import Account
from shared.domain.events import event_key
from shared.services.catalogue import CachedCatalogue
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.corrections import MemoryCorrectionStore
from tests.fakes.events import MemoryBarrierStore, MemoryEventStore
from tests.fakes.streams import MemoryStream, place_of, place_within
from tests.simulation.faults import (
    FaultyBillingStore,
    FaultyCatalogueStore,
    FaultyCorrectionStore,
    FaultyEventStore,
    FaultyStore,
    SkewedClock,
    Storm,
)
from tests.simulation.mix import Mix
from tests.simulation.outages import Outages
from tests.simulation.timeline import Timeline


class Tables:
    """All of storage. `hot` customers have their events spread over shards.

    `versions` are the accounts' versions in the order in which they were written, each with the one
    before it; `cures` what was to be stored where something else was.
    """

    def __init__(
        self,
        seed: int,
        mix: Mix,
        timeline: Timeline,
        rng: random.Random,
        *,
        hot: set[str],
        elsewhere: Callable[[], None],
    ) -> None:
        self.timeline = timeline
        self.seen: Counter[str] = Counter()
        self.versions: list[tuple[Account | None, Account, datetime]] = []
        self.cures: dict[tuple[str, str], dict[str, Any]] = {}
        self.poison_next = False
        self._rng = rng
        self._hot = hot
        self.usage_stream = MemoryStream("usage", self._first_number)
        self.account_stream = MemoryStream("accounts", self._first_number)
        self.billing = MemoryBillingStore(self._account_written)
        self.events = MemoryEventStore(self._item_inserted)
        self.catalogue = MemoryCatalogueStore()
        corrections = MemoryCorrectionStore(self.events, self.billing)
        storm_rng = random.Random(f"{seed}/storm")
        self.storm = Storm(storm_rng, mix, self.seen, elsewhere)
        self.store = FaultyBillingStore(self.billing, self.storm, self.seen)
        self.faulty_events = FaultyEventStore(self.events, self.storm, self._poisoned)
        self.corrections = FaultyCorrectionStore(corrections, self.storm, self.seen)
        passing = MemoryBarrierStore(self._item_inserted)
        self.barriers: Any = FaultyStore(passing, self.storm, "send", "mark_passed")
        streams = {"usage": self.usage_stream, "account": self.account_stream}
        self.outages = Outages(storm_rng, self.storm, self.seen, streams)

    def faulty_catalogue(self) -> FaultyCatalogueStore:
        """The catalogue, reads of which may be refused."""
        return FaultyCatalogueStore(self.catalogue, self.storm)

    def cached_catalogue(self) -> CachedCatalogue:
        """One container's copy."""
        return CachedCatalogue(self.faulty_catalogue(), self.timeline.seconds)

    def clock(self, slowest: float = -10) -> SkewedClock:
        """One container's clock, up to ten minutes wrong."""
        minutes = self._rng.uniform(slowest, 10) if self.storm.strikes("skew", "clock skew") else 0
        return SkewedClock(lambda: self.timeline.now, timedelta(seconds=int(minutes * 60)))

    def _first_number(self) -> int:
        """A shard's first sequence number, a little below a power of ten."""
        exponent = self._rng.choice((2, 3, 21))
        return int(10**exponent) - self._rng.randint(1, 40)

    def _item_inserted(self, item: Any) -> None:
        customer, key = item["pk"]["S"], item["sk"]["S"]
        place = place_within(key) if customer in self._hot else place_of(customer)
        change = {"Keys": {}, "NewImage": wire_format(item)}
        body = {"eventName": "INSERT", "dynamodb": change}
        self.usage_stream.put(place, body, self.timeline.unix_seconds())
        self.timeline.note("inserted", customer, key)

    def _account_written(self, before: Account | None, after: Account) -> None:
        self.versions.append((before, after, self.timeline.now))
        body: dict[str, Any] = {"dynamodb": {"Version": len(self.versions) - 1}}
        self.account_stream.put(place_of(after.customer), body, self.timeline.unix_seconds())
        what = after.customer, after.version, repr(after.phases), repr(after.late)
        self.timeline.note("account", *what)

    def cured(self, place: tuple[str, str]) -> dict[str, Any]:
        """What was to be stored in the place: a correction has its event's stamp."""
        item = self.events.items[place]
        if "correction" in item:
            sent = self.cures.get((place[0], event_key(item["source"]["S"], item["id"]["S"])))
            return {**item, "catalogue": sent["catalogue"]} if sent else item
        return self.cures.get(place, item)

    def _poisoned(self, item: dict[str, Any]) -> dict[str, Any]:
        """The item, sometimes as no version of this code would write it."""
        if self.storm.strikes("foreign-attribute", "attribute of a newer version"):
            item = {**item, "from_a_newer_version": {"S": "?"}}
        place = item["pk"]["S"], item["sk"]["S"]
        if place in self.events.items or not (self.poison_next or self.storm.strikes("poison")):
            return item
        self.poison_next = False
        self.cures[place] = item
        match self._rng.randrange(3):
            case 0:
                return {**item, "data": {"S": "{not JSON"}}
            case 1:
                return {**item, "catalogue": {"N": "100000"}}
            case _:
                return {name: value for name, value in item.items() if name != "type"}
