"""Events that wait to be sent: bounded, in order, on disk as well where there is a spool.

Nothing here locks or waits; the clients do, each in its own way.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from meterline_client._spool import Segment, SpoolFolder


@dataclass(frozen=True, slots=True)
class Batching:
    """A batch is sent when it has so many events or bytes, or its first event is so old.

    The API takes 1,000 events and 1 MiB.
    """

    max_events: int = 500
    max_bytes: int = 900_000
    max_age_seconds: float = 1.0


@dataclass(frozen=True, slots=True)
class Buffer:
    """How much may wait in memory, and what to do with an event that finds no room.

    `block` waits for room, at most `block_seconds`, then raises; `raise` raises BufferFullError at
    once; `drop_newest` gives up the event that comes, `drop_oldest` those that have waited longest.
    With a spool, what exceeds memory waits on disk, and it is the disk's bound that is meant.
    """

    max_events: int = 100_000
    max_bytes: int = 64 << 20
    when_full: Literal["block", "raise", "drop_newest", "drop_oldest"] = "block"
    block_seconds: float = 30.0


@dataclass(eq=False, slots=True)
class Entry:
    """An encoded event, since when it waits (monotonic seconds), and where it is on disk."""

    payload: bytes
    since: float
    segment: Segment | None = None


class Queue:
    """First in, first out. What was taken counts as pending until it is settled or kept."""

    def __init__(self, batching: Batching, buffer: Buffer, spool: SpoolFolder | None) -> None:
        self._batching = batching
        self._buffer = buffer
        self._spool = spool
        self._waiting: deque[Entry] = deque()
        self._bytes = 0  # of the waiting ones
        self._taken: dict[Entry, None] = {}  # in their order
        # While something waits on disk only, newer events queue up behind it there.
        self._disk_only = spool is not None and spool.backlog_events > 0
        self._unread = 0  # events of the segment written to, while it is on disk only
        self.torn = 0

    def __len__(self) -> int:
        """All events that are pending: waiting in memory or on disk, or taken."""
        return len(self._waiting) + len(self._taken) + self.on_disk

    @property
    def on_disk(self) -> int:
        """Events that wait on disk and not in memory."""
        return self._unread + self._spool.backlog_events if self._spool else 0

    def has_room(self, payload: bytes) -> bool:
        """Whether one more event may wait."""
        return self._spool.has_room(payload) if self._spool else self._fits(payload)

    def _fits(self, payload: bytes) -> bool:
        buffer = self._buffer
        return (
            len(self._waiting) < buffer.max_events
            and self._bytes + len(payload) <= buffer.max_bytes
        )

    def add(self, payload: bytes, now: float) -> bool:
        """Puts an event last; whether to wake the sender: for the first one, or for a full batch.

        Raises: SpoolError, with nothing added.
        """
        if self._spool is None:
            return self._push(Entry(payload, now))
        if not self._disk_only and not self._fits(payload):
            self._spool.seal()
            self._disk_only = True
        segment = self._spool.append(payload)
        if not self._disk_only:
            return self._push(Entry(payload, now, segment))
        self._unread += 1
        if segment.sealed:
            self._spool.queue(segment)
            self._unread = 0
        return True

    def _push(self, entry: Entry) -> bool:
        self._waiting.append(entry)
        self._bytes += len(entry.payload)
        count = len(self._waiting)
        return count in (1, self._batching.max_events) or self._bytes >= self._batching.max_bytes

    def drop_oldest(self) -> bytes | None:
        """Takes out the event that has waited longest; None where none waits."""
        if not self._waiting:
            return None
        entry = self._waiting.popleft()
        self._bytes -= len(entry.payload)
        return entry.payload

    def due_in(self, now: float) -> float | None:
        """Seconds until a batch should be sent, 0 for now; None while nothing waits."""
        if not self._waiting:
            self._read_disk(now)
        if not self._waiting:
            return None
        batching = self._batching
        if (
            self._disk_only
            or len(self._waiting) >= batching.max_events
            or self._bytes >= batching.max_bytes
        ):
            return 0.0
        return max(0.0, self._waiting[0].since + batching.max_age_seconds - now)

    def _read_disk(self, now: float) -> None:
        """Takes the next segment that waits on disk into memory."""
        if self._spool is None or not self._disk_only:
            return
        while not self._waiting:
            if not self._spool.backlog_events and self._unread and (last := self._spool.seal()):
                self._spool.queue(last)
                self._unread = 0
            read = self._spool.read_next()
            if read is None:
                self._disk_only = False
                return
            segment, payloads, torn = read
            self.torn += torn
            self._waiting.extend(Entry(payload, now, segment) for payload in payloads)
            self._bytes += sum(map(len, payloads))

    def take(self) -> list[Entry]:
        """The next batch: what fits a request, oldest first."""
        batch: list[Entry] = []
        size = 2
        while self._waiting and len(batch) < self._batching.max_events:
            more = len(self._waiting[0].payload) + 1
            if batch and size + more > self._batching.max_bytes:
                break
            batch.append(self._waiting.popleft())
            size += more
        self._bytes -= sum(len(entry.payload) for entry in batch)
        self._taken.update(dict.fromkeys(batch))
        return batch

    def settle(self, entries: Iterable[Entry]) -> None:
        """These are decided: stored, refused for good, or given up."""
        for entry in entries:
            self._taken.pop(entry, None)
            if entry.segment is not None and self._spool is not None:
                self._spool.settle(entry.segment)

    def keep(self, entries: Iterable[Entry]) -> None:
        """These stay on disk for the next process."""
        for entry in entries:
            self._taken.pop(entry, None)

    def give_up(self) -> list[Entry]:
        """Takes out everything that is in memory, sent or not."""
        entries = [*self._taken, *self._waiting]
        self._taken = dict.fromkeys(entries)
        self._waiting.clear()
        self._bytes = 0
        return entries

    def forget(self) -> None:
        """Becomes empty without a trace: after a fork all of it is the parent's."""
        self._waiting.clear()
        self._taken.clear()
        self._bytes = self._unread = 0
        self._disk_only = False
        if self._spool:
            self._spool.forget()

    def close(self) -> None:
        """Lets go of the spool."""
        if self._spool:
            self._spool.close()
