"""A customer's past usage in shares, from usage hours, and from raw events where hours cannot tell.

They cannot in quarters of an hour that a phase begins or ends in, of usage over the cap of
dimension values where these decide, and where single events do.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue, Meter
from shared.domain.errors import MeterlineError
from shared.domain.quarters import QUARTER, floor_quarter
from shared.domain.reconciliation import cut_quarters, holds, holds_record
from shared.domain.records import Record, measured
from shared.domain.shares import (
    Share,
    merged_shares,
    shares_of_hour,
    shares_of_records,
    shares_of_value,
)
from shared.domain.usage_hours import UsageHour, floor_hour
from shared.services.audience import Budget
from shared.services.ingest import MAX_LATENESS
from shared.services.reconciliation import RawEvents
from shared.services.store import BillingStore

HOUR = timedelta(hours=1)
# One read: any calendar month is one.
READ_SPAN = timedelta(days=32)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which usage: of these meters, event by event of some, by dimension values of others."""

    meters: tuple[Meter, ...]
    by_event: AbstractSet[str] = frozenset()
    by_dimensions: AbstractSet[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PastUsage:
    """Reads usage; what it reads is taken off the budget."""

    store: BillingStore
    raw: RawEvents

    def of_phase(
        self, customer: str, phase: Phase, wanted: Wanted, catalogue: Catalogue, budget: Budget
    ) -> list[Share]:
        """All usage of the phase in order of time, each event in one share.

        Raises: OverBudgetError.
        """
        reading = _Reading(customer, phase, wanted, budget, cut_quarters(phase))
        start = phase.start
        if phase.number == 1:  # It takes what came before it, too.
            start -= MAX_LATENESS + HOUR
        for meter in wanted.meters:
            if meter.key not in wanted.by_event:
                self._take_hours(reading, meter, floor_hour(start))
        spans = [(at, at + QUARTER) for at in reading.cut]
        spans += [(at, at + HOUR) for at in {hour for _, hour in reading.over}]
        if wanted.by_event:
            spans = [(start, phase.end)]
        records = self._records(customer, spans, catalogue, budget)
        reading.shares += _raw_shares(reading, records)
        return sorted(reading.shares, key=_order)

    def hours(
        self, customer: str, meter: Meter, start: datetime, end: datetime, budget: Budget
    ) -> Iterator[UsageHour]:
        """The usage hours of [start, end), months at a time.

        Raises: OverBudgetError.
        """
        while start < end:
            until = min(start + READ_SPAN, end)
            found = self.store.usage_between(meter.key, customer, start, until)
            budget.spend(1 + len(found))
            yield from found
            start = until

    def _take_hours(self, reading: "_Reading", meter: Meter, start: datetime) -> None:
        """Takes the meter's usage hours and values, but for what raw events are to tell."""
        customer, end = reading.customer, reading.phase.end
        hours = list(self.hours(customer, meter, start, end, reading.budget))
        if meter.key in reading.wanted.by_dimensions:
            reading.over |= {(meter.key, h.key.hour) for h in hours if h.key.other}
        for hour in hours:
            own = shares_of_hour(meter, hour)
            reading.shares += (s for s in own if reading.takes(meter.key, s.at, s.backfilled))
        if meter.aggregation == "unique_count":
            for value in self.store.values_between(meter.key, customer, start, end):
                reading.budget.spend(1)
                seen = (
                    at
                    for at in value.instants()
                    if reading.takes(meter.key, at, value.key.backfilled)
                )
                reading.shares += shares_of_value(value, seen)

    def _records(
        self,
        customer: str,
        spans: Iterable[tuple[datetime, datetime]],
        catalogue: Catalogue,
        budget: Budget,
    ) -> Iterator[Record]:
        """The raw events of the spans that were billed, each once."""
        aside = self.store.set_aside(customer)
        unbilled = {
            key
            for key, kept in aside.items()
            if kept.redriven_at is None and "account" in kept.not_applied
        }
        known: set[str] = set()
        for start, end in sorted(spans):
            for raw in self.raw.between(customer, start, end):
                budget.spend(1)
                if raw.event is None or raw.key in unbilled or raw.key in known:
                    continue
                known.add(raw.key)
                try:
                    yield measured(raw.event, 0, catalogue)
                except MeterlineError:
                    continue  # It is in quarantine, or on its way there.


@dataclass(slots=True)
class _Reading:
    """What of a phase is read of usage hours. `over` are the hours of meters that are not."""

    customer: str
    phase: Phase
    wanted: Wanted
    budget: Budget
    cut: set[datetime]
    over: set[tuple[str, datetime]] = field(default_factory=set)
    shares: list[Share] = field(default_factory=list)

    def takes(self, meter: str, at: datetime, backfilled: bool) -> bool:
        """Whether the quarter is taken of the meter's usage hours.

        No raw event stands in for backfilled usage: it is the phase's that its quarter begins in.
        """
        mine = holds(self.phase, at)
        return mine and (
            backfilled or (at not in self.cut and (meter, floor_hour(at)) not in self.over)
        )


def _raw_shares(reading: _Reading, records: Iterable[Record]) -> Iterator[Share]:
    """What raw events tell: single events of some meters, of others quarters."""
    wanted, quarters = reading.wanted, list[Share]()
    keys = {meter.key for meter in wanted.meters}
    for share in shares_of_records(r for r in records if holds_record(reading.phase, r)):
        meter, at = share.measurement.meter, floor_quarter(share.at)
        if meter in wanted.by_event:
            yield share
        elif meter in keys and (at in reading.cut or (meter, floor_hour(at)) in reading.over):
            quarters.append(Share(at, share.measurement))
    yield from merged_shares(quarters)


def _order(share: Share) -> tuple[datetime, str, list[tuple[str, str]], str]:
    measurement = share.measurement
    group = sorted(measurement.dimensions.items())
    return share.at, measurement.meter, group, measurement.distinct or ""
