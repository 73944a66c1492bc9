"""One shard of one event source mapping: read, batch, invoke, and act on the outcome.

A consumer delivers the records of a shard strictly in order, one invocation at a time
(ParallelizationFactor 1), at least once. It moves on only when the function has acknowledged a
batch or when the mapping's own limits say to give the batch up. Everything it touches is handed
in, so the same class drives the deployed stack and simulations that call a handler directly.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import Any

from local.streams.events import discarded_batch, returned_state, settled_count, stream_event
from local.streams.model import (
    Event,
    Faults,
    FunctionError,
    Mapping,
    Progress,
    ProgressStore,
    Shard,
    StreamRecord,
    Window,
)

# Lambda never sends more than this to a function in one event.
MAXIMUM_PAYLOAD_BYTES = 6_000_000
# Records reach the reader a little after their own time: a window waits that long for its last.
WINDOW_CLOSES_AFTER_SECONDS = 1.0


class Step(Enum):
    """What one step did: nothing was due, something was settled, or the function failed."""

    IDLE = "idle"
    SETTLED = "settled"
    FAILED = "failed"


@dataclass
class ShardConsumer:
    """Drives one shard: call `step` again and again, backing off after `Step.FAILED`.

    `invoke` takes the event, returns the function's answer and raises FunctionError; any other
    exception passes through `step` and leaves the consumer where it was. `discard` takes the
    message that Lambda sends to an on-failure destination. `now` is in seconds since 1970.
    """

    mapping: Mapping
    shard: Shard
    store: ProgressStore
    invoke: Callable[[Event], Any]
    discard: Callable[[Event], None]
    now: Callable[[], float]
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        progress = self.store.load()
        self._acknowledged = progress.acknowledged
        self._window = progress.window
        self._pending = list(progress.backlog)
        self._read_to = self._pending[-1].cursor if self._pending else self._acknowledged
        self._pending_since = self.now()
        # Sizes of the batches in which records that failed together are delivered again.
        self._planned: list[int] = []
        self._retries = 0

    def step(self) -> Step:
        """Deliver at most one batch, or the final call of a window that has ended."""
        if len(self._pending) < self.mapping.batch_size:
            self._read()
        if self._window_has_ended():
            return self._close_window()
        batch = self._next_batch()
        if not batch:
            return Step.IDLE
        expired = list(takewhile(self._has_expired, batch))
        if expired:
            return self._give_up(expired, "MaxRecordAgeExceeded")
        return self._deliver(batch)

    def close(self) -> None:
        """Read what the shard still holds and keep it, unacknowledged, with the progress."""
        while self._read():
            pass
        self._save(backlog=tuple(self._pending))

    # -- from the shard to a batch

    def _read(self) -> bool:
        """Whether the shard had records, matching or not."""
        records = self.shard.read(self._read_to)
        if not records:
            return False
        if not self._pending:
            self._pending_since = self.now()
        self._pending += [record for record in records if self.mapping.matches(record.body)]
        self._read_to = records[-1].cursor
        return True

    def _next_batch(self) -> list[StreamRecord]:
        """The records due now, in order; none while the batching window may still fill."""
        if self._planned:
            return self._pending[: self._planned[0]]
        due = self._within_limits()
        may_grow = len(due) == len(self._pending) < self.mapping.batch_size
        waited = self.now() - self._pending_since
        if not due or (may_grow and waited < self.mapping.batching_window_seconds):
            return []
        return due[: self.faults.regroup(len(due))]

    def _within_limits(self) -> list[StreamRecord]:
        """The longest run of pending records that one event may carry."""
        due: list[StreamRecord] = []
        size = 0
        for record in self._pending[: self.mapping.batch_size]:
            size += record.size_bytes
            if due and size > MAXIMUM_PAYLOAD_BYTES:
                break
            if self._window_of(record) != self._window_of(self._pending[0]):
                break
            due.append(record)
        return due

    # -- tumbling windows

    def _window_of(self, record: StreamRecord) -> int:
        """Start of the window a record falls in; one that comes late joins the open window."""
        length = self.mapping.tumbling_window_seconds
        if not length:
            return 0
        start = int(record.created_at // length * length)
        return max(start, self._window.start) if self._window else start

    def _window_has_ended(self) -> bool:
        if self._window is None:
            return False
        if self._pending:
            return self._window_of(self._pending[0]) > self._window.start
        return self.now() >= self._window.end + WINDOW_CLOSES_AFTER_SECONDS

    def _close_window(self) -> Step:
        event = stream_event(self.mapping, self.shard.shard_id, self._window, [], final=True)
        try:
            returned_state(self.invoke(event))
        except FunctionError:
            return Step.FAILED
        self._window = None
        self._save()
        return Step.SETTLED

    def _window_for(self, batch: list[StreamRecord]) -> Window | None:
        length = self.mapping.tumbling_window_seconds
        if not length:
            return None
        if self._window:
            return self._window
        start = self._window_of(batch[0])
        return Window(start, start + length, {})

    # -- outcomes

    def _deliver(self, batch: list[StreamRecord]) -> Step:
        window = self._window_for(batch)
        try:
            answer = self.invoke(stream_event(self.mapping, self.shard.shard_id, window, batch))
            if window:
                window = Window(window.start, window.end, returned_state(answer))
        except FunctionError:
            return self._retry(batch)
        settled = len(batch)
        if self.mapping.reports_item_failures:
            settled = settled_count(answer, batch)
        if self.faults.lose_acknowledgement():
            self._planned.clear()
            return Step.SETTLED
        self._window = window
        if settled:
            self._acknowledge(settled)
        return self._retry(batch[settled:]) if settled < len(batch) else Step.SETTLED

    def _acknowledge(self, count: int) -> None:
        """Move past the first records; nothing between them and the next pending is lost."""
        last = self._pending[count - 1].cursor
        del self._pending[:count]
        self._acknowledged = last if self._pending else self._read_to
        if self._planned:
            left = self._planned[0] - count
            self._planned[:1] = [left] if left else []
        self._pending_since = self.now()
        self._retries = 0
        self._save()

    def _retry(self, batch: list[StreamRecord]) -> Step:
        """Plan another delivery of a batch that failed, in halves if the mapping bisects."""
        if self.mapping.bisects and len(batch) > 1:
            half = len(batch) // 2
            self._planned[:1] = [half, len(batch) - half]
            return Step.FAILED
        self._planned[:1] = [len(batch)]
        self._retries += 1
        if 0 <= self.mapping.maximum_retries < self._retries:
            return self._give_up(batch, "RetryAttemptsExhausted")
        return Step.FAILED

    def _has_expired(self, record: StreamRecord) -> bool:
        limit = self.mapping.maximum_age_seconds
        return limit >= 0 and self.now() - record.created_at > limit

    def _give_up(self, batch: list[StreamRecord], reason: str) -> Step:
        """Discard a batch as the mapping's limits demand, and say so to its destination."""
        self.discard(
            discarded_batch(self.mapping, self.shard.shard_id, batch, reason, self._retries)
        )
        self._acknowledge(len(batch))
        return Step.SETTLED

    def _save(self, backlog: tuple[StreamRecord, ...] = ()) -> None:
        self.store.save(Progress(self._acknowledged, self._window, backlog))
