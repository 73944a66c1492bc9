"""Whether the archive holds what the table holds: counts and checksums of each day, compared."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from shared.domain.events import CHECKSUM_MODULUS, UsageEvent, canonical_json, utc_text
from shared.services.archive import received


@dataclass(frozen=True, slots=True)
class Tally:
    """How many events, and Σ mod 2^64 of 8 bytes of SHA-256 of each one's identity and payload."""

    count: int = 0
    checksum: int = 0

    def plus(self, event: UsageEvent) -> "Tally":
        """With one more event, or an entry that corrects one."""
        identity = [event.customer, event.key, event.fingerprint.hex()]
        digest = hashlib.sha256(canonical_json(identity).encode()).digest()
        checksum = (self.checksum + int.from_bytes(digest[:8])) % CHECKSUM_MODULUS
        return Tally(self.count + 1, checksum)


@dataclass(frozen=True, slots=True)
class DayCheck:
    """One UTC day of receipt, in the table and in the archive."""

    day: str
    table: Tally
    archive: Tally

    @property
    def is_equal(self) -> bool:
        """Whether both hold the same events."""
        return self.table == self.archive


def tally_by_day(events: Iterable[UsageEvent]) -> dict[str, Tally]:
    """The events of each UTC day of receipt, and the entries that correct them."""
    days: dict[str, Tally] = {}
    for event in events:
        day = utc_text(received(event))[:10]
        days[day] = days.get(day, Tally()).plus(event)
    return days


def once(events: Iterable[UsageEvent]) -> Iterator[UsageEvent]:
    """Each event, and each entry that corrects it, once, however many lines it has."""
    seen: set[tuple[str, bytes]] = set()
    for event in events:
        identity = (event.customer, bytes.fromhex(event.key))
        if identity not in seen:
            seen.add(identity)
            yield event


def compare(table: Mapping[str, Tally], archive: Mapping[str, Tally]) -> Iterator[DayCheck]:
    """Every day that either knows, in order."""
    for day in sorted(table.keys() | archive.keys()):
        yield DayCheck(day, table.get(day, Tally()), archive.get(day, Tally()))
