"""Consumers that stand still for longer than a stream keeps its records."""

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from local.streams.model import Cursor, StreamRecord
from shared.adapters.dynamodb.barriers import SORT_KEY_PREFIX
from tests.fakes.streams import MemoryShard, MemoryStream
from tests.simulation.faults import Storm

KEPT = timedelta(hours=24)  # What DynamoDB promises; it may forget records from then on.


@dataclass
class Outages:
    """At most one at a time, of a whole stream or of one shard.

    `lost` are the events (customer, key) that the stream forgot before their delivery was
    acknowledged, `lost_versions` such account versions, by their places in the world's list;
    `lost_at` is when anything was last lost, of either stream.
    """

    rng: random.Random
    storm: Storm
    seen: Counter[str]
    streams: Mapping[str, MemoryStream]
    lost: set[tuple[str, str]] = field(default_factory=set)
    lost_versions: set[int] = field(default_factory=set)
    lost_at: datetime | None = None
    ends_at: datetime | None = None
    _stalled: list[MemoryShard] = field(default_factory=list)

    def stalls(self, shard: MemoryShard) -> bool:
        """Whether the shard's consumer stands still."""
        return any(shard is each for each in self._stalled)

    def strike(self, now: datetime) -> None:
        """Perhaps begins an outage; while there is one, no other does."""
        for name, stream in self.streams.items():
            if self._stalled or not self.storm.strikes(f"{name}-outage", f"outage, {name} stream"):
                continue
            leaves = [shard for shard in stream.shards if not shard.closed]
            whole = self.rng.random() < 0.5
            self._stalled = list(stream.shards) if whole else [self.rng.choice(leaves)]
            self.ends_at = now + timedelta(hours=self.rng.uniform(25, 40))

    def over(self) -> list[MemoryShard]:
        """Ends the outage; the shards that stood still."""
        shards, self._stalled, self.ends_at = self._stalled, [], None
        return shards

    def trim(self, shard: MemoryShard, acknowledged: Cursor | None, now: datetime) -> None:
        """The stream forgets what is too old, read or not."""
        horizon = (now - KEPT).timestamp()
        unread = [r for r in shard.read(acknowledged) if r.created_at < horizon]
        shard.trim(horizon)
        if not unread:
            return
        self.lost_at = now
        for record in unread:
            what = self._lose(record)
            self.seen[f"branch: {what} lost by the stream"] += 1

    def _lose(self, record: StreamRecord) -> str:
        image = record.body["dynamodb"].get("NewImage")
        if image is None:
            self.lost_versions.add(record.body["dynamodb"]["Version"])
            return "account version"
        customer, key = image["pk"]["S"], image["sk"]["S"]
        if key.startswith(SORT_KEY_PREFIX):
            return "barrier"
        self.lost.add((customer, key))
        return "event"
