"""The runtime that routes need around a catalogue store in memory."""

from datetime import UTC, datetime
from types import SimpleNamespace

from shared.services.catalogue import CatalogueService
from shared.services.cursors import Cursors
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore

NOW = datetime(2026, 3, 1, tzinfo=UTC)

__all__ = ["NOW", "MemoryCatalogueStore", "fake_runtime"]


def fake_runtime(store: MemoryCatalogueStore) -> SimpleNamespace:
    no_backfills = SimpleNamespace(progress=SimpleNamespace(get=lambda _: None))
    return SimpleNamespace(
        backfilled_usage=no_backfills,
        catalogue_service=CatalogueService(store),
        store=MemoryBillingStore(),
        clock=SimpleNamespace(now=lambda: NOW),
        cursors=Cursors(b"k" * 32),
    )
