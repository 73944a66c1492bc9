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
from shared.domain.rating import add_totals, priced_usage, rate_card_index
from shared.domain.records import Record
from shared.domain.usage_hours import (
    QUARTER,
    REDRIVE,
    HourKey,
    Quarter,
    UsageHour,
    floor_hour,
    hour_key,
)

Each = TypeVar("Each")

RECONCILE = "reconcile"  # under this name repairs step an item's checkpoints
ZERO = Quarter()
# Up to so many candidates any choice is tried: 2^14 sums for each half.
MAX_FEW = 28

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


def find_missing(
    candidates: Sequence[tuple[Each, Quarter]], gap: Quarter
) -> tuple[Each, ...] | None:
    """The candidates that together make the gap, or None if they cannot be told.

    In whatever order they are given: a run of them, all but a run, one or two, all but one or two;
    of few candidates, any of them.
    """
    # One candidate may count several times, once for each meter, and reversals count down.
    counts = [own.count for _, own in candidates]
    least, most = (sum(min(n, 0) for n in counts), sum(max(n, 0) for n in counts))
    if gap == ZERO or not least <= gap.count <= most:
        return None
    found = _run(candidates, gap) or _pair(candidates, gap)
    if found is None:
        rest = minus(total_of(own for _, own in candidates), gap)
        others = _run(candidates, rest) or _pair(candidates, rest)
        if others is not None:
            chosen = set(others)
            found = tuple(i for i in range(len(candidates)) if i not in chosen)
    if found is None and len(candidates) <= MAX_FEW:
        found = _any(candidates, gap)
    return None if found is None else tuple(candidates[i][0] for i in found)


def _run(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """The neighbours that make the gap: a difference of two running sums is theirs."""
    running = [ZERO]
    for _, own in candidates:
        running.append(running[-1].merged(own))
    # The nearest end: a longer run would hold events and their reversals, which make nothing.
    ends: dict[tuple[int, int], int] = {}
    for first in reversed(range(len(running))):
        after = running[first].merged(gap)
        last = ends.get((after.count, after.checksum))
        if last is not None and running[last] == after:
            return tuple(range(first, last))
        ends[running[first].count, running[first].checksum] = first
    return None


def _pair(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """The one or two, anywhere, that make the gap."""
    seen: dict[int, int] = {}
    for index, (_, own) in enumerate(candidates):
        if own == gap:
            return (index,)
        rest = minus(gap, own)
        other = seen.get(rest.checksum)
        if other is not None and candidates[other][1] == rest:
            return (other, index)
        seen[own.checksum] = index
    return None


def _any(candidates: Sequence[tuple[Each, Quarter]], gap: Quarter) -> tuple[int, ...] | None:
    """Any that make the gap: every choice of one half is looked up among those of the other."""
    middle = len(candidates) // 2
    lower = {own.checksum: (chosen, own) for chosen, own in _choices(candidates[:middle])}
    for chosen, own in _choices(candidates[middle:]):
        rest = minus(gap, own)
        other = lower.get(rest.checksum)
        if other is not None and other[1] == rest:
            mask = other[0] | chosen << middle
            return tuple(i for i in range(len(candidates)) if mask >> i & 1)
    return None


def _choices(candidates: Sequence[tuple[Each, Quarter]]) -> Iterator[tuple[int, Quarter]]:
    """Every choice of the candidates, as a bit for each, and its sum."""
    sums = [ZERO]
    for _, own in candidates:
        sums += [each.merged(own) for each in sums]
    return iter(enumerate(sums))


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


def floor_quarter(at: datetime) -> datetime:
    """The start of the quarter of an hour that holds the instant."""
    hour = floor_hour(at)
    return hour + (at - hour) // QUARTER * QUARTER


def cut_quarters(phase: Phase) -> set[datetime]:
    """The quarters that belong to the phase in part; the first phase reaches back without end."""
    bounds = [phase.end] if phase.number == 1 else [phase.start, phase.end]
    return {floor_quarter(at) for at in bounds if floor_quarter(at) != at}


def card_of(phase: Phase, measurement: Measurement, catalogue: Catalogue) -> int | None:
    """Which rate card of the phase takes the measurement, if any does."""
    return rate_card_index(phase.plan_in(catalogue), measurement)


def adds_up(aggregation: Aggregation) -> bool:
    """Whether an account's value is the sum of its quarters'; where not, counts are compared."""
    return aggregation in ("count", "sum")


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
        waits = can_fall(rate.price) and not phase.settled
        amount = totals.amount if waits else price_nanos(rate.price, priced_usage(totals))
        where = f"phase {phase.phase.number}, meter {rate.meter}"
        if totals.amount != amount:
            yield f"{where}: {totals.amount} nanos are charged where the price is {amount}"
        if totals.drawn + totals.overage != totals.amount:
            yield f"{where}: drawn and overage do not make the amount"
