"""Shadow mode: an incumbent's totals beside our own, and why they differ where that can be told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

from shared.domain.catalogue import Meter
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.events import UsageEvent, measure
from shared.domain.uncounted import unmeasured
from shared.domain.usage_hours import floor_hour
from shared.domain.usage_windows import on_quarter
from shared.services.event_fates import EventFate
from shared.services.event_list import MAX_RANGE, EventFilter, EventList
from shared.services.usage_query import UsageQueries, UsageQuestion

# What is read of one row's events before it is judged on these.
MAX_EVENTS_READ = 2000
EVENTS_PER_PAGE = 1000
# An event may still be on its way through the stream.
SETTLING = timedelta(minutes=2)

ReasonCode = Literal[
    "quarantined",
    "settling",
    "not-live",
    "no-value",
    "filtered-out",
    "same-id",
    "received-later",
]
# Events that we have and do not count: with them, our total would be so much greater.
UNCOUNTED: tuple[ReasonCode, ...] = ("quarantined", "not-live")
REPEATED: tuple[ReasonCode, ...] = ("same-id",)


@dataclass(frozen=True, slots=True)
class IncumbentTotal:
    """What an incumbent says that a customer used of a meter in [start, end)."""

    customer: str
    meter: str
    start: datetime
    end: datetime
    value: Decimal


@dataclass(frozen=True, slots=True)
class Reason:
    """Some events of the row that may make a difference, and what they come to.

    `quarantined` and `not-live` ones (accepted after the meter was archived, or before it was made
    and not backfilled) are not counted here; `settling` ones were received just now and may not be
    yet. `no-value` and `filtered-out` ones are nothing to the meter. `same-id`: another event has
    the same id under another source, as when the same traffic comes twice. `received-later`: after
    the window's end, so that whoever goes by arrival counts them later.
    """

    code: ReasonCode
    events: int
    quantity: Decimal | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One row judged. `ours` None: the customer is not known here.

    `unexplained` is what is left of the difference when uncounted and repeated events are taken
    into account; None where quantities do not add up to totals. `complete`: every event of the
    window was looked at.
    """

    total: IncumbentTotal
    ours: Decimal | None
    reasons: tuple[Reason, ...] = ()
    unexplained: Decimal | None = None
    complete: bool = True

    @property
    def difference(self) -> Decimal:
        """Ours less theirs."""
        return (self.ours or Decimal(0)) - self.total.value


@dataclass(frozen=True, slots=True)
class Shadow:
    """Compares totals."""

    queries: UsageQueries
    events: EventList

    def compare(self, totals: Sequence[IncumbentTotal]) -> list[Comparison]:
        """Each total beside ours, in the same order.

        Raises: InvalidError for unknown meters and bounds off the quarter hour or out of order.
        """
        meters = self.queries.books.catalogue.newest().meters
        problems = [
            Problem(f"/totals/{index}{place}", code)
            for index, total in enumerate(totals)
            for place, code in _problems(total, known=total.meter in meters)
        ]
        if problems:
            raise InvalidError("Nothing was compared: each place breaks a rule.", problems)
        return [self._compared(total, meters[total.meter]) for total in totals]

    def _compared(self, total: IncumbentTotal, meter: Meter) -> Comparison:
        question = UsageQuestion(total.meter, (total.customer,), start=total.start, end=total.end)
        try:
            rows = self.queries.usage(question).answer.rows
        except NotFoundError:
            return Comparison(total, None, unexplained=-total.value)
        ours = (rows[0].value if rows else None) or Decimal(0)
        if ours == total.value:
            return Comparison(total, ours, unexplained=Decimal(0))
        reasons, complete = self._reasons(total, meter)
        return Comparison(
            total, ours, reasons, _unexplained(meter, ours - total.value, reasons), complete
        )

    def _reasons(self, total: IncumbentTotal, meter: Meter) -> tuple[tuple[Reason, ...], bool]:
        now = self.queries.books.clock.now()
        backfilled = self._backfilled(total)
        found: dict[ReasonCode, list[UsageEvent]] = {}
        ids: dict[str, str] = {}
        count = 0
        for event, fate in self._read(total, meter):
            count += 1
            history = event.catalogue_version < meter.since
            if history and floor_hour(event.occurred_at) in backfilled:
                codes = _codes_of_history(event, meter, total.end)
            else:
                codes = _codes(event, fate, meter, now, total.end)
            for code in codes:
                found.setdefault(code, []).append(event)
            if ids.setdefault(event.id, event.source) != event.source:
                found.setdefault("same-id", []).append(event)
        reasons = [
            Reason(code, len(events), _quantity(events, meter)) for code, events in found.items()
        ]
        return tuple(sorted(reasons, key=lambda reason: reason.code)), count < MAX_EVENTS_READ

    def _backfilled(self, total: IncumbentTotal) -> frozenset[datetime]:
        """The hours whose events from before the meter was made are counted, all of them."""
        span = (floor_hour(total.start), total.end)
        kept = self.queries.books.store.usage_between(total.meter, total.customer, *span)
        return frozenset(hour.key.hour for hour in kept if hour.key.backfilled)

    def _read(self, total: IncumbentTotal, meter: Meter) -> Iterator[tuple[UsageEvent, EventFate]]:
        wanted = EventFilter(total.customer, total.start, total.end, meter.event_type)
        position, count = None, 0
        while count < MAX_EVENTS_READ:
            page = self.events.page(wanted, min(EVENTS_PER_PAGE, MAX_EVENTS_READ - count), position)
            for history in page.histories.values():
                if (effective := history.effective) is not None:
                    yield effective, page.fates[history.in_force.key]
            count += len(page.events)
            position = page.position
            if position is None:
                return


def _problems(total: IncumbentTotal, *, known: bool) -> Iterator[tuple[str, str]]:
    if not known:
        yield "/meter", "unknown-meter"
    for place, bound in (("/from", total.start), ("/to", total.end)):
        if not on_quarter(bound):
            yield place, "not-on-quarter-hour"
    if total.start >= total.end:
        yield "/to", "not-after-from"
    if total.end - total.start > MAX_RANGE:
        yield "/from", "too-wide"


def _codes(
    event: UsageEvent, fate: EventFate, meter: Meter, now: datetime, end: datetime
) -> Iterator[ReasonCode]:
    if fate.fate.quarantined:
        yield "quarantined"
    elif not meter.counts(event.catalogue_version):
        yield "not-live"
    elif why := unmeasured(event, meter):
        yield why
    elif event.received_at > now - SETTLING:
        yield "settling"
    if event.received_at >= end:
        yield "received-later"


def _codes_of_history(event: UsageEvent, meter: Meter, end: datetime) -> Iterator[ReasonCode]:
    """Of an event that a backfill counted: from the raw events, whatever the stream made of it."""
    if why := unmeasured(event, meter):
        yield why
    if event.received_at >= end:
        yield "received-later"


def _quantity(events: Sequence[UsageEvent], meter: Meter) -> Decimal | None:
    """What the events come to; None where the meter's totals are no sums of quantities."""
    if meter.aggregation not in ("count", "sum"):
        return None
    measured = (measure(event, meter) for event in events)
    return sum((m.quantity for m in measured if m is not None), Decimal(0))


def _unexplained(meter: Meter, difference: Decimal, reasons: Sequence[Reason]) -> Decimal | None:
    if meter.aggregation not in ("count", "sum"):
        return None
    return difference + _sum_of(reasons, UNCOUNTED) - _sum_of(reasons, REPEATED)


def _sum_of(reasons: Sequence[Reason], codes: Sequence[ReasonCode]) -> Decimal:
    return sum((r.quantity for r in reasons if r.code in codes and r.quantity), Decimal(0))
