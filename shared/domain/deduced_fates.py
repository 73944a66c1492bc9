"""What became of raw events where nobody tells: of the archive's, which are nothing but events.

What was recorded before a period was over is behind the lines of that period, but for what was in
quarantine or lost by a stream then. Of what was recorded later, the first may be: until the period
was closed. Counts and checksums decide, and tell late usage from what was billed before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.events import Measurement, UsageEvent, utc_time
from shared.domain.invoices import TEST_SERIES
from shared.domain.missing import find_missing
from shared.domain.proof import COUNTED, Document, Fate, UsageLine, usage_line
from shared.domain.reconciliation import ZERO, minus, total_of
from shared.domain.usage_hours import Quarter

# What is recorded has another time than the periods of a test clock: nothing is told by it.
NEVER = datetime.min.replace(tzinfo=UTC)
# So many steps of a search are some seconds.
MAX_STEPS = 5_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """An event that lines of a phase may count, and what it adds to all of them together."""

    source: str
    id: str
    key: str
    recorded_at: datetime
    share: Quarter


@dataclass(frozen=True, slots=True)
class Deduction:
    """What became of the events by their keys; all others were counted.

    `unbilled` are those that were recorded in time, and that the lines do not count nevertheless.
    """

    fates: dict[str, Fate]
    unbilled: tuple[Entry, ...]


def deduce(document: Document, events: Iterable[UsageEvent]) -> Deduction:
    """What became of the events, each given once, for the lines of the invoice to be what they are.

    Where no choice of them can be told that makes the lines, all are taken: the lines differ.

    Raises: UnprovableError, LookupError or TypeError if the document is no invoice as exported.
    """
    phases: dict[int, list[UsageLine]] = {}
    for stated in document["lines"]:
        if line := usage_line(document, int(stated["n"])):
            phases.setdefault(line.phase, []).append(line)
    entries: dict[int, list[Entry]] = {phase: [] for phase in phases}
    for event in events:
        for phase, lines in phases.items():
            if measured := [m for line in lines if (m := line.measure(event))]:
                entries[phase].append(_entry(event, measured))
    fates: dict[str, Fate] = {}
    unbilled: list[Entry] = []
    for phase, lines in phases.items():
        chronological = sorted(entries[phase], key=lambda each: (each.recorded_at, each.key))
        deduced = _of_phase(document, lines, chronological)
        fates |= deduced.fates
        unbilled += deduced.unbilled
    return Deduction(fates, tuple(unbilled))


def _entry(event: UsageEvent, measured: Sequence[Measurement]) -> Entry:
    share = total_of(Quarter(count=m.count, checksum=m.checksum) for m in measured)
    return Entry(event.source, event.id, event.key, event.received_at, share)


def _of_phase(
    document: Document, lines: Sequence[UsageLine], entries: Sequence[Entry]
) -> Deduction:
    """What became of the entries that the lines of one phase may count, in the order of receipt."""
    period, phase, late = lines[0].period, lines[0].phase, lines[0].late
    frozen = total_of(_told(line.frozen) for line in lines)
    before = total_of(_told(line.before) for line in lines)
    on_machine_clock = not str(document["number"]).startswith(TEST_SERIES)
    over = utc_time(document["period"]["end"]) if on_machine_clock else NEVER
    billed = _chosen(entries, frozen.merged(before), over)
    if billed is None:
        billed = entries
    earlier: Sequence[Entry] = ()
    if late:
        ended = max(line.end for line in lines) if on_machine_clock else NEVER
        earlier = _chosen(billed, before, ended) or ()
    elsewhere = Fate(late_phase=phase, late_period=period + 1)
    here = Fate(late_phase=phase, late_period=period) if late else COUNTED
    fates = dict.fromkeys((each.key for each in entries), elsewhere)
    fates |= dict.fromkeys((each.key for each in billed), here)
    fates |= dict.fromkeys((each.key for each in earlier), COUNTED)
    left_out = (each for each in entries if each.recorded_at < over)
    return Deduction(fates, tuple(each for each in left_out if fates[each.key] is elsewhere))


def _told(stated: Quarter) -> Quarter:
    """What can be added up over lines of any aggregation."""
    return Quarter(count=stated.count, checksum=stated.checksum)


def _chosen(entries: Sequence[Entry], total: Quarter, over: datetime) -> Sequence[Entry] | None:
    """The entries that make the total; None if they cannot be told.

    They are those recorded before `over` and the first of the others, as many as possible; or such
    without one or two that were in quarantine then, or a run that a stream had lost; or any.
    """
    in_time = [each for each in entries if each.recorded_at < over]
    others = entries[len(in_time) :]
    # What is too much with none of the others, with the first of them, with the first two, and on.
    surplus = [minus(total_of(each.share for each in in_time), total)]
    for each in others:
        surplus.append(surplus[-1].merged(each.share))
    for number in reversed(range(len(surplus))):
        if surplus[number] == ZERO:
            return entries[: len(in_time) + number]
    candidates = [(each, each.share) for each in in_time]
    shares = {each.share.checksum for each in in_time}
    likely = [n for n, each in enumerate(surplus) if each.checksum in shares]
    tried = max(1, MAX_STEPS // (len(in_time) + 1))
    for number in [*likely, *range(len(surplus))][:tried]:
        if left_out := find_missing(candidates, surplus[number], quick=True):
            keys = {each.key for each in left_out}
            kept = [each for each in in_time if each.key not in keys]
            return [*kept, *others[:number]]
    return find_missing([(each, each.share) for each in entries], total)
