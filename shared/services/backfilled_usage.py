"""Backfilled usage: computed hour by hour from all its raw events, and put as a whole."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from shared.domain.backfilling import Backfill, backfilled_hours, events_in
from shared.domain.catalogue import Meter
from shared.domain.customers import Customer
from shared.domain.distinct import Seen
from shared.domain.events import UsageEvent
from shared.domain.hour_writes import in_parts
from shared.domain.usage_hours import UsageHour, floor_hour
from shared.services.changes import DropValues, PutAudit, PutBackfilledHour
from shared.services.ingest import MAX_AHEAD
from shared.services.looks import Span
from shared.services.reconciliation import RawEvents
from shared.services.spread import Spread, one_by_one
from shared.services.store import BillingStore, CatalogueSource

HOUR = timedelta(hours=1)


class BackfillStore(Protocol):
    """How far backfills are. Reads are consistent."""

    def get(self, meter: str) -> Backfill | None:
        """The meter's newest backfill."""

    def all(self) -> Sequence[Backfill]:
        """The newest backfill of every meter that has one; a new one may be missing a moment."""

    def start(self, backfill: Backfill, audit: PutAudit) -> None:
        """Keeps a new run and its audit entry, if the stored one is the run before it.

        Raises: VersionConflictError.
        """

    def list_customers(self, meter: str, run: int, customers: int) -> None:
        """Notes how many customers the run has; nothing if a newer one has started."""

    def finish_customer(self, meter: str, run: int, customer: str, events: int) -> None:
        """Notes that a customer is finished; once, however often it is said."""


@dataclass(frozen=True, slots=True)
class BackfilledUsage:
    """Puts backfilled usage, and checks it."""

    store: BillingStore
    progress: BackfillStore
    raw: RawEvents
    catalogue: CatalogueSource
    spread: Spread = one_by_one

    def put(
        self, meter: Meter, events: Iterable[UsageEvent], kept: Sequence[UsageHour] = ()
    ) -> int:
        """Puts what full hours of a customer's events come to; how many are the meter's.

        Hours that are kept like that already are not written again, but for those with distinct
        values: a crash may have left out some of them.
        """
        hours = backfilled_hours(meter, events)
        known = {hour.key: hour.quarters for hour in kept}
        new = [h for h in hours if h.values or known.get(h.hour.key) != h.hour.quarters]
        for each in hours:
            self._drop(each.gone)
        puts = [PutBackfilledHour(h.hour, values) for h in new for values in in_parts(h.values)]
        self.spread(lambda put: self.store.commit([put]), puts)
        return events_in(each.hour for each in hours)

    def check(self, customer: Customer, spans: Sequence[Span]) -> int:
        """Computes anew what backfills have in the spans, of full hours.

        Returns how many events were found that they lacked: those of a customer that nobody knew
        when the customers were listed, because the stream was behind. Of one that is not finished
        only the hours are computed that it has; the others are its orders' to count, or, where it
        was stopped, nobody's.
        """
        backfills = self.progress.all()
        meters = self.catalogue.newest().meters if backfills else {}
        lacking = 0
        for start, end in spans:
            due = [(backfill, *_span(backfill, customer, start, end)) for backfill in backfills]
            due = [(backfill, begin, until) for backfill, begin, until in due if begin < until]
            events = list(self.events(customer.key, start, end)) if due else []
            for backfill, begin, until in due:
                meter = meters[backfill.meter]
                kept = self._stored(meter, customer.key, begin, until)
                theirs = [event for event in events if begin <= event.occurred_at < until]
                if not backfill.finished:
                    hours = {hour.key.hour for hour in kept}
                    theirs = [event for event in theirs if floor_hour(event.occurred_at) in hours]
                lacking += self.put(meter, theirs, kept) - events_in(kept)
        return lacking

    def events(self, customer: str, start: datetime, end: datetime) -> Iterator[UsageEvent]:
        """The customer's raw events of [start, end), in order of time."""
        found = (raw.event for raw in self.raw.between(customer, start, end))
        return (event for event in found if event is not None)

    def is_backfilled(self, meter: str) -> bool:
        """Whether a backfill of the meter was ordered."""
        return self.progress.get(meter) is not None

    def count_again(self, customer: str, at: datetime) -> None:
        """Computes anew what backfills have in the hour of an event."""
        profile = self.store.customer(customer)
        if profile is not None:
            self.check(profile, [(floor_hour(at), floor_hour(at) + HOUR)])

    def _drop(self, gone: Seen) -> None:
        """Takes out what is still kept of values that no event has any more."""
        kept = self.store.seen(gone) if gone else {}
        dropped = {key: seen & gone[key] for key, seen in kept.items() if seen & gone[key]}
        for part in in_parts(dropped) if dropped else ():
            self.store.commit([DropValues(part)])

    def _stored(
        self, meter: Meter, customer: str, start: datetime, end: datetime
    ) -> list[UsageHour]:
        kept = self.store.usage_between(meter.key, customer, start, end)
        return [hour for hour in kept if hour.key.backfilled]


def _span(
    backfill: Backfill, customer: Customer, start: datetime, end: datetime
) -> tuple[datetime, datetime]:
    """The part of [start, end) that the backfill is of."""
    begin = max(start, backfill.start) if backfill.start else start
    if customer.test_clock is not None:
        return begin, end
    return begin, min(end, floor_hour(backfill.requested_at + MAX_AHEAD) + HOUR)
