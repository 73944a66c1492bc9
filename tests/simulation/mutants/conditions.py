"""Planted bugs in conditions and checkpoints, in ingest and in quarantine."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from shared.domain import hour_writes
from shared.domain.checkpoints import Checkpoints, shard_hash
from shared.domain.events import UsageEvent, canonical_json
from shared.domain.folding import Fold
from shared.services import aggregate, ingest
from shared.services.changes import MarkRedriven, PutLedgerEntry, SaveAccount, SaveUsageHour
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.mutants.planting import Patch, mutant, unconditional

# -- conditions and checkpoints


@mutant
def account_version_not_checked() -> Sequence[Patch]:
    return [unconditional(SaveAccount)]


@mutant
def hour_checkpoint_not_checked() -> Sequence[Patch]:
    return [unconditional(SaveUsageHour)]


@mutant
def ledger_entry_overwritten() -> Sequence[Patch]:
    """Whoever comes last stands, and the journal knows less than a person's own entry."""
    return [unconditional(PutLedgerEntry)]


@mutant
def sequence_numbers_compared_as_text() -> Sequence[Patch]:
    def wrong(self: Checkpoints, shard: str, sequence: int) -> bool:
        position = self.positions.get(shard_hash(shard))
        return position is not None and str(sequence) <= str(position.sequence)

    return [(Checkpoints, "applied", wrong)]


@mutant
def account_checkpoint_skipped() -> Sequence[Patch]:
    def wrong(self: Fold, sequence: int) -> None:
        self._pending = True

    return [(Fold, "_advance", wrong)]


@mutant
def hour_checkpoint_skipped() -> Sequence[Patch]:
    add = hour_writes._add

    def wrong(hour: Any, *arguments: Any) -> Any:
        return replace(add(hour, *arguments), checkpoints=hour.checkpoints)

    return [(hour_writes, "_add", wrong)]


@mutant
def other_shards_checkpoints_dropped() -> Sequence[Patch]:
    advanced = Checkpoints.advanced

    def wrong(self: Checkpoints, shard: str, sequence: int, now: int) -> Checkpoints:
        return advanced(Checkpoints(), shard, sequence, now)

    return [(Checkpoints, "advanced", wrong)]


@mutant
def redelivered_record_counted_again() -> Sequence[Patch]:
    """Skips only what is below the checkpoint, not what is at it."""

    def wrong(self: Checkpoints, shard: str, sequence: int) -> bool:
        position = self.positions.get(shard_hash(shard))
        return position is not None and sequence < position.sequence

    return [(Checkpoints, "applied", wrong)]


# -- ingest


def _store_as(wrong_outcome: Callable[[str], str]) -> Patch:
    store = ingest.Ingest._store

    def wrong(self: Any, events: Any, keys: Any, prints: Any, known: Any) -> list[str]:
        outcomes = store(self, events, keys, prints, known)
        return [wrong_outcome(outcome) for outcome in outcomes]

    return ingest.Ingest, "_store", wrong


@mutant
def acknowledged_before_durable() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "accepted" if outcome == "unknown" else outcome)]


@mutant
def duplicate_accepted_as_new() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "accepted" if outcome == "duplicate" else outcome)]


@mutant
def changed_resend_called_duplicate() -> Sequence[Patch]:
    return [_store_as(lambda outcome: "duplicate" if outcome == "conflict" else outcome)]


@mutant
def fingerprint_without_data() -> Sequence[Patch]:
    def wrong(self: UsageEvent) -> bytes:
        return canonical_json([self.type]).encode()

    return [(UsageEvent, "fingerprint", property(wrong))]


# -- quarantine


@mutant
def unreadable_record_dropped() -> Sequence[Patch]:
    measured = aggregate._measured

    def wrong(records: Any, catalogue: Any) -> Any:
        return measured(records, catalogue)[0], []

    return [(aggregate, "_measured", wrong)]


@mutant
def quarantine_not_looked_up() -> Sequence[Patch]:
    return [(MemoryBillingStore, "quarantined", lambda *_: set())]


@mutant
def quarantined_applied_twice() -> Sequence[Patch]:
    """A redrive does not see that another came first."""
    right = MemoryBillingStore.quarantined_record

    def wrong(self: MemoryBillingStore, customer: str, key: str) -> Any:
        record = right(self, customer, key)
        return record and replace(record, redriven_at=None)

    return [(MemoryBillingStore, "quarantined_record", wrong), unconditional(MarkRedriven)]
