"""Whether the phases of an account hold what its usage hours say, event for event."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue, Meter
from shared.domain.dimension_cap import register_key
from shared.domain.events import Measurement
from shared.domain.hour_writes import Metering
from shared.domain.reconciliation import (
    ZERO,
    PhaseTotals,
    adds_up,
    by_card,
    card_of,
    counted_by_card,
    cut_quarters,
    floor_quarter,
    gaps,
    holds,
    holds_record,
    in_flight,
    phases_of,
    slot_start,
    slots_of,
    total_of,
)
from shared.domain.records import Record, measured
from shared.domain.usage_hours import QUARTER, HourKey, Quarter, UsageHour, floor_hour
from shared.services.card_values import CardValues
from shared.services.event_list import EventIndex
from shared.services.ingest import MAX_LATENESS
from shared.services.looks import (
    MAX_CANDIDATES,
    Look,
    Missing,
    difference,
    name_missing,
    records_of,
)
from shared.services.reconciliation import RawEvents
from shared.services.setting_aside import EVERY_METER
from shared.services.store import BillingStore

HOUR = timedelta(hours=1)
WEEK = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class PhaseCheck:
    """Compares one phase at a time."""

    store: BillingStore
    raw: RawEvents
    events: EventIndex

    def judge(self, look: Look, phase: PhaseTotals, settled: datetime, now: datetime) -> None:
        """Compares the phase's totals with its usage hours, and names what the account lacks."""
        values = CardValues(phase.phase, look.terms.catalogue)
        expected = self._expected(look, phase.phase, settled, now, values)
        if expected is None or not self._stands_still(look, phase):
            look.unsettled = True
            return
        mine = [m for m in look.missing.values() if holds_record(phase.phase, m.record)]
        cut = cut_quarters(phase.phase)
        uncut = [m for m in mine if floor_quarter(m.record.event.occurred_at) not in cut]
        lacks = (_lacking(m, values.over) for m in uncut)
        lacking = by_card(phase.phase, lacks, look.terms.catalogue)
        total = {
            c: expected.get(c, ZERO).merged(lacking.get(c, ZERO)) for c in {*expected, *lacking}
        }
        gap = gaps(total, counted_by_card(phase, look.terms.catalogue))
        names = self._name(look, phase, gap, [m.record for m in mine], settled)
        for m in mine:
            look.missing[m.record.event.key] = Missing(m.record, m.from_hours, from_account=False)
        for record in names or ():
            known = look.missing.get(record.event.key)
            from_hours = known.from_hours if known else ()
            look.missing[record.event.key] = Missing(record, from_hours, from_account=True)
        if not gap and not mine:
            look.findings += values.differing(dict(enumerate(phase.totals)))
        if names is None:
            cards = phase.phase.plan_in(look.terms.catalogue).rate_cards
            for index, each in gap.items():
                where = f"phase {phase.phase.number}, meter {cards[index].meter}"
                look.findings.append(f"{where}: {difference(each)}")

    def _expected(
        self, look: Look, phase: Phase, settled: datetime, now: datetime, values: CardValues
    ) -> dict[int, Quarter] | None:
        """What each rate card should have counted by the usage hours; None while some are written.

        Raw events stand in for the quarters that a boundary cuts, and for usage over the cap of
        dimension values where these decide on the rate card.
        """
        catalogue, customer = look.terms.catalogue, look.account.customer
        plan = phase.plan_in(catalogue)
        start, cut = _first_usage(phase), cut_quarters(phase)
        cards: dict[int, Quarter] = {}
        over: set[HourKey] = set()
        for meter in dict.fromkeys(rate.meter for rate in plan.rate_cards):
            # Values before hours, so that no value is newer than the hours that are judged.
            self._take_values(values, customer, catalogue.meters[meter], cut)
            narrow = any(rate.where for rate in plan.rate_cards if rate.meter == meter)
            for hour in self._usage(meter, customer, start, phase.end):
                if in_flight(hour.checkpoints, look.account.checkpoints, int(now.timestamp())):
                    return None
                if hour.key.other and narrow:
                    over.add(hour.key)
                    continue
                index = _card(phase, hour.key, catalogue)
                for slot, quarter in slots_of([hour]).items():
                    at = slot_start(slot)
                    if index is not None and at not in cut and holds(phase, at):
                        own = (
                            quarter
                            if adds_up(catalogue.meters[meter].aggregation)
                            else (replace(quarter, value=ZERO.value))
                        )
                        cards[index] = cards.get(index, ZERO).merged(own)
                        values.quarter(index, quarter)
        stand_in = self._stand_in(look, values, cut, over, settled)
        if stand_in is None:
            return None
        values.records(stand_in)
        for index, own in by_card(phase, stand_in, catalogue).items():
            cards[index] = cards.get(index, ZERO).merged(own)
        unbilled = self._unbilled_asides(look, values, cut)
        values.unknown |= set(unbilled)
        return gaps(cards, unbilled)

    def _take_values(
        self, values: CardValues, customer: str, meter: Meter, cut: set[datetime]
    ) -> None:
        """The distinct values of the phase's uncut quarters; none over the cap, which raw tells."""
        phase = values.phase
        if meter.aggregation != "unique_count":
            return
        plan = phase.plan_in(values.catalogue)
        narrow = any(rate.where for rate in plan.rate_cards if rate.meter == meter.key)
        start = _first_usage(phase)
        for value in self.store.values_between(meter.key, customer, start, phase.end):
            if value.key.backfilled:
                continue
            place = HourKey(customer, meter.key, value.key.day, value.key.dimensions)
            index = _card(phase, place, values.catalogue)
            own = (at not in cut and holds(phase, at) for at in value.instants())
            if index is not None and any(own) and not (value.key.other and narrow):
                values.value(index, value.key.value)

    def _stand_in(
        self,
        look: Look,
        values: CardValues,
        cut: set[datetime],
        over: set[HourKey],
        settled: datetime,
    ) -> list[Record] | None:
        """The raw events of cut quarters and of usage over the cap; None if some are too young."""
        phase = values.phase
        found: list[Record] = []
        for at in cut:
            records = [r for r in records_of(self.raw, look, at, at + QUARTER) if look.billed(r)]
            if any(r.event.received_at >= settled for r in records):
                return None
            found += (r for r in records if holds_record(phase, r))
        registers = self.store.registers(register_key(hour) for hour in over) if over else {}
        metering = Metering({}, registers)
        for hour in sorted({key.hour for key in over}):
            for record in records_of(self.raw, look, hour, hour + HOUR):
                if record.event.received_at >= settled:
                    return None
                measured_over = tuple(
                    m for m in record.measurements if metering.place(record, m) in over
                )
                uncut = floor_quarter(record.event.occurred_at) not in cut
                if uncut and holds_record(phase, record):
                    values.over |= {(record.event.key, m.meter) for m in measured_over}
                    if look.billed(record):
                        found.append(replace(record, measurements=measured_over))
        return found

    def _usage(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Iterator[UsageHour]:
        """What was counted live in [start, end), never more at once than a week has."""
        start = floor_hour(start)
        while start < end:
            until = min(start + WEEK, end)
            hours = self.store.usage_between(meter, customer, start, until)
            yield from (hour for hour in hours if not hour.key.backfilled)
            start = until

    def _unbilled_asides(
        self, look: Look, values: CardValues, cut: set[datetime]
    ) -> dict[int, Quarter]:
        """What usage hours have and the account lacks of records that were set aside."""
        phase, records = values.phase, []
        for key, kept in look.aside.items():
            if "account" not in kept.not_applied or EVERY_METER in kept.not_applied:
                continue
            event = self.events.get(kept.customer, key)
            if event is None:
                continue
            record = measured(event, 0, look.terms.catalogue)
            if holds_record(phase, record) and floor_quarter(event.occurred_at) not in cut:
                kept_apart = (m for m in look.applied(record) if (key, m.meter) not in values.over)
                records.append(Record(event, tuple(kept_apart), 0))
        return by_card(phase, records, look.terms.catalogue)

    def _stands_still(self, look: Look, phase: PhaseTotals) -> bool:
        """Whether the phase is, after its usage hours were read, as it was before."""
        account = self.store.account(look.account.customer)
        if account is None:
            return False
        if account.version == look.account.version:
            return True
        return any(p == phase for p in phases_of(account, look.terms.closed))

    def _name(
        self,
        look: Look,
        phase: PhaseTotals,
        gap: Mapping[int, Quarter],
        mine: Sequence[Record],
        settled: datetime,
    ) -> Sequence[Record] | None:
        """The events that the account lacks; None if they cannot be told.

        Usage hours are written before the account, so it lacks what they lack; what is left of the
        gap was lost in between. Only where raw events stood in for hours may it be otherwise.
        """
        rest = gaps(gap, by_card(phase.phase, mine, look.terms.catalogue))
        known = {record.event.key for record in mine}
        others = self._name_unbilled(look, phase, rest, settled, known)
        if others is not None:
            return [*mine, *others]
        return self._name_unbilled(look, phase, gap, settled, frozenset()) if mine else None

    def _name_unbilled(
        self,
        look: Look,
        phase: PhaseTotals,
        gap: Mapping[int, Quarter],
        settled: datetime,
        known: AbstractSet[str],
    ) -> Sequence[Record] | None:
        """The events that make the gap, of which the account holds only totals; None if unknown.

        Those whose keys are known already are not among them.
        """
        if not gap:
            return ()
        catalogue, number = look.terms.catalogue, phase.phase.number
        start = _first_usage(phase.phase)
        named = self.store.late_usage(look.account.customer, number) if phase.closed else {}
        candidates = []
        for record in records_of(self.raw, look, start, phase.phase.end):
            event = record.event
            told = event.key in named or event.key in known
            if event.received_at >= settled or told or not look.billed(record):
                continue
            own = by_card(phase.phase, [record], catalogue)
            if own and holds_record(phase.phase, record):
                candidates.append((record, record, total_of(own.values())))
            if len(candidates) > MAX_CANDIDATES:
                return None
        # Of a quarter that a boundary cuts, raw events are compared: what it lost shows here alone.
        cut = cut_quarters(phase.phase)
        near = [c for c in candidates if floor_quarter(c[0].event.occurred_at) in cut]
        for some in (near, candidates):
            found = name_missing(some, total_of(gap.values()))
            if found and by_card(phase.phase, found, catalogue) == gap:
                return found
        return None


def _lacking(missing: Missing, over: set[tuple[str, str]]) -> Record:
    """The record with only what usage hours lack, and no raw event stood in for."""
    event = missing.record.event
    return Record(
        event, tuple(m for m in missing.from_hours if (event.key, m.meter) not in over), 0
    )


def _card(phase: Phase, hour: HourKey, catalogue: Catalogue) -> int | None:
    """Which rate card of the phase takes the usage of the hour, if any does."""
    sample = Measurement(hour.meter, ZERO.value, dict(hour.dimensions), 0)
    return card_of(phase, sample, catalogue)


def _first_usage(phase: Phase) -> datetime:
    if phase.number == 1:
        return phase.start - MAX_LATENESS - HOUR
    return floor_quarter(phase.start)
