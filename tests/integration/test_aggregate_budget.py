"""What an event costs to store, apply and journal, in the engine's own write units."""

import itertools
from collections.abc import Iterator

import pytest

from local.emulator import Aws
from tests.integration.conftest import Tables
from tests.support.builders import MARCH, usage
from tests.support.capacity import consumed, storing_units
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

numbers = itertools.count()


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@pytest.mark.parametrize(("together", "budget"), [(100, 2.05), (10, 2.4), (1, 5.0)])
def test_write_units_of_an_event_that_feeds_one_meter(
    meterline: Stack, together: int, budget: float
) -> None:
    """The customer exists and its period is open, and the type of the events has been seen.

    The index and the ledger are included.
    """
    client = meterline.runtime.dynamodb
    customer = f"budget{together}"
    meterline.apply([usage_record(usage(customer, "first", MARCH), 1)])
    pump = meterline.pump()
    pump.run()
    gigabyte = {"gb": 1, "note": "x" * 200}
    meterline.runtime.event_types.note([usage(customer, "like", MARCH, gigabyte, type="disk")])
    events = [usage(customer, n, MARCH, gigabyte, type="disk") for n in range(together)]
    with consumed(client) as used:
        meterline.store(*events)
        pump.run()
    stored = sum(storing_units(client, meterline.events_table, event) for event in events)
    account = meterline.runtime.store.account(customer)
    assert account is not None
    assert account.current.totals[3].count == together
    assert [entry.to_version for entry in meterline.ledger(customer)][-1] == account.version
    # The engine reports PartiQL inserts as one unit each, without their place in the index.
    units = used.write_units - together + stored
    assert units / together <= budget
