"""What both clients are made of, beside threads or tasks: events, counters, failures."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from meterline_client._delivery import Verdict
from meterline_client._event import decode_event
from meterline_client._exchange import Retry
from meterline_client._queue import Batching, Buffer, Entry, Queue
from meterline_client._spool import Spool, SpoolFolder
from meterline_client.errors import (
    BufferFullError,
    EventTooLargeError,
    MeterlineError,
    Problem,
    SpoolError,
)

logger = logging.getLogger("meterline_client")


@dataclass(frozen=True, slots=True)
class Failure:
    """An event that will not be stored, or that this process gave up.

    `problems` are the places in the event that the API complained about. With `kept` the event is
    still in the spool, and the next process sends it.
    """

    event: Mapping[str, Any]
    error: MeterlineError
    problems: tuple[Problem, ...] = ()
    kept: bool = False


OnFailure = Callable[[Failure], None]


@dataclass(frozen=True, slots=True)
class Counters:
    """Events since the client was made; `retried` are requests that were sent again.

    Every event is in exactly one of accepted, duplicates, dropped (no room), failed (refused or
    given up), kept (left in the spool) and pending. `unmetered` are those of the accepted that no
    meter reads, `torn` lines of the spool that a crash cut short.
    """

    accepted: int = 0
    duplicates: int = 0
    unmetered: int = 0
    retried: int = 0
    dropped: int = 0
    failed: int = 0
    kept: int = 0
    torn: int = 0
    pending: int = 0


@dataclass(frozen=True, slots=True)
class Options:
    """How a client sends events and asks questions."""

    batching: Batching = field(default_factory=Batching)
    buffer: Buffer = field(default_factory=Buffer)
    spool: Spool | None = None
    # About eight minutes; with a spool events are never given up for lack of an answer.
    delivery_retry: Retry = field(default_factory=lambda: Retry(40, longest_wait_seconds=900.0))
    call_retry: Retry = field(default_factory=lambda: Retry(4, cap_seconds=5.0))
    timeout_seconds: float = 30.0
    close_seconds: float = 10.0

    def __post_init__(self) -> None:
        if self.spool and self.buffer.when_full == "drop_oldest":
            raise ValueError("a spool keeps the oldest events: choose another policy when_full")


def where(url: str | None, api_key: str | None) -> tuple[str, str]:
    """The address and the key, else those of METERLINE_URL and METERLINE_API_KEY.

    Raises: ValueError where neither says it.
    """
    url = url or os.environ.get("METERLINE_URL")
    api_key = api_key or os.environ.get("METERLINE_API_KEY")
    if not url or not api_key:
        raise ValueError("give url and api_key, or set METERLINE_URL and METERLINE_API_KEY")
    if not url.startswith(("https://", "http://")):
        raise ValueError("the url starts with https:// or http://")
    return url.rstrip("/"), api_key


def log_failure(failure: Failure) -> None:
    """What happens to failures when nobody else takes them: an error in the log, without data."""
    logger.error(
        "usage event %s of %s %s: %s",
        failure.event.get("id"),
        failure.event.get("source"),
        "waits in the spool for the next process" if failure.kept else "is lost",
        failure.error,
    )


class Core:
    """Events on their way, and the count of each. The caller locks where it needs to."""

    def __init__(self, options: Options, on_failure: OnFailure | None) -> None:
        self.options = options
        spool = SpoolFolder(options.spool) if options.spool else None
        self.queue = Queue(options.batching, options.buffer, spool)
        self.retry = options.delivery_retry
        if spool is not None:
            self.retry = replace(self.retry, attempts=None)
        self.abandoned = False
        self.added = len(self.queue)
        self.retried = 0
        self._on_failure = on_failure or log_failure
        self._counts = dict.fromkeys(
            ("accepted", "duplicates", "unmetered", "dropped", "failed", "kept"), 0
        )

    def fresh(self) -> "Core":
        """Another one with nothing in it, for a child process."""
        self.queue.forget()
        return Core(self.options, self._on_failure)

    @property
    def decided(self) -> int:
        """How many of the `added` are no longer pending."""
        return self.added - len(self.queue)

    def counters(self) -> Counters:
        """The counts as they stand."""
        return Counters(
            **self._counts, retried=self.retried, torn=self.queue.torn, pending=len(self.queue)
        )

    def check_size(self, payload: bytes) -> None:
        """Raises: EventTooLargeError."""
        if len(payload) + 2 > self.options.batching.max_bytes:
            raise EventTooLargeError(f"the event has {len(payload)} bytes")

    def make_room(self, payload: bytes) -> tuple[bool, list[Failure]]:
        """By the policy, without waiting: whether the event may be added, and what was given up.

        Raises: BufferFullError.
        """
        policy = self.options.buffer.when_full
        error = BufferFullError("the buffer is full")
        if policy in ("raise", "block"):
            self._counts["dropped"] += 1
            raise error
        given_up = []
        if policy == "drop_oldest":
            while not self.queue.has_room(payload) and (oldest := self.queue.drop_oldest()):
                given_up.append(oldest)
        admitted = self.queue.has_room(payload)
        if not admitted:
            given_up.append(payload)
        self._counts["dropped"] += len(given_up)
        return admitted, [Failure(decode_event(p), error) for p in given_up]

    def add(self, payload: bytes) -> bool:
        """Puts the event last; whether the sender should be woken. Raises: SpoolError."""
        try:
            wake = self.queue.add(payload, time.monotonic())
        except SpoolError:
            self._counts["dropped"] += 1
            raise
        self.added += 1
        return wake

    def apply(self, verdict: Verdict) -> list[Failure]:
        """Counts and lets go of what the verdict decides; returns what failed."""
        if self.abandoned:
            return []
        counts = self._counts
        counts["accepted"] += verdict.accepted
        counts["duplicates"] += verdict.duplicates
        counts["unmetered"] += verdict.unmetered
        counts["failed"] += len(verdict.refused)
        self.queue.settle(verdict.stored)
        self.queue.settle(entry for entry, _ in verdict.refused)
        error = verdict.error
        failures = []
        if error is not None:
            failures = [
                Failure(decode_event(entry.payload), error, problems)
                for entry, problems in verdict.refused
            ]
            failures += self._give_up(verdict.undelivered, error)
        return failures

    def abandon(self, error: MeterlineError) -> list[Failure]:
        """Gives up whatever is still pending, and the spool; later verdicts change nothing."""
        self.abandoned = True
        self._counts["kept"] += self.queue.on_disk
        failures = self._give_up(self.queue.give_up(), error)
        self.queue.close()
        return failures

    def _give_up(self, entries: Iterable[Entry], error: MeterlineError) -> list[Failure]:
        given_up = list(entries)
        kept = [entry for entry in given_up if entry.segment is not None]
        lost = [entry for entry in given_up if entry.segment is None]
        self.queue.keep(kept)
        self.queue.settle(lost)
        self._counts["kept"] += len(kept)
        self._counts["failed"] += len(lost)
        return [
            Failure(decode_event(entry.payload), error, kept=entry.segment is not None)
            for entry in given_up
        ]

    def tell(self, failures: Iterable[Failure]) -> None:
        """Hands failures to whoever asked for them; an error there stops nothing."""
        for failure in failures:
            try:
                self._on_failure(failure)
            except Exception:
                logger.exception("the failure handler failed")
                log_failure(failure)
