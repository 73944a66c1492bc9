"""The raw events of one customer, newest first."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.corrections import History
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import UsageEvent, dimension_text, event_key
from shared.services.correcting import CorrectionStore
from shared.services.event_fates import EventFate, event_fates
from shared.services.ingest import MAX_AHEAD, MAX_LATENESS, IngestContext
from shared.services.store import BillingStore, CatalogueSource, Clock

MAX_RANGE = timedelta(days=400)
# A rare type may need many reads for few events: a page ends here, full or not.
MAX_READS_PER_PAGE = 20


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events: one customer's in [start, end), and of one type, source or id if given.

    With a `property` (name, value), those whose data has it, the value as groups are named.
    """

    customer: str
    start: datetime | None = None
    end: datetime | None = None
    type: str | None = None
    source: str | None = None
    id: str | None = None
    property: tuple[str, str] | None = None

    def has_property(self, event: UsageEvent) -> bool:
        """Whether the event has the property asked for, if any."""
        if self.property is None:
            return True
        name, value = self.property
        return name in event.data and dimension_text(event.data[name]) == value


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the order by time; what is listed after it is older."""

    occurred_at: datetime
    key: str


class EventIndex(Protocol):
    """The raw events by identity, and by time."""

    def get(self, customer: str, key: str) -> UsageEvent | None:
        """The stored event, read consistently.

        Raises: UnreadableError.
        """

    def newest(
        self,
        wanted: EventFilter,
        start: datetime,
        end: datetime,
        after: Position | None,
        limit: int,
    ) -> tuple[list[UsageEvent], Position | None]:
        """Wanted events of [start, end), within one month (UTC), newest first; where to go on.

        About `limit` of them, or none at all although more follow. Events that were stored a
        moment ago may not be there yet.
        """


@dataclass(frozen=True, slots=True)
class EventPage:
    """A page of events as they were sent, their corrections, and where the next page starts.

    What became of each event and of each entry that corrects it is told by its key.

    [start, end) is the range listed; the following pages are asked for with the same.
    """

    events: Sequence[UsageEvent]
    fates: Mapping[str, EventFate]
    histories: Mapping[str, History]
    start: datetime
    end: datetime
    position: Position | None


@dataclass(frozen=True, slots=True)
class EventList:
    """Lists raw events."""

    index: EventIndex
    context: IngestContext
    store: BillingStore
    catalogue: CatalogueSource
    clock: Clock
    corrections: CorrectionStore

    def page(self, wanted: EventFilter, limit: int, position: Position | None = None) -> EventPage:
        """The page after the position, or the first one.

        Raises: InvalidError for a range that is empty or longer than 400 days.
        """
        start, end = self._range(wanted)
        if wanted.source is not None and wanted.id is not None:
            events, following = self._identified(wanted, start, end), None
        else:
            events, following = self._listed(wanted, start, end, limit, position)
        histories = self.corrections.histories(wanted.customer, [e.key for e in events])
        entries = [entry for history in histories.values() for entry in history.entries]
        catalogue = self.catalogue.newest()
        fates = event_fates(self.store, catalogue, wanted.customer, [*events, *entries])
        return EventPage(events, fates, histories, start, end, following)

    def _range(self, wanted: EventFilter) -> tuple[datetime, datetime]:
        end = wanted.end or self._now(wanted.customer) + MAX_AHEAD
        start = wanted.start or end - MAX_LATENESS
        if start >= end:
            raise InvalidError("The range is empty.", [Problem("/from", "empty-range")])
        if end - start > MAX_RANGE:
            raise InvalidError("The range is too long.", [Problem("/from", "range-too-long")])
        return start, end

    def _now(self, customer: str) -> datetime:
        _, states = self.context.read([customer])
        state = states.get(customer)
        return (state and state.clock_now) or self.clock.now()

    def _identified(self, wanted: EventFilter, start: datetime, end: datetime) -> list[UsageEvent]:
        """The one event of this identity, whenever it was unless a range is asked for."""
        event = self.index.get(wanted.customer, event_key(wanted.source or "", wanted.id or ""))
        if event is None or wanted.type not in (None, event.type):
            return []
        history = self.corrections.history(wanted.customer, event.key)
        effective = history.effective if history else None
        if wanted.property is not None and not (effective and wanted.has_property(effective)):
            return []
        if wanted.start is not None and event.occurred_at < start:
            return []
        return [] if wanted.end is not None and event.occurred_at >= end else [event]

    def _listed(
        self,
        wanted: EventFilter,
        start: datetime,
        end: datetime,
        limit: int,
        position: Position | None,
    ) -> tuple[list[UsageEvent], Position | None]:
        events: list[tuple[UsageEvent, UsageEvent]] = []
        reads = 0
        newest = position.occurred_at + timedelta(microseconds=1) if position else end
        for month_start, month_end in months_descending(start, newest):
            while True:
                found, position = self.index.newest(
                    wanted, month_start, month_end, position, limit - len(events)
                )
                events += self._as_sent(wanted, found)
                reads += 1
                if len(events) >= limit:
                    last, _ = events[limit - 1]
                    sent = [event for _, event in events[:limit]]
                    return sent, Position(last.occurred_at, last.key)
                if position is None:
                    break
                if reads >= MAX_READS_PER_PAGE:
                    return [event for _, event in events], position
        return [event for _, event in events], None

    def _as_sent(
        self, wanted: EventFilter, found: Sequence[UsageEvent]
    ) -> list[tuple[UsageEvent, UsageEvent]]:
        """Each event once, as it was sent, with the one of the found entries that stands for it.

        Where a property is asked for, that is the entry that is in force.
        """
        if wanted.property is None:
            return [(event, event) for event in found if event.correction is None]
        keys = list(dict.fromkeys(event.corrected_key for event in found))
        histories = self.corrections.histories(wanted.customer, keys)
        return [
            (entry, history.event)
            for entry in found
            if (history := histories.get(entry.corrected_key)) is not None
            and history.effective is not None
            and history.in_force.key == entry.key
        ]


def months_descending(start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) cut where months (UTC) begin, the latest part first."""
    while start < end:
        last = end - timedelta(microseconds=1)
        first = max(start, last.replace(day=1, hour=0, minute=0, second=0, microsecond=0))
        yield first, end
        end = first
