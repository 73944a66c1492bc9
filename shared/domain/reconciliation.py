"""Recounting: what the raw events say against what was counted of them.

Everything is compared as tallies (count, sum, checksum). Where fewer events were counted than there
are, those that are missing are found by the checksum, so that they can be applied one by one, as
they would have been by the stream. Everything else that differs is a contradiction, which is told
and never repaired.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.catalogue import Aggregation, Catalogue
from shared.domain.checkpoints import LIFETIME_SECONDS, Checkpoints, shard_hash
from shared.domain.dimension_cap import Registers, placed
from shared.domain.events import CHECKSUM_MODULUS, Measurement
from shared.domain.money import EXACT
from shared.domain.prices import can_fall
from shared.domain.pricing import price_nanos
from shared.domain.quarters import QUARTER, floor_quarter
from shared.domain.rating import add_totals, priced_usage, rate_card_index
from shared.domain.records import Record
from shared.domain.usage_hours import REDRIVE, HourKey, Quarter, UsageHour, hour_key

Each = TypeVar("Each")

RECONCILE = "reconcile"  # under this name repairs step an item's checkpoints
ZERO = Quarter()

# A quarter of an hour of one usage hour item.
Slot = tuple[HourKey, int]


@dataclass(frozen=True, slots=True)
class PhaseTotals:
    """One phase with everything that was billed or is to be billed of it, late usage included.

    `settled`: all of it was billed, prices that can fall among it.
    """

    phase: Phase
    totals: tuple[Totals, ...]
    closed: bool
    settled: bool = False


def minus(a: Quarter, b: Quarter) -> Quarter:
    """The difference of what adds up: count, sum and checksum."""
    checksum = (a.checksum - b.checksum) % CHECKSUM_MODULUS
    return Quarter(a.count - b.count, EXACT.subtract(a.value, b.value), checksum)


def total_of(quarters: Iterable[Quarter]) -> Quarter:
    """The sum of them all."""
    total = ZERO
    for quarter in quarters:
        total = total.merged(quarter)
    return total


def slots_of(hours: Iterable[UsageHour]) -> dict[Slot, Quarter]:
    """The quarters that hold anything."""
    return {
        (hour.key, index): quarter
        for hour in hours
        for index, quarter in enumerate(hour.quarters)
        if quarter != ZERO
    }


def slot_of(record: Record, measurement: Measurement, registers: Registers) -> Slot:
    """The quarter that takes the measurement."""
    at = record.event.occurred_at
    own = hour_key(record.event.customer, measurement, at)
    return placed(own, registers), (at - own.hour) // QUARTER


def slot_start(slot: Slot) -> datetime:
    """The instant that the quarter starts at."""
    key, index = slot
    return key.hour + index * QUARTER


def gaps(expected: Mapping[Each, Quarter], found: Mapping[Each, Quarter]) -> dict[Each, Quarter]:
    """Where the two differ, and by how much: expected less found."""
    keys = dict.fromkeys([*expected, *found])
    differences = {key: minus(expected.get(key, ZERO), found.get(key, ZERO)) for key in keys}
    return {key: gap for key, gap in differences.items() if gap != ZERO}


def phases_of(account: Account, closed: Sequence[ClosedPhase]) -> Iterator[PhaseTotals]:
    """Every phase that is kept, closed ones with what came late."""
    for frozen in closed:
        late = account.late.get(frozen.phase.number)
        billed = tuple(map(add_totals, frozen.billed, late)) if late else frozen.billed
        yield PhaseTotals(frozen.phase, billed, closed=True, settled=not late)
    for phase in account.phases:
        yield PhaseTotals(phase, phase.totals, closed=False)


def holds(phase: Phase, at: datetime) -> bool:
    """Whether usage at the instant is the phase's; the first takes what came before it, too."""
    return at < phase.end and (phase.number == 1 or at >= phase.start)


def holds_record(phase: Phase, record: Record) -> bool:
    """Whether the record is usage of the phase."""
    return holds(phase, record.event.occurred_at)


def cut_quarters(phase: Phase) -> set[datetime]:
    """The quarters that belong to the phase in part; the first phase reaches back without end."""
    bounds = [phase.end] if phase.number == 1 else [phase.start, phase.end]
    return {floor_quarter(at) for at in bounds if floor_quarter(at) != at}


def card_of(phase: Phase, measurement: Measurement, catalogue: Catalogue) -> int | None:
    """Which rate card of the phase takes the measurement, if any does."""
    return rate_card_index(phase.plan_in(catalogue), measurement)


def adds_up(aggregation: Aggregation) -> bool:
    """Whether an account's value is the sum of its quarters'; where not, counts are compared."""
    return aggregation in ("count", "sum", "average")


def share_of(measurement: Measurement) -> Quarter:
    """What the measurement adds to a rate card, of what adds up."""
    value = measurement.quantity if adds_up(measurement.aggregation) else ZERO.value
    return Quarter(measurement.count, value, measurement.checksum)


def by_card(phase: Phase, records: Iterable[Record], catalogue: Catalogue) -> dict[int, Quarter]:
    """What the records add to each rate card of the phase that holds them."""
    cards: dict[int, Quarter] = {}
    for record in records:
        for measurement in record.measurements:
            index = card_of(phase, measurement, catalogue)
            if index is not None:
                cards[index] = cards.get(index, ZERO).merged(share_of(measurement))
    return {index: own for index, own in cards.items() if own != ZERO}


def counted_by_card(phase: PhaseTotals, catalogue: Catalogue) -> dict[int, Quarter]:
    """What the phase's totals say was counted, of what adds up."""
    plan = phase.phase.plan_in(catalogue)
    counted = {}
    for index, (rate, totals) in enumerate(zip(plan.rate_cards, phase.totals, strict=True)):
        summed = adds_up(catalogue.meters[rate.meter].aggregation)
        value = totals.value if summed else ZERO.value
        counted[index] = Quarter(totals.count, value, totals.checksum)
    return counted


def in_flight(hour: Checkpoints, account: Checkpoints, now_seconds: int) -> bool:
    """Whether the hour was written for records that the account has not taken yet."""
    oldest = now_seconds - LIFETIME_SECONDS
    for shard, position in hour.positions.items():
        if position.used_at_seconds < oldest or shard == shard_hash(REDRIVE):
            continue
        taken = account.positions.get(shard)
        if taken is None or taken.sequence < position.sequence:
            return True
    return False


def misrated(phase: PhaseTotals, catalogue: Catalogue) -> Iterator[str]:
    """What is wrong with the amounts of a phase, which its totals alone determine."""
    plan = phase.phase.plan_in(catalogue)
    for rate, totals in zip(plan.rate_cards, phase.totals, strict=True):
        if rate.price is None:
            continue
        waits = can_fall(rate.price, averaged=rate.averaged) and not phase.settled
        amount = totals.amount if waits else price_nanos(rate.price, priced_usage(rate, totals))
        where = f"phase {phase.phase.number}, meter {rate.meter}"
        if totals.amount != amount:
            yield f"{where}: {totals.amount} nanos are charged where the price is {amount}"
        if totals.drawn + totals.overage != totals.amount:
            yield f"{where}: drawn and overage do not make the amount"
