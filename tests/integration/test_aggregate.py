"""Events to totals, balances and ledger, through the real handlers on a real DynamoDB engine."""

from collections.abc import Iterator

import pytest

from local.emulator import Aws
from tests.integration.conftest import Tables
from tests.support.builders import HOUR, MARCH, usage
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


def test_events_reach_hours_account_and_ledger(meterline: Stack) -> None:
    events = [usage("flow", n, MARCH + n * HOUR) for n in range(5)]
    meterline.store(*events)
    pump = meterline.pump()
    pump.run()
    account = meterline.runtime.store.account("flow")
    assert account is not None
    assert [t.count for t in account.current.totals] == [0, 5, 5, 0]
    [opening, usage_entry] = meterline.ledger("flow")
    assert (opening.to_version, usage_entry.to_version) == (1, account.version)
