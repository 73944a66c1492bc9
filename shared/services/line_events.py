"""The events behind an invoice line, recounted against what was frozen before they are answered.

They are the raw events of the line's service period that its meter counts, less those that came
late and those in quarantine; of a line of late usage, those that came late and were billed with it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Literal

from shared.domain.card_tally import CardTally
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.events import Measurement, UsageEvent
from shared.domain.proof import COUNTED, Document, Fate, UsageLine, usage_line
from shared.domain.reconciliation import adds_up, share_of
from shared.domain.usage_hours import Quarter
from shared.services.event_list import EventFilter, EventIndex, Position, months_descending
from shared.services.ingest import MAX_LATENESS
from shared.services.store import BarrierStore, BillingStore, Clock

# What one request looks at: 40,000 events are a few seconds of the function's time.
MAX_READS = 40
EVENTS_PER_READ = 1000
# How far before the first phase began its earliest usage may be.
BEFORE_FIRST_PHASE = MAX_LATENESS + timedelta(days=1)

State = Literal["proven", "settling", "too-many-events"]
Counted = tuple[UsageEvent, Measurement]


class ContradictionError(ConflictError):
    """The events behind a line are not those that were billed (409): they are not answered."""

    code = "contradiction"


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a listing goes on, and what it has listed up to there."""

    position: Position
    state: State
    listed: Quarter


@dataclass(frozen=True, slots=True)
class LineEvents:
    """A page of the events behind a line, newest first, each with what it adds to the line.

    `recounted` is over all of them; None on pages that do not recount. With `too-many-events` the
    last page recounts what all pages listed, and says whether that is proven.
    """

    line: UsageLine
    events: Sequence[Counted]
    state: State
    recounted: Quarter | None
    following: Progress | None


@dataclass(frozen=True, slots=True)
class LineProofs:
    """Lists and recounts the events behind lines of finalized invoices."""

    store: BillingStore
    barriers: BarrierStore
    index: EventIndex
    clock: Clock

    def page(
        self, document: Document, number: int, limit: int, after: Progress | None = None
    ) -> LineEvents:
        """The page after the progress, or the first one, which recounts the whole line.

        Raises: NotFoundError for no such line; InvalidError for one that is not of usage;
        ContradictionError.
        """
        line = _usage_line(document, number)
        fates = self._fates(line)
        page: list[Counted] = []
        listed = after.listed if after else Quarter()
        whole, before = CardTally(line.price), CardTally(line.price)
        more, cut = False, None
        for reads, (events, position) in enumerate(self._reads(line, after), 1):
            found = [each for each in events if line.counts(_fate(fates, each))]
            earlier = [each for each in events if line.counts_before(_fate(fates, each))]
            taken = found[: limit - len(page)]
            page += taken
            more = more or len(taken) < len(found)
            listed = _plus(listed, taken)
            _add(before, earlier)
            _add(whole, [*earlier, *found])
            if position is not None and (reads >= MAX_READS or (more and after)):
                cut = position
                break
        recounted = whole.since(before)
        if after:
            recounted = after.listed.merged(recounted)
            if not adds_up(line.meter.aggregation):
                # No page can tell the value alone; the checksum holds every event's.
                recounted = replace(recounted, value=line.frozen.value)
        # Nor what single events came to: of so many, `meterline verify` recounts that.
        amounts = (whole.event_amounts - before.event_amounts, before.event_amounts)
        priced = after is not None or amounts == line.event_amounts
        complete = cut is None and not (more and after)
        state: State = after.state if after else "too-many-events"
        if complete and recounted == line.frozen and priced:
            state = "proven"
        elif complete:
            state = self._judge(str(document["id"]), line, recounted, fates)
        if more:
            last = page[-1][0]
            cut = Position(last.occurred_at, last.key)
        following = Progress(cut, state, listed) if cut else None
        return LineEvents(line, page, state, recounted if complete else None, following)

    def _fates(self, line: UsageLine) -> Mapping[str, Fate]:
        """What became of the phase's events that are not simply counted.

        Quarantine is read first: what is redriven meanwhile is then in one of the two.
        """
        aside = self.store.set_aside(line.customer).values()
        fates = {r.event_key: Fate(quarantined=True) for r in aside if r.redriven_at is None}
        late = self.store.late_usage(line.customer, line.phase)
        return fates | {
            key: Fate(late_phase=line.phase, late_period=period) for key, period in late.items()
        }

    def _reads(
        self, line: UsageLine, after: Progress | None
    ) -> Iterator[tuple[list[Counted], Position | None]]:
        """What each read of raw events, newest first, finds of the totals; where it stopped."""
        wanted = EventFilter(line.customer, type=line.meter.event_type)
        start = line.start - BEFORE_FIRST_PHASE if line.phase == 1 else line.start
        position = after.position if after else None
        newest = position.occurred_at + timedelta(microseconds=1) if position else line.end
        for month_start, month_end in months_descending(start, newest):
            while True:
                events, position = self.index.newest(
                    wanted, month_start, month_end, position, EVENTS_PER_READ
                )
                measured = ((event, line.measure(event)) for event in events)
                yield [(event, m) for event, m in measured if m is not None], position
                if position is None:
                    break

    def _judge(
        self, invoice: str, line: UsageLine, recounted: Quarter, fates: Mapping[str, Fate]
    ) -> State:
        """Whether a recount that is not what was frozen may be once the stream has come through.

        A barrier named by the very difference is put behind the events that make it. If they
        still make it when the barrier has passed, all of them are applied: it is a contradiction.

        Raises: ContradictionError.
        """
        day = self.clock.now().date()  # Barriers are forgotten; tomorrow asks anew.
        token = f"proof-{invoice}-{line.number}-{recounted.count}-{recounted.checksum:016x}-{day}"
        if not self.barriers.has_passed(line.customer, token):
            self.barriers.send(line.customer, token)
            return "settling"
        if self._fates(line) != fates:
            return "settling"
        raise ContradictionError(
            f"Line {line.number} was billed for {line.frozen.count} events, "
            f"and the {recounted.count} behind it come to something else."
        )


def _usage_line(document: Document, number: int) -> UsageLine:
    if number not in {line["n"] for line in document["lines"]}:
        raise NotFoundError("No such line.")
    line = usage_line(document, number)
    if line is None:
        raise InvalidError("Only lines of usage count events.", [Problem("/line", "not-usage")])
    return line


def _fate(fates: Mapping[str, Fate], counted: Counted) -> Fate:
    return fates.get(counted[0].key, COUNTED)


def _plus(total: Quarter, events: Sequence[Counted]) -> Quarter:
    for _, measurement in events:
        total = total.merged(share_of(measurement))
    return total


def _add(tally: CardTally, events: Sequence[Counted]) -> None:
    for _, measurement in events:
        tally.add(measurement)
