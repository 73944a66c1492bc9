"""Looking at one customer: raw events against usage hours, usage hours against account phases.

The order of reading matters: account, usage hours, raw events. What came in between is then newer
than what is judged, and shows as young, or as a version that has moved on.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.accounts import Phase
from shared.domain.distinct import DistinctValue
from shared.domain.errors import UnavailableError
from shared.domain.events import takes_value_back
from shared.domain.folding import Terms
from shared.domain.kept_values import KeptValues
from shared.domain.quarters import QUARTER
from shared.domain.reconciliation import (
    ZERO,
    Slot,
    gaps,
    phases_of,
    slot_of,
    slot_start,
    slots_of,
)
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, floor_hour
from shared.services.looks import (
    IsOver,
    Look,
    Missing,
    OutOfTimeError,
    Span,
    difference,
    missing_readings,
    readings_of,
    records_of,
    slot_text,
)
from shared.services.phase_check import PhaseCheck
from shared.services.reconciliation import RawEvents
from shared.services.store import CLOSED_PHASES_READ, BillingStore, CatalogueSource

# A look takes no more days than have about so many events, which a pass reads in a minute.
MAX_EVENTS = 100_000
MAX_EVENTS_IN_SECONDS = 10_000


@dataclass(frozen=True, slots=True)
class Recounting:
    """Reads and compares. Nothing is changed. A look ends without a result when `is_over`."""

    store: BillingStore
    raw: RawEvents
    catalogue: CatalogueSource
    phases: PhaseCheck
    is_over: IsOver = lambda: False
    max_events: int = MAX_EVENTS

    def within_seconds(self, is_over: IsOver) -> "Recounting":
        """The same for who has seconds: smaller looks, which end when time is up."""
        return replace(self, is_over=is_over, max_events=MAX_EVENTS_IN_SECONDS)

    def look(self, customer: str, spans: Iterable[Span], settled: datetime, now: datetime) -> Look:
        """Everything that is wrong with the hours of the spans and the phases they belong to.

        Phases are compared once what all the hours lack is known: an outage of days leaves more
        than one of them short. Spans do not overlap; of very many events only the first spans are
        read, one at least. Only events received before `settled` are judged by. `now` is the
        machine's time.
        Raises: UnavailableError for a customer without an account; OutOfTimeError.
        """
        look, events = self.read(customer), 0
        for start, end in spans:
            look.spans.append((start, end))
            events += self._judge_hours(look, start, end, settled)
            if look.findings or events >= self.max_events:
                break
        if look.findings:
            return look  # Phases would contradict in consequence.
        for phase in phases_of(look.account, look.terms.closed):
            if self.is_over():
                raise OutOfTimeError
            if any(_overlaps(phase.phase, *span) for span in look.spans):
                self.phases.judge(look, phase, settled, now)
        return look

    def read(self, customer: str) -> Look:
        """Where a look at the customer begins: the account, and what its usage is judged by.

        Raises: UnavailableError for a customer without an account.
        """
        account, terms = self.store.account(customer), self.store.subscription(customer)
        if account is None or terms is None:
            raise UnavailableError("the customer has no account yet")
        closed = self.store.closed_phases(customer, CLOSED_PHASES_READ)
        grants = self.store.grants(customer, account.open_grants)
        kept = self.store.set_aside(customer)
        aside = {key: record for key, record in kept.items() if record.redriven_at is None}
        catalogue = self.catalogue.newest()
        return Look(account, Terms(catalogue, terms, grants, tuple(closed)), aside, self.is_over)

    def _hours(
        self, look: Look, start: datetime, end: datetime
    ) -> tuple[list[UsageHour], list[DistinctValue]]:
        """The usage hours of the span and the values that are kept for it; none backfilled."""
        customer, hours, values = look.account.customer, list[UsageHour](), list[DistinctValue]()
        for meter in look.terms.catalogue.meters.values():
            hours += self.store.usage_between(meter.key, customer, start, end)
            if meter.dimensions:
                look.registers |= self.store.registers_between(meter.key, customer, start, end)
            if meter.aggregation == "unique_count":
                values += self.store.values_between(meter.key, customer, start, end)
        live = [hour for hour in hours if not hour.key.backfilled]
        return live, [value for value in values if not value.key.backfilled]

    def _judge_hours(self, look: Look, start: datetime, end: datetime, settled: datetime) -> int:
        """Counts the raw events of each quarter of an hour again, and names what is missing.

        Returns how many events there are.
        """
        hours, values = self._hours(look, start, end)
        look.items.update(hour.key.meter for hour in hours)
        look.items.update(value.key.meter for value in values)
        look.hours |= {hour.key: hour for hour in hours}
        events = 0
        counted: dict[Slot, Quarter] = {}
        in_force: dict[Slot, KeptValues] = {}
        reversals: dict[Slot, set[str]] = {}
        for record in records_of(self.raw, look, start, end):
            event = record.event
            events += 1
            if event.received_at >= settled:
                look.young.add(floor_hour(event.occurred_at))
            for measurement in look.applied(record):
                slot = slot_of(record, measurement, look.registers)
                counted[slot] = counted.get(slot, ZERO).plus(measurement)
                in_force.setdefault(slot, KeptValues()).add([measurement])
                if takes_value_back(measurement):
                    reversals.setdefault(slot, set()).add(event.key)
        found = slots_of(hours)
        differing = gaps(counted, found)
        short: dict[datetime, dict[Slot, Quarter]] = {}
        for slot, gap in differing.items():
            if slot[0].hour not in look.young:
                short.setdefault(slot_start(slot), {})[slot] = gap
        for lacking in short.values():
            self._name_missing(look, lacking)
        kept = _distinct_by_slot(values)
        for slot, quarter in found.items():
            mine = in_force.get(slot, KeptValues())
            right = quarter.mark == mine.mark and kept.get(slot, set()) == mine.values
            if slot not in differing and not right:
                _judge_values(look, slot, reversals.get(slot, set()))
        return events

    def _name_missing(self, look: Look, lacking: Mapping[Slot, Quarter]) -> None:
        """Names the raw events that the slots of one quarter of an hour lack."""
        readings = readings_of(self.raw, look, look.registers, lacking)
        for slot, gap in lacking.items():
            missing = missing_readings(readings[slot], gap)
            if missing is None:
                look.findings.append(f"{slot_text(slot)}: {difference(gap)}")
            for record, measurement in missing or ():
                known = look.missing.get(record.event.key)
                others = known.from_hours if known else ()
                # Whether the account lacks it as well is for its phase to say.
                entry = Missing(record, (*others, measurement), from_account=True)
                look.missing[record.event.key] = entry


def _judge_values(look: Look, slot: Slot, reversals: AbstractSet[str]) -> None:
    """Has values counted anew that are not what the slot's events say, if any were taken back."""
    at = slot_start(slot)
    if slot[0].hour in look.young or at in look.account.stale:
        return
    if reversals:  # The account was not told: its own write was lost.
        look.anew.setdefault(at, set()).update(reversals)
        return
    look.findings.append(f"{slot_text(slot)}: what is kept of the values is not what they were")


def _overlaps(phase: Phase, start: datetime, end: datetime) -> bool:
    return (phase.number == 1 or phase.start < end) and phase.end > start


def _distinct_by_slot(values: Iterable[DistinctValue]) -> dict[Slot, set[str]]:
    """The values that are kept for each quarter of an hour."""
    found: dict[Slot, set[str]] = {}
    for value in values:
        key = value.key
        for at in value.instants():
            hour = at.replace(minute=0)
            place = HourKey(key.customer, key.meter, hour, key.dimensions, key.other)
            found.setdefault((place, (at - hour) // QUARTER), set()).add(key.value)
    return found
