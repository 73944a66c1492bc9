"""How far each stream shard has been applied to one item.

A stream delivers a shard's records in order and at least once. An item that is written under a
checkpoint takes each record once: a record at or below its shard's number was applied before.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

ENTRY_BYTES = 29  # shard hash 8, sequence number 17, last use 4
# Shards turn over about every four hours and a record is redelivered for at most 24 hours.
LIFETIME_SECONDS = 48 * 3600


@dataclass(frozen=True, slots=True)
class Position:
    """The last applied sequence number of a shard and when (Unix seconds, the machine's clock)."""

    sequence: int
    used_at_seconds: int


@dataclass(frozen=True, slots=True)
class Checkpoints:
    """Positions by shard hash. Sequence numbers are digit strings of unequal length: integers."""

    positions: Mapping[bytes, Position] = field(default_factory=dict)

    def applied(self, shard: str, sequence: int) -> bool:
        """Whether the shard's record with this number was applied already."""
        position = self.positions.get(shard_hash(shard))
        return position is not None and sequence <= position.sequence

    def following(self, writer: str) -> int:
        """The next number of a writer that counts its own writes, unlike a shard."""
        position = self.positions.get(shard_hash(writer))
        return 1 if position is None else position.sequence + 1

    def advanced(self, shard: str, sequence: int, now_seconds: int) -> "Checkpoints":
        """The checkpoints after applying up to `sequence`; those unused for 48 hours are let go."""
        oldest = now_seconds - LIFETIME_SECONDS
        kept = {k: p for k, p in self.positions.items() if p.used_at_seconds >= oldest}
        kept[shard_hash(shard)] = Position(sequence, now_seconds)
        return Checkpoints(kept)

    def pack(self) -> bytes:
        """The stored form: 29 bytes a shard, sorted by shard hash."""
        return b"".join(
            shard + p.sequence.to_bytes(17) + p.used_at_seconds.to_bytes(4)
            for shard, p in sorted(self.positions.items())
        )

    @staticmethod
    def unpack(packed: bytes) -> "Checkpoints":
        """The checkpoints that `pack` stored."""
        positions = {}
        for at in range(0, len(packed), ENTRY_BYTES):
            entry = packed[at : at + ENTRY_BYTES]
            sequence, used_at = int.from_bytes(entry[8:25]), int.from_bytes(entry[25:])
            positions[entry[:8]] = Position(sequence, used_at)
        return Checkpoints(positions)


@lru_cache(maxsize=256)
def shard_hash(shard: str) -> bytes:
    """8 bytes that stand for a shard id."""
    return hashlib.sha256(shard.encode()).digest()[:8]
