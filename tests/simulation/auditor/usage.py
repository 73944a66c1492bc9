"""V1 to V3: raw events are durable, and each is counted once or visibly set aside."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction

from tests.simulation.auditor.evidence import (
    Dimensions,
    Evidence,
    Finding,
    Usage,
    fingerprint,
    identity,
    left_standing,
)
from tests.simulation.auditor.picture import CHECKSUM_MODULUS, Picture


def acknowledged_is_durable(evidence: Evidence) -> Iterator[Finding]:
    """V1: what a client was told is stored, with the same fingerprint."""
    raw = {(item["pk"], item["sk"]): item for item in evidence.raw}
    accepted: Counter[tuple[str, str]] = Counter()
    for told in evidence.acknowledged:
        key = told["customer"], identity(told["source"], told["id"])
        name = f"{told['customer']}/{told['source']}/{told['id']}"
        item, outcome = raw.get(key), told["outcome"]
        if outcome == "unknown":
            continue
        if item is None:
            yield Finding("V1", f"{name} was answered with {outcome} and is not stored")
            continue
        same = item["fingerprint"] == fingerprint(told["type"], told["data"])
        if same == (outcome == "conflict"):
            yield Finding("V1", f"{name} was answered with {outcome}; stored is another")
        accepted[key] += outcome == "accepted"
    for key, times in accepted.items():
        if times > 1:
            yield Finding("V1", f"{key} was accepted as new {times} times")


# Count, sum, checksum, and what wins.
Recounted = tuple[int, Fraction, int, Fraction | None]
NOTHING: Recounted = (0, Fraction(0), 0, None)
Place = tuple[str, datetime, Dimensions, bool]  # meter, hour, group, whether it is over the cap


def hours_are_recounted(picture: Picture) -> Iterator[Finding]:
    """V2: each meter, hour and group: count, sum, checksum, what wins, and distinct values."""
    stored = {
        (h["meter"], h["hour"], tuple(sorted(h["dimensions"])), h["other"]): h["quarters"]
        for h in picture.stored.get("hours", [])
    }
    expected = _expected(picture, set(stored))
    for key in sorted({*expected, *stored}, key=str):
        wanted = [_recount(usages) for usages in expected.get(key, [[], [], [], []])]
        found = [
            (c, Fraction(v), s, None if mark is None else Fraction(mark))
            for c, v, s, mark in stored.get(key, [(0, 0, 0, None)] * 4)
        ]
        if wanted != found:
            counts = [each[0] for each in found], [each[0] for each in wanted]
            name = f"{picture.customer} {key[0]} {key[1]:%Y-%m-%dT%H}"
            yield Finding("V2", f"{name}: counts {counts[0]} stored, {counts[1]} in raw")
    yield from _values_are_recounted(picture, expected)
    yield from _cap_is_kept(picture, set(stored))


def _expected(picture: Picture, stored: set[Place]) -> dict[Place, list[list[Usage]]]:
    """The raw usages of each place, by quarter; those without a place of their own are over it."""
    full = {(meter, hour) for meter, hour, _, other in stored if other}
    expected: dict[Place, list[list[Usage]]] = defaultdict(lambda: [[], [], [], []])
    for event in picture.events:
        at = event.occurred_at
        hour = at.replace(minute=0, second=0, microsecond=0)
        for usage in event.usages:
            own: Place = (usage.meter, hour, usage.dimensions, False)
            over = own not in stored and (usage.meter, hour) in full
            place = (usage.meter, hour, (), True) if over else own
            if not picture.lacks(event, f"usage:{usage.meter}"):
                expected[place][at.minute // 15].append(usage)
    return expected


def _recount(usages: list[Usage]) -> Recounted:
    if not usages:
        return NOTHING
    tally = sum((usage.sign * usage.quantity for usage in usages), Fraction(0))
    checksum = sum(usage.sign * usage.checksum for usage in usages) % CHECKSUM_MODULUS
    left, wins = left_standing(usages), None
    if usages[0].aggregation == "max":
        wins = max((usage.quantity for usage in left), default=None)
    if usages[0].aggregation == "min":
        wins = min((usage.quantity for usage in left), default=None)
    if left and left[0].aggregation == "latest":
        wins = max(left, key=lambda usage: usage.order).quantity
    return sum(usage.sign for usage in usages), tally, checksum, wins


def _values_are_recounted(
    picture: Picture, expected: dict[Place, list[list[Usage]]]
) -> Iterator[Finding]:
    """V2: which values were seen in which quarter; their names are hashes."""
    wanted = {
        (place, quarter, hashlib.sha256(usage.value.encode()).hexdigest()[:32])
        for place, quarters in expected.items()
        for quarter, usages in enumerate(quarters)
        for usage in left_standing(usages)
        if usage.aggregation == "unique_count"
    }
    found = set()
    for value in picture.stored.get("values", []):
        for at in value["quarters"]:
            hour = at.replace(minute=0)
            group = tuple(sorted(value["dimensions"]))
            place: Place = (value["meter"], hour, group, value["other"])
            found.add((place, at.minute // 15, value["value"]))
    if wanted != found:
        yield Finding(
            "V2",
            f"{picture.customer}: {len(found - wanted)} values were never seen, "
            f"{len(wanted - found)} that were seen are not kept",
        )


def _cap_is_kept(picture: Picture, stored: set[Place]) -> Iterator[Finding]:
    """V2: groups of their own up to the cap, and others together only once it is reached.

    A group may have got its place before the stream lost its events: they are not there to be seen
    if they were cancelled, too. Or from a redrive that got no further: its event is in quarantine.
    """
    cap = picture.evidence.catalogue["max_groups"]
    own, placed = defaultdict(set), defaultdict(set)
    for meter, hour, group, other in stored:
        if group and not other:
            own[meter, hour].add(group)
    for event in picture.events:
        lost = (picture.customer, event.key) in picture.evidence.lost
        hour = event.occurred_at.replace(minute=0, second=0, microsecond=0)
        for usage in event.usages:
            if lost or picture.lacks(event, f"usage:{usage.meter}"):
                placed[usage.meter, hour].add(usage.dimensions)
    full = {(meter, hour) for meter, hour, _, other in stored if other}
    for place in sorted({*own, *full}):
        groups = own[place]
        if len(groups) > cap or (place in full and len(groups | placed[place]) < cap):
            name = f"{picture.customer} {place[0]} {place[1]:%Y-%m-%dT%H}"
            yield Finding("V2", f"{name}: {len(groups)} groups of their own, the cap is {cap}")


def raw_is_partitioned(picture: Picture) -> Iterator[Finding]:
    """V3: every raw event is applied to the account or in quarantine."""
    raw = {item["sk"] for item in picture.raw}
    for key in sorted(picture.unreadable - set(picture.quarantine)):
        yield Finding("V3", f"{picture.customer}: unreadable {key[:8]} is not in quarantine")
    for key in sorted(set(picture.quarantine) - raw):
        yield Finding("V3", f"{picture.customer}: {key[:8]} is in quarantine and not in raw")
    if picture.raw and picture.account is None:
        yield Finding("V3", f"{picture.customer}: raw events and no account")
    for phase in picture.phases:
        late = [event for events in phase.late_events.values() for event in events]
        for index, tally in enumerate(phase.tallies([*phase.on_time, *late])):
            totals = phase.totals[index]
            if not tally.equals(totals):
                yield Finding(
                    "V3",
                    f"{picture.customer} phase {phase.number} rate {index}: "
                    f"{totals['count']} applied ({totals['value']}), "
                    f"{tally.count} in raw ({float(tally.value)})",
                )


def nothing_is_stuck(evidence: Evidence) -> Iterator[Finding]:
    """V3: once everything is at rest, nothing is on its way, and reconciliation finds it right."""
    if evidence.pending:
        yield Finding("V3", f"{evidence.pending} records were never acknowledged")
    for customer, found in evidence.troubles.items():
        yield Finding("V3", f"{customer}: reconciliation still finds {'; '.join(found)}")


def only_losses_are_repaired(picture: Picture) -> Iterator[Finding]:
    """V3: what is repaired was lost by the stream; whatever else was missing was only late.

    For a meter an event and what corrects it may come to the same, or to nothing together: which
    of them were lost cannot be told then, and makes no difference.
    """
    repaired = set(picture.stored.get("repaired", []))
    lost = {key for customer, key in picture.evidence.lost if customer == picture.customer}
    sent = {usage.order for e in picture.events if e.key in lost for usage in e.usages}
    beyond: Counter[tuple[object, ...]] = Counter()
    for event in picture.events:
        for usage in event.usages if event.key in repaired else ():
            if usage.order not in sent:
                what = usage.meter, usage.order, usage.dimensions, usage.value
                beyond[what] += usage.sign
    for (meter, order, _, _), times in beyond.items():
        if times:
            yield Finding("V3", f"{picture.customer} {meter}: {order} was repaired and not lost")
