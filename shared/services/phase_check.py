"""Whether the phases of an account hold what its usage hours say, event for event."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue, Meter
from shared.domain.dimension_cap import register_key
from shared.domain.events import Measurement
from shared.domain.quarters import floor_quarter
from shared.domain.reconciliation import (
    ZERO,
    PhaseTotals,
    Slot,
    adds_up,
    by_card,
    card_of,
    counted_by_card,
    cut_quarters,
    gaps,
    holds,
    holds_record,
    in_flight,
    minus,
    phases_of,
    slot_start,
    slots_of,
    total_of,
)
from shared.domain.records import Record, measured
from shared.domain.usage_hours import (
    HourKey,
    Quarter,
    UsageHour,
    floor_hour,
    quarter_of,
)
from shared.services.card_values import CardValues
from shared.services.event_list import EventIndex
from shared.services.ingest import MAX_LATENESS
from shared.services.looks import (
    MAX_CANDIDATES,
    MAX_UNKNOWN,
    Look,
    Missing,
    difference,
    missing_readings,
    name_missing,
    readings_of,
    records_of,
    slot_text,
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
        expected = self.expected(look, values, settled, now)
        if expected is None or not self._stands_still(look, phase):
            look.unsettled = True
            return
        mine = [m for m in look.missing.values() if holds_record(phase.phase, m.record)]
        lacks = (replace(m.record, measurements=m.from_hours) for m in mine)
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
        if not gap and not mine and not look.account.stale:
            look.findings += values.differing(dict(enumerate(phase.totals)))
        if names is None:
            cards = phase.phase.plan_in(look.terms.catalogue).rate_cards
            for index, each in gap.items():
                place = f"phase {phase.phase.number}, meter {cards[index].meter}"
                look.findings.append(f"{place}: {difference(each)}")

    def expected(
        self, look: Look, values: CardValues, settled: datetime, now: datetime
    ) -> dict[int, Quarter] | None:
        """What each rate card should have counted by the usage hours; None while some are written.

        `values` takes what the phase's marks and distinct values come to.
        Where a quarter's totals do not tell that, the raw events that it holds do: a boundary cuts
        it, or it is over the cap of dimension values and these decide on the rate card.
        """
        phase, catalogue, customer = values.phase, values.catalogue, look.account.customer
        plan = phase.plan_in(catalogue)
        start, cut = _first_usage(phase), cut_quarters(phase)
        cards: dict[int, Quarter] = {}
        unclear: dict[Slot, Quarter] = {}
        for meter in dict.fromkeys(rate.meter for rate in plan.rate_cards):
            # Values before hours, so that no value is newer than the hours that are judged.
            self._take_values(values, customer, catalogue.meters[meter], cut)
            narrow = any(rate.where for rate in plan.rate_cards if rate.meter == meter)
            for hour in self._usage(meter, customer, start, phase.end):
                if in_flight(hour.checkpoints, look.account.checkpoints, int(now.timestamp())):
                    return None
                index = _card(phase, hour.key, catalogue)
                for slot, quarter in slots_of([hour]).items():
                    at = slot_start(slot)
                    if at in cut or (hour.key.other and narrow and holds(phase, at)):
                        unclear[slot] = quarter
                    elif index is not None and holds(phase, at):
                        own = (
                            quarter
                            if adds_up(catalogue.meters[meter].aggregation)
                            else (replace(quarter, value=ZERO.value))
                        )
                        cards[index] = cards.get(index, ZERO).merged(own)
                        values.quarter(index, quarter)
        held = self._held_records(look, phase, unclear, settled)
        if held is None:
            return None
        values.records(held)
        for index, own in by_card(phase, held, catalogue).items():
            cards[index] = cards.get(index, ZERO).merged(own)
        unbilled = self._unbilled_asides(look, phase)
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

    def _held_records(
        self, look: Look, phase: Phase, slots: Mapping[Slot, Quarter], settled: datetime
    ) -> list[Record] | None:
        """The phase's raw events that usage hours hold in the slots; None if they cannot be told.

        What the slots lack is left out, however young it is or whichever day is judged: it is on
        its way, or it is missing and named when its own hour is judged.
        """
        capped = {register_key(key) for key, _ in slots if key.dimensions or key.other}
        registers = self.store.registers(capped)
        by_hour: dict[datetime, list[Slot]] = {}
        for slot in slots:
            by_hour.setdefault(slot[0].hour, []).append(slot)
        found: list[Record] = []
        for _, mine in sorted(by_hour.items()):
            for slot, readings in readings_of(self.raw, look, registers, mine).items():
                stored = total_of(quarter_of(measurement) for _, measurement in readings)
                gap = minus(stored, slots[slot])
                # As long as none of it is settled, what is lacking is on its way.
                young = all(record.event.received_at >= settled for record, _ in readings)
                missing = missing_readings(readings, gap, quick=young)
                if missing is None:
                    if all(record.event.received_at < settled for record, _ in readings):
                        look.findings.append(f"{slot_text(slot)}: {difference(gap)}")
                    return None
                lacks = {record.event.key for record, _ in missing}
                found += (
                    replace(record, measurements=(measurement,))
                    for record, measurement in readings
                    if record.event.key not in lacks and holds_record(phase, record)
                )
        return found

    def _usage(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Iterator[UsageHour]:
        """What was counted live in [start, end), hardly more at once than a week has."""
        start, step = floor_hour(start), WEEK
        while start < end:
            until = min(start + step, end)
            hours = self.store.usage_between(meter, customer, start, until)
            yield from (hour for hour in hours if not hour.key.backfilled)
            # Before a customer's first phase there is mostly nothing, for more than a year.
            start, step = until, WEEK if hours else min(2 * step, 8 * WEEK)

    def _unbilled_asides(self, look: Look, phase: Phase) -> dict[int, Quarter]:
        """What usage hours have and the account lacks of records that were set aside."""
        records = []
        for key, kept in look.aside.items():
            if "account" not in kept.not_applied or EVERY_METER in kept.not_applied:
                continue
            event = self.events.get(kept.customer, key)
            if event is None:
                continue
            record = measured(event, 0, look.terms.catalogue)
            if holds_record(phase, record):
                records.append(replace(record, measurements=tuple(look.applied(record))))
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
        gap was lost in between. Where it has some of that all the same, or all, the rest is named:
        a pass may have repaired the account before it came to the hours.
        """
        rest = gaps(gap, by_card(phase.phase, mine, look.terms.catalogue))
        known = {record.event.key for record in mine}
        others = self._name_unbilled(look, phase, rest, settled, known)
        if others is not None:
            return [*mine, *others]
        had = _had(phase.phase, mine, rest, look.terms.catalogue)
        if had:
            return [record for record in mine if record.event.key not in had]
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
        found = name_missing(candidates, total_of(gap.values()))
        if found and by_card(phase.phase, found, catalogue) == gap:
            return found
        return None


def _had(
    phase: Phase, records: Sequence[Record], gap: Mapping[int, Quarter], catalogue: Catalogue
) -> AbstractSet[str]:
    """The keys of those of the records that the account has; none if they cannot be told."""
    surplus = {card: minus(ZERO, each) for card, each in gap.items()}
    counted = [(record, by_card(phase, [record], catalogue)) for record in records]
    candidates = [(record, record, total_of(own.values())) for record, own in counted if own]
    found = name_missing(candidates, total_of(surplus.values()))
    if not found or by_card(phase, found, catalogue) != surplus:
        return frozenset()
    return {record.event.key for record in found}


def _card(phase: Phase, hour: HourKey, catalogue: Catalogue) -> int | None:
    """Which rate card of the phase takes the usage of the hour, if any does."""
    sample = Measurement(hour.meter, ZERO.value, dict(hour.dimensions), 0)
    return card_of(phase, sample, catalogue)


def _first_usage(phase: Phase) -> datetime:
    if phase.number == 1:
        return phase.start - MAX_UNKNOWN - MAX_LATENESS - HOUR
    return floor_quarter(phase.start)
