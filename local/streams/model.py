"""The words of event source mappings: records, cursors, windows, and what a consumer needs."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

Event = dict[str, Any]


class FunctionError(Exception):
    """The function raised, timed out, or answered something that Lambda does not accept."""


@dataclass(frozen=True)
class Cursor:
    """A place in a shard: the stream's own sequence number, and the one the function sees."""

    stream_number: str
    number: str


@dataclass(frozen=True)
class StreamRecord:
    """One change as the function will see it, and the cursor that lies just after it."""

    cursor: Cursor
    body: Event

    @cached_property
    def size_bytes(self) -> int:
        """How much of an event's payload the record takes."""
        return len(json.dumps(self.body))

    @property
    def created_at(self) -> float:
        """Seconds since 1970."""
        return float(self.body["dynamodb"]["ApproximateCreationDateTime"])


@dataclass(frozen=True)
class Mapping:
    """What an event source mapping asks for; -1 means without limit, as in the Lambda API."""

    function: str
    stream_arn: str
    batch_size: int = 100
    batching_window_seconds: float = 0
    tumbling_window_seconds: int = 0
    matches: Callable[[Event], bool] = lambda _: True
    reports_item_failures: bool = False
    bisects: bool = False
    maximum_retries: int = -1
    maximum_age_seconds: int = -1


@dataclass(frozen=True)
class Window:
    """An open tumbling window, half-open in seconds since 1970, and the function's own state."""

    start: int
    end: int
    state: Event


@dataclass(frozen=True)
class Progress:
    """What outlives a consumer.

    `backlog` holds records that were read but not acknowledged when the consumer was closed,
    for streams that do not outlive their engine.
    """

    acknowledged: Cursor | None = None
    window: Window | None = None
    backlog: tuple[StreamRecord, ...] = ()


class Shard(Protocol):
    """Where records come from."""

    @property
    def shard_id(self) -> str: ...

    def read(self, after: Cursor | None) -> list[StreamRecord]:
        """The next records after a cursor, in order; after None, from the oldest."""


class ProgressStore(Protocol):
    """Where progress is kept; `save` is atomic."""

    def load(self) -> Progress: ...

    def save(self, progress: Progress) -> None: ...


@dataclass(frozen=True)
class Faults:
    """What may go wrong between a shard and its function, for simulations."""

    # How many of the records that are due go into the next batch (1 to the number given).
    regroup: Callable[[int], int] = lambda due: due
    # Whether a batch's acknowledgement is lost, so that the batch is delivered again.
    lose_acknowledgement: Callable[[], bool] = lambda: False
