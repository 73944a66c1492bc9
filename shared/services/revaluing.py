"""Revaluing: what is left of maxima, latest and distinct values when events were taken back.

A reversal takes count, sum and checksum back by itself, and the account notes it as stale. What no
difference takes back is then counted anew from the raw events that were applied: first what usage
hours keep of the quarter of an hour, then, from the usage hours of the phase, what the account
counted. It gives back what the price falls by, and forgets the note. Each write is safe to repeat.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.accounts import ClosedPhase, Phase
from shared.domain.distinct import Seen, sighting
from shared.domain.events import EPOCH, UsageEvent, keeps_value, time_text
from shared.domain.folding import charge
from shared.domain.hour_writes import in_parts
from shared.domain.kept_values import KeptValues
from shared.domain.ledger import entry_between
from shared.domain.money import EXACT
from shared.domain.placing import Claim, find_phase
from shared.domain.quarters import QUARTER
from shared.domain.reconciliation import (
    ZERO,
    Slot,
    card_of,
    in_flight,
    minus,
    phases_of,
    slot_of,
    slot_start,
    slots_of,
    total_of,
)
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, fenced, floor_hour, quarter_of
from shared.services.card_values import CardValues
from shared.services.changes import (
    DropClaim,
    DropValues,
    PutLedgerEntry,
    SaveAccount,
    SaveUsageHour,
)
from shared.services.journal import usage_cause
from shared.services.looks import Look, Reading, missing_readings, records_of
from shared.services.recounting import Recounting
from shared.services.setting_aside import grants_for
from shared.services.store import BillingStore, Clock

# Claims take an item each in the account's transaction, which holds a hundred.
MAX_CLAIMS = 90


@dataclass(frozen=True, slots=True)
class Card:
    """A rate card by its place in the plan of a phase, which may be closed."""

    place: tuple[Phase, ClosedPhase | None]
    index: int


@dataclass(frozen=True, slots=True)
class Applied:
    """What was applied of one quarter of an hour to meters that keep marks or distinct values."""

    hours: Mapping[HourKey, UsageHour]
    readings: Mapping[Slot, Sequence[Reading]]


@dataclass(frozen=True, slots=True)
class Revaluing:
    """Counts anew what is stale."""

    store: BillingStore
    recounting: Recounting
    clock: Clock

    def revalue(self, customer: str) -> bool:
        """Counts every stale quarter of the customer anew; whether nothing stale is left.

        Where not, something of a quarter is still on its way: try again later. Others do not wait.
        Raises: VersionConflictError if anything was written meanwhile; UnavailableError.
        """
        waiting = set[datetime]()
        while True:
            look = self.recounting.read(customer)
            ready = look.account.stale.keys() - waiting
            if not ready:
                return not look.account.stale
            at = min(ready)
            applied = self._applied(look, at)
            if applied is None:
                waiting.add(at)
                continue
            self._mend_hours(applied)
            if not self._mend_account(look, at, applied):
                waiting.add(at)

    def _applied(self, look: Look, at: datetime) -> Applied | None:
        """What the usage hours hold of the quarter, event by event.

        None if that cannot be told, as something is still on its way to the hours, to the account
        or to the index of raw events.
        """
        customer, hour = look.account.customer, floor_hour(at)
        now_seconds = int(self.clock.now().timestamp())
        hours: dict[HourKey, UsageHour] = {}
        span = (customer, hour, hour + 4 * QUARTER)
        for meter in look.terms.catalogue.meters.values():
            live = (h for h in self.store.usage_between(meter.key, *span) if not h.key.backfilled)
            hours |= {each.key: each for each in live}
            if meter.dimensions:
                look.registers |= self.store.registers_between(meter.key, *span)
        account = look.account.checkpoints
        if any(in_flight(each.checkpoints, account, now_seconds) for each in hours.values()):
            return None
        readings: dict[Slot, list[Reading]] = {}
        for record in records_of(self.recounting.raw, look, at, at + QUARTER):
            for measurement in look.applied(record):
                if keeps_value(measurement):
                    slot = slot_of(record, measurement, look.registers)
                    readings.setdefault(slot, []).append((record, measurement))
        found = {s: q for s, q in slots_of(hours.values()).items() if slot_start(s) == at}
        applied = {slot: _applied_of(own, found.get(slot, ZERO)) for slot, own in readings.items()}
        complete = {slot: own for slot, own in applied.items() if own is not None}
        there = {r.event.key for own in complete.values() for r, _ in own}
        if look.findings or len(complete) < len(applied) or not look.account.stale[at] <= there:
            return None
        return Applied(hours, complete)

    def _mend_hours(self, applied: Applied) -> None:
        """Keeps in each usage hour of the quarter what is in force.

        The hours are fenced: a write that was computed before this fails.
        """
        now_seconds = int(self.clock.now().timestamp())
        hours = dict(applied.hours)
        for (key, index), readings in applied.readings.items():
            hour = hours.get(key, UsageHour(key))
            kept = KeptValues()
            kept.add(measurement for _, measurement in readings)
            gone = self._gone(key, readings, kept)
            quarters = list(hour.quarters)
            if quarters[index].mark == kept.mark and not gone:
                continue
            quarters[index] = replace(quarters[index], mark=kept.mark)
            first, second, third, fourth = quarters
            after = replace(hour, quarters=(first, second, third, fourth))
            for values in in_parts(gone):
                after = fenced(after, now_seconds)
                drops = [DropValues(values)] if values else []
                self.store.commit([SaveUsageHour(hour, after), *drops])
                hour = after
            hours[key] = hour

    def _gone(self, hour: HourKey, readings: Sequence[Reading], kept: KeptValues) -> Seen:
        """The values of the quarter that are still kept and that no event has any more."""
        gone = {
            seen.key: seen.quarters
            for record, m in readings
            if m.distinct is not None and m.distinct not in kept.values
            for seen in [sighting(hour, record.event.occurred_at, m.distinct)]
        }
        stored = self.store.seen(gone) if gone else {}
        return {key: gone[key] for key, quarters in stored.items() if gone[key] <= quarters}

    def _mend_account(self, look: Look, at: datetime, applied: Applied) -> bool:
        """Lowers what rate cards counted to what is left; False if that cannot be told yet.

        One commit does so for as many reversals as it can take.
        """
        before, stale = look.account, look.account.stale[at]
        readings = [r for own in applied.readings.values() for r in own if r[0].event.key in stale]
        taken = _some(readings)
        reversals = {record.event.key: _reversal(record.event, applied) for record, _ in taken}
        grants = grants_for(self.store, before, reversals.values())
        terms = replace(look.terms, grants=grants)
        account, dropped = before, list[Claim]()
        for card, own in _by_card(look, taken).items():
            left = self._left(look, card)
            if left is None:
                return False
            gone = self._unclaimed(before.customer, card, own, left)
            fall = Decimal(-len(gone)) if own[0][1].distinct else _fall(look, card, left)
            record, measurement = max(own, key=lambda reading: reading[0].event.received_at)
            change = replace(measurement, quantity=fall, count=0, checksum=0, aggregation="sum")
            if fall:
                account = charge(account, card.place, change, reversals[record.event.key], terms)
            dropped += gone
        rest = stale - {record.event.key for record, _ in taken}
        others = {quarter: keys for quarter, keys in before.stale.items() if quarter != at}
        kept = {**others, at: rest} if rest else others
        after = replace(account, version=before.version + 1, stale=kept)
        cause = {**usage_cause(before, after), "revalued": time_text(at)}
        entry = entry_between(before, after, self.clock.now(), "usage", cause)
        drops = (DropClaim(before.customer, claim) for claim in dropped)
        self.store.commit([SaveAccount(after, before.version), PutLedgerEntry(entry), *drops])
        return True

    def _left(self, look: Look, card: Card) -> CardValues | None:
        """What the usage hours of the card's phase hold; None while some are being written."""
        values = CardValues(card.place[0], look.terms.catalogue)
        counted = self.recounting.phases.expected(look, values, EPOCH, self.clock.now())
        return None if counted is None else values

    def _unclaimed(
        self, customer: str, card: Card, readings: Sequence[Reading], left: CardValues
    ) -> set[Claim]:
        """The claims of the card to values that no event of the phase has any more."""
        values = {m.distinct for _, m in readings if m.distinct} - left.distinct(card.index)
        claims = {Claim(card.place[0].number, card.index, value) for value in values}
        return self.store.claimed(customer, claims) if claims else set()


def _applied_of(readings: Sequence[Reading], quarter: Quarter) -> list[Reading] | None:
    """Those of the readings that are in the quarter; None if they cannot be told.

    Nor can they while an event that was corrected is not applied with all its entries: what comes
    later would bring back what was taken back.
    """
    lacking = minus(total_of(quarter_of(m) for _, m in readings), quarter)
    # What was lost is for reconciliation to find and repair, which tries this again.
    missing = missing_readings(readings, lacking, quick=True)
    if missing is None:
        return None
    corrected = {r.event.corrected_key for r, _ in readings if r.event.correction is not None}
    if any(record.event.corrected_key in corrected for record, _ in missing):
        return None
    lacks = {record.event.key for record, _ in missing}
    return [reading for reading in readings if reading[0].event.key not in lacks]


def _reversal(stale: UsageEvent, applied: Applied) -> UsageEvent:
    """What takes the stale event back: as a rule itself; of one repaired after it, its reversal."""
    every = (record.event for own in applied.readings.values() for record, _ in own)
    mine = [e for e in every if e.corrected_key == stale.corrected_key and e.reversed_key]
    return stale if stale.reversed_key or not mine else mine[-1]


def _some(readings: Sequence[Reading]) -> list[Reading]:
    """As many reversals, each with all that it takes back, as one transaction can take."""
    by_event: dict[str, list[Reading]] = {}
    for reading in readings:
        by_event.setdefault(reading[0].event.key, []).append(reading)
    taken: list[Reading] = []
    for own in by_event.values():
        if taken and len(taken) + len(own) > MAX_CLAIMS:
            break
        taken += own
    return taken


def _by_card(look: Look, readings: Sequence[Reading]) -> dict[Card, list[Reading]]:
    """The readings that rate cards counted."""
    found: dict[Card, list[Reading]] = {}
    for record, measurement in readings:
        place = find_phase(look.account, look.terms.closed, record.event.occurred_at)
        index = card_of(place[0], measurement, look.terms.catalogue)
        if index is not None:
            found.setdefault(Card(place, index), []).append((record, measurement))
    return found


def _fall(look: Look, card: Card, left: CardValues) -> Decimal:
    """By how much less the greatest value that is left is than the one that was counted."""
    [counted] = (
        phase.totals[card.index].value
        for phase in phases_of(look.account, look.terms.closed)
        if phase.phase.number == card.place[0].number
    )
    return min(ZERO.value, EXACT.subtract(left.greatest(card.index), counted))
