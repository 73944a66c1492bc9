"""V6: what single events moved, to the nano: what usage draws, and what a reversal gives back.

The totals of two neighbouring versions differ by the events between them. Where these are one
event, or a reversal and the replacement that was stored with it, the checksums tell which; then
everything else that moved follows from the documents. Where they are more, nothing tells in which
order they were taken, and other checks look at what they come to.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, pairwise, permutations, product

from tests.simulation.auditor.evidence import Event, Finding, Plain
from tests.simulation.auditor.grants import Flows
from tests.simulation.auditor.picture import CHECKSUM_MODULUS, PhasePicture, Picture, add_totals
from tests.simulation.auditor.replays import Card, Replay, Totals

Moved = frozenset[tuple[Card, int, int]]  # by how much which cards' counts and checksums moved
Placed = tuple[PhasePicture, Event]
# Events in an order; with a card's place where its value is lowered to what a reversal leaves.
Way = Sequence[tuple[PhasePicture, Event, int | None]]
QUARTER = timedelta(minutes=15)
# Of reversals that are counted anew together, any may be the one that decides.
MAX_WAYS = 120


@dataclass
class Step:
    """Two neighbouring versions of an account, and what the phases' totals were and are."""

    before: Plain
    after: Plain
    was: Totals
    now: Totals
    moved: Moved


class Steps:
    """The steps between which no phase was opened or closed, and the events behind them, each with
    its phase: none where they are more than one, or than a reversal and its replacement."""

    def __init__(self, picture: Picture) -> None:
        self.all = _steps(picture)
        self.known = _by_what_they_move(picture)
        taken = (placed for step in self.all for placed in self.known.get(step.moved, ()))
        self.hidden = _may_hide(self.known, {_moved_by([placed]) for placed in taken})

    def single(self) -> Iterator[tuple[Step, Event]]:
        """The steps of one event, if no others can be behind them."""
        for step in () if self.hidden else self.all:
            placed = self.known.get(step.moved, ())
            if len(placed) == 1:
                yield step, placed[0][1]


def single_events_move_their_worth(
    picture: Picture, flows: Flows, steps: Steps
) -> Iterator[Finding]:
    """V6: usage draws allowances and credits before it is overage; a reversal gives back overage
    first, then what was drawn, to those grants drawn last that can still take it."""
    known, grants = steps.known, _Grants(picture, flows)
    ledger = picture.stored.get("ledger", [])
    anew = {e["to"]: e["cause"]["revalued"] for e in ledger if "revalued" in e["cause"]}
    for step in steps.all:
        ways: Iterable[Way] = ()
        if step.moved:
            if not steps.hidden and not _others_moved(step):
                ways = permutations([(*placed, None) for placed in known.get(step.moved, ())])
        elif step.after["version"] in anew:
            at = datetime.fromisoformat(anew[step.after["version"]])
            ways = _lowerings(picture, step, at)
        yield from _came_to(picture, step, islice(ways, MAX_WAYS), grants)


def _came_to(
    picture: Picture, step: Step, ways: Iterable[Way], grants: "_Grants"
) -> Iterator[Finding]:
    """What moved is what one of the ways comes to, if there are any."""
    there = grants.at(step.before["version"])
    replays = []
    for way, late in product(filter(None, ways), (False, True)):
        replay = Replay(there, step.before["grants"], step.was, step.now)
        _replay(replay, way, step.after, late=late)
        replays.append(replay)
        if replay.outcome == replay.found(step.after["grants"]):
            return
    if replays:
        yield Finding(
            "V6",
            f"{picture.customer}: version {step.after['version']} took "
            f"{[event.key[:8] for _, event, _ in way]} and came to "
            f"{replays[0].found(step.after['grants'])}, not {replays[0].outcome}",
        )


def _steps(picture: Picture) -> list[Step]:
    steps = []
    totals: Totals = {}
    for before, after in pairwise([{"phases": [], "late": {}}, *picture.versions]):
        was, totals = totals, _followed(picture, totals, before, after)
        if _numbers(before) == _numbers(after):
            steps.append(Step(before, after, was, totals, _moved(was, totals)))
    return steps


def _may_hide(known: Mapping[Moved, object], seen: set[Moved]) -> bool:
    """Whether an event and what takes it back may have come in one step.

    Together they add nothing to a checksum, and can have drawn and given back all the same.
    """
    for moved in known.keys() - seen:
        opposite = frozenset(
            (card, -n, -checksum % CHECKSUM_MODULUS) for card, n, checksum in moved
        )
        if opposite in known and opposite not in seen:
            return True
    return False


def _others_moved(step: Step) -> bool:
    """Whether anything moved on cards to which neither count nor checksum was added."""
    moved = {card for card, _, _ in step.moved}
    return any(totals != step.was[card] for card, totals in step.now.items() if card not in moved)


def _replay(replay: Replay, way: Way, account: Plain, *, late: bool) -> None:
    for phase, event, index in way:
        since = _valid_since(event, account, late=late)
        if index is None:
            replay.take(phase, event, since)
        else:
            replay.lower(phase, index, event, since)


def _valid_since(event: Event, account: Plain, *, late: bool) -> datetime | None:
    """Until when a grant must be valid to take back what the event reverses; None if it does not.

    What ended where the current period began may have been rolled over before the reversal came
    down the stream: the documents do not say which of the two it is then.
    """
    if event.reversed_at is None:
        return None
    return max(event.reversed_at, account["phases"][-1]["start"]) if late else event.reversed_at


def _numbers(account: Plain) -> list[int]:
    return [phase["number"] for phase in account["phases"]]


class _Grants:
    """Which grants there were at which version of the account."""

    def __init__(self, picture: Picture, flows: Flows) -> None:
        ledger = picture.stored.get("ledger", [])
        self._all = picture.stored.get("grants", {})
        self._issued = {
            key: ledger[flow.issued_in]["to"]
            for key, flow in flows.grants.items()
            if flow.issued_in >= 0
        }
        self._voided = {e["cause"]["grant"]: e["to"] for e in ledger if e["kind"] == "void"}

    def at(self, version: int) -> dict[str, Plain]:
        """Those that had been issued, and not been voided."""
        return {
            key: grant
            for key, grant in self._all.items()
            if self._issued.get(key, version + 1) <= version < self._voided.get(key, version + 1)
        }


def _followed(picture: Picture, totals: Totals, before: Plain, after: Plain) -> Totals:
    """The totals of all phases after a version: of closed ones, with what came late so far."""
    followed = dict(totals)
    for number in {*_numbers(before)} - {*_numbers(after)}:
        phase = picture.phase(number)
        if phase is not None and phase.frozen is not None:
            followed |= {(number, i): each for i, each in enumerate(phase.frozen)}
    for stored in after["phases"]:
        followed |= {(stored["number"], i): each for i, each in enumerate(stored["totals"])}
    for number, late in after["late"].items():
        earlier = before["late"].get(number) or [dict.fromkeys(each, 0) for each in late]
        for i, (now, was) in enumerate(zip(late, earlier, strict=True)):
            if now != was:
                added = {name: now[name] - was[name] for name in now}
                followed[number, i] = add_totals(followed[number, i], added)
    return followed


def _moved(was: Totals, now: Totals) -> Moved:
    moved = set()
    for card, totals in now.items():
        old = was.get(card)
        if old is not None and old is not totals:
            count = totals["count"] - old["count"]
            checksum = (totals["checksum"] - old["checksum"]) % CHECKSUM_MODULUS
            if count or checksum:
                moved.add((card, count, checksum))
    return frozenset(moved)


def _by_what_they_move(picture: Picture) -> dict[Moved, tuple[Placed, ...]]:
    """Each single event, and each reversal with its replacement, by what they add to totals."""
    known: dict[Moved, tuple[Placed, ...]] = {}
    stored_at_once: dict[tuple[str, str, str], list[Placed]] = defaultdict(list)
    for phase in picture.phases:
        for event in _events(phase):
            known[_moved_by([(phase, event)])] = ((phase, event),)
            if event.correction is not None:
                stored_at_once[event.correction].append((phase, event))
    for both in stored_at_once.values():
        if len(both) > 1:
            known[_moved_by(both)] = tuple(both)
    known.pop(frozenset(), None)
    return known


def _events(phase: PhasePicture) -> list[Event]:
    return [*phase.on_time, *(e for late in phase.late_events.values() for e in late)]


def _moved_by(events: Iterable[Placed]) -> Moved:
    counts: dict[Card, int] = defaultdict(int)
    checksums: dict[Card, int] = defaultdict(int)
    for phase, event in events:
        for usage in event.usages:
            index = phase.card_of(usage)
            if index is not None:
                counts[phase.number, index] += usage.sign
                checksums[phase.number, index] += usage.sign * usage.checksum
    moved = ((card, n, checksums[card] % CHECKSUM_MODULUS) for card, n in counts.items())
    return frozenset((card, n, checksum) for card, n, checksum in moved if n or checksum)


def _lowerings(picture: Picture, step: Step, at: datetime) -> Iterator[Way]:
    """How the values of cards can have been lowered to what is left in a quarter of an hour."""
    fallen = []
    for (number, index), totals in step.now.items():
        phase = picture.phase(number)
        if phase is not None and totals["value"] < step.was[number, index]["value"]:
            fallen.append([(phase, e, index) for e in _reversals(phase, index, at)])
    for chosen in product(*fallen):
        yield from permutations(chosen)


def _reversals(phase: PhasePicture, index: int, at: datetime) -> Iterator[Event]:
    for event in _events(phase):
        takes = any(phase.card_of(usage) == index for usage in event.usages)
        if event.reversed_at is not None and takes and at <= event.occurred_at < at + QUARTER:
            yield event
