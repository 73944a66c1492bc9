"""Raw events by time, notes and test clocks: what simulation has in memory is as on DynamoDB."""

import time
import uuid
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from local.emulator import Aws
from shared.adapters.dynamodb.billing_store import DynamoBillingStore
from shared.adapters.dynamodb.reconciliation import DynamoRawEvents, DynamoReconciliationStore
from shared.adapters.dynamodb.test_clocks import DynamoClockStore
from shared.adapters.dynamodb.usage_events import DynamoEventStore
from shared.domain.errors import VersionConflictError
from shared.services.catalogue import CachedCatalogue
from shared.services.ingest import EventStore
from shared.services.reconciliation import JournalGap, RawEvent, RawEvents, Reconciliation
from shared.services.store import BillingStore
from shared.services.test_clocks import TestClock
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.clocks import MovingClocks
from tests.fakes.events import MemoryEventStore
from tests.fakes.reconciliation import MemoryRawEvents, MemoryReconciliationNotes
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, DAY, HOUR, MARCH, usage

MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True)
class Kept:
    """One engine's stores; `customer` is nobody whom another test knows."""

    events: EventStore
    raw: RawEvents
    notes: DynamoReconciliationStore | MemoryReconciliationNotes
    clocks: DynamoClockStore | MovingClocks
    billing: BillingStore
    customer: str


@pytest.fixture(params=["memory", "emulator"])
def kept(request: pytest.FixtureRequest) -> Kept:
    customer = f"c-{uuid.uuid4().hex[:12]}"
    if request.param == "memory":
        events, billing = MemoryEventStore(), MemoryBillingStore()
        notes, clocks = MemoryReconciliationNotes(), MovingClocks(billing)
        return Kept(events, MemoryRawEvents(events), notes, clocks, billing, customer)
    aws: Aws = request.getfixturevalue("aws")
    names: Tables = request.getfixturevalue("tables")
    client: Any = aws.client("dynamodb")
    catalogue = CachedCatalogue(MemoryCatalogueStore(), time.monotonic)
    return Kept(
        DynamoEventStore(client, names.events_table),
        DynamoRawEvents(client, names.events_table),
        DynamoReconciliationStore(client, names.billing_table),
        DynamoClockStore(client, names.events_table, names.billing_table, catalogue),
        DynamoBillingStore(client, names.billing_table),
        customer,
    )


def test_raw_events_come_in_order_of_time_over_the_ends_of_months(kept: Kept) -> None:
    instants = (APRIL, MARCH, APRIL - MICROSECOND, MARCH + DAY, APRIL + HOUR)
    events = [usage(kept.customer, n, at) for n, at in enumerate(instants)]
    kept.events.insert(events)
    kept.events.insert([usage(kept.customer + "x", 1, MARCH)])
    whole = [events[n] for n in (1, 3, 2, 0)]
    found = list(kept.raw.between(kept.customer, MARCH, APRIL + HOUR))
    assert found == [RawEvent(event.key, event) for event in whole]
    assert [r.event for r in kept.raw.between(kept.customer, MARCH, APRIL)] == whole[:3]
    assert list(kept.raw.between(kept.customer, MARCH + MICROSECOND, MARCH + DAY)) == []
    assert kept.raw.first(kept.customer, MARCH, APRIL) == MARCH
    assert kept.raw.first(kept.customer, MARCH + MICROSECOND, APRIL + DAY) == MARCH + DAY
    assert kept.raw.first(kept.customer, MARCH + HOUR, MARCH + DAY) is None


def test_events_that_come_later_take_their_place_in_time(kept: Kept) -> None:
    later, earlier = (usage(kept.customer, n, at) for n, at in enumerate((MARCH + HOUR, MARCH)))
    kept.events.insert([later])
    assert kept.raw.first(kept.customer, MARCH, APRIL) == later.occurred_at
    kept.events.insert([earlier])
    found = [raw.event for raw in kept.raw.between(kept.customer, MARCH, APRIL)]
    assert found == [earlier, later]


def test_a_note_is_kept_whole_and_replaced(kept: Kept) -> None:
    assert kept.notes.reconciliation(kept.customer) is None
    note = Reconciliation(
        kept.customer,
        judged_until=APRIL,
        settled_until=MARCH,
        postponed=(MARCH + HOUR, MARCH + DAY),
        ledger_version=7,
        gap=JournalGap(9, APRIL + MICROSECOND),
        checked_at=APRIL + HOUR,
        clean_at=APRIL,
        findings=("one", "two"),
        busy={"tokens": APRIL, "a.b#c": MARCH},
    )
    for each in (Reconciliation(kept.customer), note, replace(note, gap=None, findings=())):
        kept.notes.save(each)
        assert kept.notes.reconciliation(kept.customer) == each


def test_a_clock_never_goes_back(kept: Kept) -> None:
    clock = TestClock(f"clk_{uuid.uuid4().hex}", MARCH)
    with pytest.raises(VersionConflictError):
        kept.clocks.move(clock)
    kept.clocks.create(clock)
    for stands_at in (MARCH, APRIL):
        kept.clocks.move(replace(clock, now=stands_at))
        assert kept.billing.clock(clock.id) == stands_at
    with pytest.raises(VersionConflictError):
        kept.clocks.move(clock)
    assert kept.billing.clock(clock.id) == APRIL
    with pytest.raises(VersionConflictError):
        kept.clocks.create(clock)
