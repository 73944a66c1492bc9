"""V1 to V3: raw events are durable, and each is counted once or visibly set aside."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tests.simulation.auditor.evidence import Evidence, Finding, fingerprint, identity
from tests.simulation.auditor.picture import Picture, Tally


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


def hours_are_recounted(picture: Picture) -> Iterator[Finding]:
    """V2: count, sum and checksum of each meter, hour and group of dimension values."""
    expected: dict[tuple[Any, ...], list[Tally]] = defaultdict(lambda: [Tally() for _ in range(4)])
    for event in picture.events:
        at = event.occurred_at
        hour = at.replace(minute=0, second=0, microsecond=0)
        for usage in event.usages:
            if not picture.lacks(event, f"usage:{usage.meter}"):
                expected[usage.meter, hour, usage.dimensions][at.minute // 15].add(usage)
    stored = {
        (h["meter"], h["hour"], tuple(sorted(h["dimensions"]))): h["quarters"]
        for h in picture.stored.get("hours", [])
    }
    for key in sorted({*expected, *stored}, key=str):
        wanted = [(t.count, t.value, t.checksum) for t in expected[key]]
        found = [(c, Fraction(v), s) for c, v, s in stored.get(key, [(0, 0, 0)] * 4)]
        if wanted != found:
            counts = [c for c, _, _ in found], [c for c, _, _ in wanted]
            name = f"{picture.customer} {key[0]} {key[1]:%Y-%m-%dT%H}"
            yield Finding("V2", f"{name}: counts {counts[0]} stored, {counts[1]} in raw")


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
    """V3: what is repaired was lost by the stream; whatever else was missing was only late."""
    for key in dict.fromkeys(picture.stored.get("repaired", [])):
        if (picture.customer, key) not in picture.evidence.lost:
            yield Finding("V3", f"{picture.customer}: {key[:8]} was repaired and not lost")
