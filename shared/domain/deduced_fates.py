"""What became of raw events where nobody tells: of the archive's, which are nothing but events.

Whatever was recorded before its period was over is behind the lines of that period, and what was
recorded after an invoice was finalized is behind none of its lines. What came in between may be:
counts and checksums decide. They also tell late usage from the usage that was billed before it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.domain.events import Measurement, UsageEvent, utc_time
from shared.domain.missing import find_missing
from shared.domain.proof import COUNTED, Document, Fate, UsageLine, usage_line
from shared.domain.reconciliation import ZERO, minus, total_of
from shared.domain.usage_hours import Quarter

FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
# Invoices of test clocks have series of their own. What is recorded has another time than they.
TEST_SERIES = "TEST-"


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

    `unbilled` are those that were recorded in time, and that no line counts nevertheless.
    """

    fates: dict[str, Fate]
    unbilled: tuple[Entry, ...]


def deduce(document: Document, events: Iterable[UsageEvent]) -> Deduction:
    """What became of the events, each given once, for the lines of the invoice to be what they are.

    Where no choice of them makes a line, all are taken that it may be of: it differs from them.

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
        unbilled += _settle(document, lines, chronological, fates)
    return Deduction(fates, tuple(unbilled))


def _entry(event: UsageEvent, measured: Sequence[Measurement]) -> Entry:
    share = total_of(Quarter(count=m.count, checksum=m.checksum) for m in measured)
    return Entry(event.source, event.id, event.key, event.received_at, share)


def _settle(
    document: Document,
    lines: Sequence[UsageLine],
    entries: Sequence[Entry],
    fates: dict[str, Fate],
) -> Sequence[Entry]:
    """Puts what became of the entries of one phase into `fates`; those that are unbilled."""
    period, phase, late = lines[0].period, lines[0].phase, lines[0].late
    frozen = total_of(_told(line.frozen) for line in lines)
    before = total_of(_told(line.before) for line in lines)
    billed, unbilled = _billed(document, entries, frozen.merged(before))
    earlier = (_chosen(billed, before) or ()) if late else ()
    elsewhere = Fate(late_phase=phase, late_period=period + 1)
    here = Fate(late_phase=phase, late_period=period) if late else COUNTED
    fates |= dict.fromkeys((each.key for each in entries), elsewhere)
    fates |= dict.fromkeys((each.key for each in billed), here)
    fates |= dict.fromkeys((each.key for each in earlier), COUNTED)
    return unbilled


def _told(stated: Quarter) -> Quarter:
    """What can be added up over lines of any aggregation."""
    return Quarter(count=stated.count, checksum=stated.checksum)


def _billed(
    document: Document, entries: Sequence[Entry], total: Quarter
) -> tuple[Sequence[Entry], Sequence[Entry]]:
    """The entries that were billed up to this invoice, and those left out that came in time."""
    over, finalized = _span(document)
    certain = [each for each in entries if each.recorded_at < over]
    perhaps = [each for each in entries if over <= each.recorded_at <= finalized]
    more = _chosen(perhaps, minus(total, total_of(each.share for each in certain)))
    if more is not None:
        return [*certain, *more], ()
    chosen = _chosen([*certain, *perhaps], total)
    if chosen is None:
        return [*certain, *perhaps], ()
    keys = {each.key for each in chosen}
    return chosen, [each for each in certain if each.key not in keys]


def _span(document: Document) -> tuple[datetime, datetime]:
    """Until when what was recorded is certainly billed, and from when it certainly is not."""
    if str(document["number"]).startswith(TEST_SERIES):
        return FIRST, LAST
    return utc_time(document["period"]["end"]), utc_time(document["finalized_at"])


def _chosen(entries: Sequence[Entry], total: Quarter) -> Sequence[Entry] | None:
    """The entries that make the total: as many as possible of the first ones, or else any."""
    running, found = ZERO, 0 if total == ZERO else None
    for number, each in enumerate(entries, 1):
        running = running.merged(each.share)
        found = number if running == total else found
    if found is not None:
        return entries[:found]
    return find_missing([(each, each.share) for each in entries], total)
