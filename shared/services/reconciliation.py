"""What reconciliation keeps and reads: how far it has judged, and the raw events it judges by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.domain.days import DAY, floor_day
from shared.domain.events import UsageEvent
from shared.services.store import Page


@dataclass(frozen=True, slots=True)
class JournalGap:
    """That some of the account's versions up to this one had no ledger entry when it was seen."""

    account_version: int
    seen_at: datetime


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """How one customer's numbers were found.

    Hours before `judged_until` were judged, those before `settled_until` again after their lateness
    window; `postponed` are earlier hours that had young events. Ledger entries up to
    `ledger_version` are a chain. `findings` are what contradicted at `checked_at`; `clean_at` is
    when the last pass started that found, or put, everything right. `busy` says of each meter with
    very many usage items when they were last seen. Instants but hours are the machine's.
    """

    customer: str
    judged_until: datetime | None = None
    settled_until: datetime | None = None
    postponed: tuple[datetime, ...] = ()
    ledger_version: int = 0
    gap: JournalGap | None = None
    checked_at: datetime | None = None
    clean_at: datetime | None = None
    findings: tuple[str, ...] = ()
    busy: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RawEvent:
    """A raw event; `event` is None if it cannot be read as one."""

    key: str
    event: UsageEvent | None


class RawEvents(Protocol):
    """The raw events of a customer in order of time.

    Events that were stored a moment ago may not be there yet.
    """

    def first(self, customer: str, start: datetime, end: datetime) -> datetime | None:
        """When the first event of [start, end) occurred."""

    def between(self, customer: str, start: datetime, end: datetime) -> Iterator[RawEvent]:
        """All events of [start, end), the earliest first."""


class ReconciliationStore(Protocol):
    """Where reconciliation notes how it found each customer."""

    def reconciliation(self, customer: str) -> Reconciliation | None:
        """The note, or None if the customer was never reconciled."""

    def save(self, reconciliation: Reconciliation) -> None:
        """Keeps the note. Of two, either may stand: what was judged may be judged again."""

    def contradicted(self, limit: int, cursor: str | None) -> Page[Reconciliation]:
        """The customers with findings, the longest without a clean pass first."""

    def oldest(self) -> Reconciliation | None:
        """Of the customers ever reconciled, the longest without a clean pass."""


def days_with_events(
    raw: RawEvents, customer: str, start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) day by day (UTC), less the days without events."""
    while start < end:
        at = raw.first(customer, start, end)
        if at is None:
            return
        start = max(start, floor_day(at))
        midnight = floor_day(start) + DAY
        yield start, min(midnight, end)
        start = midnight
