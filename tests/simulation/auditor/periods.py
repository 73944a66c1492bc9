"""V7: phases tile time; a closed one holds its events, and later ones are named and billed once."""

from collections.abc import Iterator
from fractions import Fraction

from tests.simulation.auditor.arithmetic import calendar_end, days_after
from tests.simulation.auditor.evidence import Finding
from tests.simulation.auditor.picture import PhasePicture, Picture, add_totals


def phases_tile_time(picture: Picture) -> Iterator[Finding]:
    """V7: each phase starts where the one before ended; calendar periods end on local midnights."""
    for index, phase in enumerate(picture.phases):
        name = f"{picture.customer} phase {phase.number}"
        if phase.number != index + 1:
            yield Finding("V7", f"{name} is the {index + 1}th there is")
        after = picture.phases[index + 1] if index + 1 < len(picture.phases) else None
        if after is not None and after.start != phase.end:
            yield Finding("V7", f"{name} ends at {phase.end}, the next starts at {after.start}")
        if phase.stored["state"] == "trial":
            yield from _trial(picture, phase, after)
            continue
        if after is not None and after.stored["fee_invoiced"]:
            continue
        if phase.plan["period"] == "calendar":
            zone = picture.stored["subscription"]["timezone"]
            end = calendar_end(phase.plan["interval"], phase.start, zone)
            if phase.end != end:
                yield Finding("V7", f"{name} ends at {phase.end}, its period at {end}")


def _trial(picture: Picture, phase: PhasePicture, after: PhasePicture | None) -> Iterator[Finding]:
    """V7: a trial ends so many local days after the customer's first one began, if not sooner."""
    first = next(p for p in picture.phases if p.stored["state"] == "trial")
    zone = picture.stored["subscription"]["timezone"]
    end = days_after(first.start, phase.plan["trial_days"], zone)
    cut = after is not None and after.stored["fee_invoiced"]
    if phase.end > end or (phase.end < end and not cut):
        yield Finding("V7", f"{picture.customer} trial {phase.number} ends at {phase.end}: {end}")


def closed_periods_hold_their_events(picture: Picture) -> Iterator[Finding]:
    """V7: a closed phase's totals are its events that were in time; the rest is named as late."""
    who = picture.customer
    for number, key in picture.late_of:
        phase = picture.phase(number)
        there = phase and any(e.key == key for late in phase.late_events.values() for e in late)
        if phase is None or phase.frozen is None or not there:
            yield Finding("V7", f"{who}: {key[:8]} is late in phase {number}, and is not")
    for phase in picture.phases:
        if phase.frozen is None:
            continue
        for index, tally in enumerate(phase.tallies(phase.on_time)):
            if not tally.equals(phase.frozen[index]):
                yield Finding(
                    "V7",
                    f"{who} phase {phase.number} rate {index}: closed over "
                    f"{phase.frozen[index]['count']} events, in time were {tally.count}",
                )
        closed = {p for p in phase.late_events if _is_closed(picture, p)}
        yield from _late_is_billed_once(picture, phase.number, closed)


def _is_closed(picture: Picture, period: int) -> bool:
    group = picture.group(period)
    return bool(group) and all(p.frozen is not None for p in group)


def _late_is_billed_once(picture: Picture, number: int, closed: set[int]) -> Iterator[Finding]:
    """V7: late usage is in the totals billed since, or waits for the next invoice."""
    phase = picture.phase(number)
    assert phase is not None
    assert phase.frozen is not None
    waiting = [e for p, late in phase.late_events.items() if p not in closed for e in late]
    billed = [e for p, late in phase.late_events.items() if p in closed for e in late]
    pending = phase.late or [dict.fromkeys(t, 0) for t in phase.frozen]
    for index, tally in enumerate(phase.tallies(waiting, [*phase.on_time, *billed])):
        if not tally.equals(pending[index]):
            yield Finding(
                "V7",
                f"{picture.customer} phase {number} rate {index}: {pending[index]['count']} late "
                f"events wait for the next invoice, not {tally.count}",
            )
    for index, tally in enumerate(phase.tallies(billed, phase.on_time)):
        before = add_totals(phase.frozen[index], pending[index])
        count = phase.totals[index]["count"] - before["count"]
        value = Fraction(phase.totals[index]["value"]) - Fraction(before["value"])
        if (tally.count, tally.value) != (count, value):
            yield Finding(
                "V7",
                f"{picture.customer} phase {number} rate {index}: {count} late events are marked "
                f"as billed, not {tally.count}",
            )
