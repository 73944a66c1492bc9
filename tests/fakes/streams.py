"""A table's stream in memory: shards that split, and numbers as DynamoDB gives them.

Sequence numbers are digit strings that rise as integers and differ in length; each shard starts
just below a power of ten, so that comparing them as text goes wrong soon.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from local.streams.model import Cursor, Event, StreamRecord

RECORDS_PER_READ = 1000


@dataclass
class MemoryShard:
    """See Shard. It takes the items whose place in [0, 1) is in [low, high) until it is split."""

    shard_id: str
    low: float
    high: float
    next_number: int
    parent: "MemoryShard | None" = None
    records: list[StreamRecord] = field(default_factory=list)
    trimmed: int = 0  # how many of the oldest records are gone
    closed: bool = False

    def read(self, after: Cursor | None) -> list[StreamRecord]:
        start = self.trimmed
        if after is not None and self.records:
            first = int(self.records[0].cursor.number)  # Numbers rise by one.
            start = max(start, int(after.number) - first + 1)
        return self.records[start : start + RECORDS_PER_READ]

    def put(self, body: dict[str, Any], at_seconds: float) -> None:
        """Adds a change at the shard's end."""
        number = str(self.next_number)
        self.next_number += 1
        change = {
            **body["dynamodb"],
            "ApproximateCreationDateTime": at_seconds,
            "SequenceNumber": number,
        }
        record: Event = {"eventID": number, **body, "dynamodb": change}
        self.records.append(StreamRecord(Cursor(number, number), record))

    def trim(self, before_seconds: float) -> int:
        """Forgets the records from before the instant; how many."""
        start = self.trimmed
        while self.trimmed < len(self.records) and (
            self.records[self.trimmed].created_at < before_seconds
        ):
            self.trimmed += 1
        return self.trimmed - start


class MemoryStream:
    """The shards of one stream, oldest first. `number` draws where a new shard's numbers start."""

    def __init__(self, name: str, number: Callable[[], int]) -> None:
        self._name = name
        self._number = number
        self.shards = [MemoryShard(f"{name}-0", 0.0, 1.0, number())]

    def put(self, place: float, body: dict[str, Any], at_seconds: float) -> None:
        """Adds a change to the open shard that the place, in [0, 1), falls in."""
        for shard in self.shards:
            if not shard.closed and shard.low <= place < shard.high:
                shard.put(body, at_seconds)
                return
        raise AssertionError("the shards leave a gap")

    def split(self, shard: MemoryShard) -> None:
        """Closes the shard; two new ones take over its halves, with numbers of their own."""
        shard.closed = True
        middle = (shard.low + shard.high) / 2
        for low, high in ((shard.low, middle), (middle, shard.high)):
            name = f"{self._name}-{len(self.shards)}"
            self.shards.append(MemoryShard(name, low, high, self._number(), shard))


def place_of(partition: str) -> float:
    """Where an item collection lies among all, by its partition key."""
    return int.from_bytes(hashlib.sha256(partition.encode()).digest()[:6]) / 2**48


def place_within(sort_key: str) -> float:
    """Where an item lies in a collection that shards divide: each has a range of sort keys.

    Events' keys are hexadecimal digests; whatever is no such key comes after them all.
    """
    try:
        return int(sort_key[:12], 16) / 2**48
    except ValueError:
        return 1 - 2**-48
