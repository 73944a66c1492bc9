"""Reconciliation in a seed: passes at any time, and at the end until everything is right."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.domain.errors import MeterlineError, NotFoundError
from shared.services.bookkeeping import Bookkeeping
from shared.services.phase_check import PhaseCheck
from shared.services.reconcile import Pass, Reconciler
from shared.services.recounting import Recounting
from shared.services.repairing import Repairing
from shared.services.revaluing import Revaluing
from shared.services.store import BarrierStore, CatalogueSource, Clock
from tests.fakes.events import MemoryEventStore
from tests.fakes.reconciliation import MemoryRawEvents, MemoryReconciliationNotes
from tests.simulation.faults import Crash, FaultyStore, Storm

SETTLE = timedelta(hours=48)


@dataclass
class Mending:
    """The reconciler on storage that fails, and who reads its findings.

    `troubles` is what the last pass over each customer found that it should not have found.
    """

    rng: random.Random
    storm: Storm
    seen: Counter[str]
    events: MemoryEventStore
    cured: Callable[[tuple[str, str]], dict[str, Any]]  # raw events as they were before the poison
    notes: MemoryReconciliationNotes = field(default_factory=MemoryReconciliationNotes)
    troubles: dict[str, list[str]] = field(default_factory=dict)
    reconciler: Reconciler = field(init=False)
    revaluing: Revaluing = field(init=False)

    def compose(
        self,
        *,
        store: Any,
        barriers: BarrierStore,
        catalogue: CatalogueSource,
        clock: Clock,
        grace: timedelta,
        sleep: Callable[[float], None],
    ) -> None:
        """One container's reconciler."""
        raw: Any = FaultyStore(MemoryRawEvents(self.events), self.storm)
        notes: Any = FaultyStore(self.notes, self.storm, "save")
        index: Any = self.events  # Looks events up by identity, and nothing else.
        phases = PhaseCheck(store, raw, index)
        recounting = Recounting(store, raw, catalogue, phases)
        self.revaluing = Revaluing(store, recounting, clock)
        self.reconciler = Reconciler(
            store=store,
            notes=notes,
            raw=raw,
            barriers=barriers,
            catalogue=catalogue,
            clock=clock,
            recounting=recounting,
            repairing=Repairing(store, grace),
            bookkeeping=Bookkeeping(store, catalogue),
            settle=SETTLE,
            sleep=sleep,
            revalue=self.revaluing.revalue,
        )

    def reconcile(self, customer: str, *, again: bool) -> Pass | None:
        """One pass; None if it did not come to its end."""
        try:
            result = self.reconciler.reconcile(customer, self._out_of_time, again=again)
        except NotFoundError:
            self.seen["branch: reconciliation of a customer that is none yet"] += 1
            return Pass()
        except (Crash, MeterlineError):
            self.seen["branch: reconciliation delayed"] += 1
            return None
        self.seen["branch: event repaired"] += result.repaired
        self.seen["branch: ledger gap spanned"] += result.spanned
        self.seen["branch: reconciliation contradicted"] += bool(result.findings)
        self.seen["branch: reconciliation to go on later"] += not result.finished
        self.seen["branch: reconciliation clean"] += result == Pass()
        return result

    def heed(self, findings: Sequence[str]) -> None:
        """People repair the raw events that findings name."""
        for place in self.events.items:
            if any(place[1] in finding for finding in findings):
                self.seen["branch: raw event cured that was lost before it was set aside"] += 1
                self.events.items[place] = self.cured(place)

    def waits(self) -> bool:
        """Whether a ledger gap has been seen and is not judged yet."""
        return any(note.gap is not None for note in self.notes.notes.values())

    def _out_of_time(self) -> bool:
        return self.storm.on and self.rng.random() < 0.1


def troubles(results: dict[str, Pass | None]) -> dict[str, list[str]]:
    """What the last passes over settled books found, where they should have found nothing."""
    found: dict[str, list[str]] = {}
    for customer, result in results.items():
        if result is None:
            found[customer] = ["the pass did not come to its end"]
        elif result != Pass():
            repaired = f"{result.repaired} repaired, {result.spanned} spanned"
            found[customer] = [*result.findings, repaired]
    return found
