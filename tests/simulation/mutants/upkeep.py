"""Planted bugs in the ledger, reconciliation, outages and test clocks."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock

from shared.domain.accounts import Account
from shared.domain.errors import VersionConflictError
from shared.services import aggregate, bookkeeping, journal, looks, reconcile, recounting, repairing
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.faults import SkewedClock
from tests.simulation.mutants.planting import Patch, mutant

# -- ledger


@mutant
def journal_skips_versions() -> Sequence[Patch]:
    right = journal.journal_entry

    def wrong(change: Any) -> Any:
        if change.after.version % 7 == 3:
            raise VersionConflictError
        return right(change)

    return [(journal, "journal_entry", wrong)]


@mutant
def entry_holds_the_balance_before() -> Sequence[Patch]:
    right = journal.journal_entry

    def wrong(change: Any) -> Any:
        entry = right(change)
        before = change.before.grants if change.before else {}
        return replace(entry, remaining={unit: dict(left) for unit, left in before.items()})

    return [(journal, "journal_entry", wrong)]


# -- reconciliation, outages, test clocks


@mutant
def only_late_taken_for_lost() -> Sequence[Patch]:
    """Judges by what came a moment ago, and does not wait for the stream."""
    right = recounting.Recounting.look

    def wrong(self: Any, customer: str, spans: Any, _: Any, now: Any) -> Any:
        return right(self, customer, spans, now + timedelta(days=1), now)

    undrained = (reconcile.Reconciler, "_drain", lambda *_: None)
    return [(recounting.Recounting, "look", wrong), undrained]


@mutant
def repair_applied_twice() -> Sequence[Patch]:
    """What was repaired is found missing once more, in items as they are now."""
    right = repairing.Repairing.repair

    def wrong(self: Any, look: Any, now: Any) -> Any:
        missing = dict(look.missing)
        outcome = right(self, look, now)
        right(self, replace(look, missing=missing), now)
        return outcome

    return [(repairing.Repairing, "repair", wrong)]


@mutant
def trim_unnoticed() -> Sequence[Patch]:
    return [(looks.Look, "right", property(lambda _: True))]


@mutant
def ledger_gap_not_spanned() -> Sequence[Patch]:
    def wrong(self: Any, note: Any, account: Account, now: Any) -> Any:
        return replace(note, ledger_version=account.version, gap=None), 0, []

    return [(bookkeeping.Bookkeeping, "ledger", wrong)]


@mutant
def verdict_forgotten_after_two_days() -> Sequence[Patch]:
    """Quarantine is looked up only while the stream should still have the record."""
    right = aggregate.Aggregator._read

    def wrong(self: Any, *arguments: Any) -> Any:
        quarantined = MemoryBillingStore.quarantined

        def recent(store: MemoryBillingStore, customer: str, keys: Any) -> set[str]:
            since = self.clock.now() - timedelta(hours=48)
            aside = store.aside.get(customer, {})
            found = quarantined(store, customer, keys)
            return {key for key in found if aside[key].quarantined_at > since}

        with mock.patch.object(MemoryBillingStore, "quarantined", recent):
            return right(self, *arguments)

    return [(aggregate.Aggregator, "_read", wrong)]


@mutant
def checkpoints_aged_by_the_test_clock() -> Sequence[Patch]:
    right = aggregate.Aggregator._attempt

    def wrong(self: Any, shard: str, customer: str, *arguments: Any) -> Any:
        profile = self.store.customer(customer)
        stands_at = self.store.clock(profile.test_clock) if profile else None
        clock = SkewedClock(lambda: stands_at, timedelta()) if stands_at else self.clock
        return right(replace(self, clock=clock), shard, customer, *arguments)

    return [(aggregate.Aggregator, "_attempt", wrong)]
