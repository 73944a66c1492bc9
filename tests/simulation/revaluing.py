"""What counts stale values anew in a seed: one container's, on storage that fails."""

from typing import Any

from shared.services.phase_check import PhaseCheck
from shared.services.recounting import Recounting
from shared.services.revaluing import Revaluing
from tests.fakes.reconciliation import MemoryRawEvents
from tests.simulation.faults import FaultyStore
from tests.simulation.tables import Tables


def a_revaluing(tables: Tables) -> Revaluing:
    """With a catalogue and a clock of its own."""
    raw: Any = FaultyStore(MemoryRawEvents(tables.events), tables.storm)
    index: Any = tables.events  # Looks events up by identity, and nothing else.
    phases = PhaseCheck(tables.store, raw, index)
    recounting = Recounting(tables.store, raw, tables.cached_catalogue(), phases)
    return Revaluing(tables.store, recounting, tables.clock())
