"""What a look at one customer's numbers found."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from shared.domain.accounts import Account
from shared.domain.dimension_cap import RegisterKey, Registers
from shared.domain.errors import MeterlineError
from shared.domain.events import Measurement, time_text, utc_text
from shared.domain.folding import Terms
from shared.domain.missing import find_missing
from shared.domain.quarters import QUARTER
from shared.domain.reconciliation import ZERO, Slot, slot_of, slot_start
from shared.domain.records import Record, measured
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, quarter_of
from shared.services.reconciliation import RawEvents
from shared.services.setting_aside import EVERY_METER, usage_of
from shared.services.store import QuarantinedRecord

Each = TypeVar("Each")
IsOver = Callable[[], bool]  # whether time is up
# From an instant to before another.
Span = tuple[datetime, datetime]
# A raw event, and what one meter reads of it.
Reading = tuple[Record, Measurement]

# How long a stream may have lost a customer's events before one came through and made its profile.
MAX_UNKNOWN = timedelta(days=365)
# As many as a function's memory holds with room to spare.
MAX_CANDIDATES = 200_000


class OutOfTimeError(Exception):
    """Time was up before a look was through: it tells nothing."""


@dataclass(frozen=True, slots=True)
class Missing:
    """A raw event, and what lacks it: usage hours of some of its measurements, the account."""

    record: Record
    from_hours: tuple[Measurement, ...]
    from_account: bool


@dataclass(slots=True)
class Look:
    """One customer's numbers as read once, and what is wrong with them.

    `hours` and `registers` are those of `spans`, which were read. `young` are the hours that had
    events too young to judge by, `corrected` the keys of events that have corrections. `anew` are
    quarters of an hour whose reversals took values back that are still kept. `unsettled`: writes
    were under way, so that hours and account could not be compared. `items` counts what was read of
    each meter. `is_over` ends it while it reads.
    """

    account: Account
    terms: Terms
    aside: Mapping[str, QuarantinedRecord]
    is_over: IsOver = lambda: False
    hours: dict[HourKey, UsageHour] = field(default_factory=dict)
    registers: dict[RegisterKey, frozenset[bytes]] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    missing: dict[str, Missing] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)
    young: set[datetime] = field(default_factory=set)
    corrected: set[str] = field(default_factory=set)
    anew: dict[datetime, set[str]] = field(default_factory=dict)
    unsettled: bool = False
    items: Counter[str] = field(default_factory=Counter)

    @property
    def right(self) -> bool:
        """Whether nothing is missing, nothing to be counted anew, and nothing contradicts."""
        return not self.missing and not self.anew and not self.findings

    def applied(self, record: Record) -> Iterator[Measurement]:
        """The measurements of the record that its usage hours should have."""
        kept = self.aside.get(record.event.key)
        for measurement in record.measurements:
            lacking = {EVERY_METER, usage_of(measurement.meter)}
            if kept is None or lacking.isdisjoint(kept.not_applied):
                yield measurement

    def billed(self, record: Record) -> bool:
        """Whether the account should have the record."""
        kept = self.aside.get(record.event.key)
        return kept is None or "account" not in kept.not_applied


def records_of(
    raw_events: RawEvents, look: Look, start: datetime, end: datetime
) -> Iterator[Record]:
    """The raw events of the span with what their meters read; others are in quarantine.

    Raises: OutOfTimeError.
    """
    for raw in raw_events.between(look.account.customer, start, end):
        if look.is_over():
            raise OutOfTimeError
        if raw.event is None:
            if raw.key not in look.aside:
                look.findings.append(f"event {raw.key} cannot be read and is not set aside")
            continue
        if raw.event.correction is not None:
            look.corrected.add(raw.event.corrected_key)
        try:
            record = measured(raw.event, 0, look.terms.catalogue)
        except MeterlineError as error:
            if raw.key not in look.aside:
                look.findings.append(f"event {raw.key} is not set aside: {error.detail}")
            continue
        yield record


def readings_of(
    raw_events: RawEvents, look: Look, registers: Registers, slots: Collection[Slot]
) -> dict[Slot, list[Reading]]:
    """What raw events add to each of the slots, which are of one hour: it is read at once."""
    starts = [slot_start(slot) for slot in slots]
    found: dict[Slot, list[Reading]] = {slot: [] for slot in slots}
    for record in records_of(raw_events, look, min(starts), max(starts) + QUARTER):
        for measurement in look.applied(record):
            slot = slot_of(record, measurement, registers)
            if slot in found:
                found[slot].append((record, measurement))
    return found


def missing_readings(
    readings: Sequence[Reading], gap: Quarter, *, quick: bool = False
) -> tuple[Reading, ...] | None:
    """Those of a slot's readings that it lacks, or None if they cannot be told."""
    if gap == ZERO:
        return ()
    own = [(each, quarter_of(replace(each[1], mark=None))) for each in readings]
    return name_missing([(each[0], each, quarter) for each, quarter in own], gap, quick=quick)


def name_missing(
    candidates: Sequence[tuple[Record, Each, Quarter]], gap: Quarter, *, quick: bool = False
) -> tuple[Each, ...] | None:
    """Those of the candidates that make the gap, or None if they cannot be told.

    An outage takes a run of what was received; where a busy customer's items are in two shards,
    and only one was lost, a range of keys. Of too many candidates, none are told. What is only on
    its way is a run of what was received: `quick` finds that.
    """
    if len(candidates) > MAX_CANDIDATES:
        return None
    for order in (_receipt, _key):
        ordered = sorted(candidates, key=lambda candidate: order(candidate[0]))
        found = find_missing([(each, own) for _, each, own in ordered], gap, quick=quick)
        if found is not None:
            return found
    return None


def _receipt(record: Record) -> tuple[str, str]:
    return utc_text(record.event.received_at), record.event.key


def _key(record: Record) -> tuple[str, str]:
    return record.event.key, ""


def slot_text(slot: Slot) -> str:
    """Where usage differs, in words."""
    return f"usage of {slot[0].meter} at {time_text(slot_start(slot))}"


def difference(gap: Quarter) -> str:
    """A gap that nothing explains, in words."""
    if gap.count < 0:
        return f"{-gap.count} more were counted than there are raw events"
    if gap.count == 0:
        return "as many were counted as there are raw events, but not the same"
    return f"{gap.count} raw events were not counted, and which ones cannot be told"
