"""Test clocks: a month passes in one call, and comes out as if it had passed day by day."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from local.emulator import Aws
from shared.domain.customers import Customer
from shared.domain.errors import ConflictError, NotFoundError, UnavailableError
from shared.services.customers import creation
from shared.services.test_clocks import TestClocks
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, usage
from tests.support.stack import Stack, stack
from tests.support.streams import Pump

END = MAY + DAY


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@pytest.fixture(scope="module")
def pump(meterline: Stack) -> Pump:
    return meterline.pump()


@pytest.fixture
def clocks(meterline: Stack, pump: Pump) -> TestClocks:
    return meterline.test_clocks(pump)


def in_time() -> bool:
    return False


def live_on(meterline: Stack, clocks: TestClocks, *customers: str) -> str:
    """A clock at the start of March with these customers; its id."""
    clock = clocks.create(MARCH)
    runtime = meterline.runtime
    for key in customers:
        customer = Customer(key, created_at=MARCH, test_clock=clock.id)
        catalogue = runtime.catalogue.newest()
        changes = creation(runtime.store, catalogue, customer, MARCH, runtime.grace)
        runtime.store.commit(changes)
    return clock.id


def march_usage(meterline: Stack, customer: str) -> None:
    large = {"tokens": Decimal(900), "model": "large"}
    meterline.store(
        *(usage(customer, n, MARCH + n * DAY) for n in range(30)),
        usage(customer, "large", MARCH + HOUR, large),
    )


def what_is_billed(meterline: Stack, customer: str) -> list[Any]:
    """The invoices in order, less what names the customer and the series."""
    documents = reversed(meterline.runtime.store.invoices(customer, 1000, None).items)
    own = ("id", "customer", "number", "hash")
    return [{k: v for k, v in document.items() if k not in own} for document in documents]


def numbers(meterline: Stack, customer: str) -> list[str]:
    documents = reversed(meterline.runtime.store.invoices(customer, 1000, None).items)
    return [str(document["number"]) for document in documents]


def test_two_months_at_once_are_two_months_step_by_step(
    meterline: Stack, clocks: TestClocks
) -> None:
    at_once, stepwise = (live_on(meterline, clocks, name) for name in ("leaper", "walker"))
    for customer in ("leaper", "walker"):
        march_usage(meterline, customer)
    clocks.advance(at_once, END, in_time)
    now = MARCH
    while now < END:
        now = min(now + timedelta(days=4), END)
        clocks.advance(stepwise, now, in_time)
    assert what_is_billed(meterline, "leaper") == what_is_billed(meterline, "walker")
    assert len(what_is_billed(meterline, "leaper")) == 3
    store = meterline.runtime.store
    leaper, walker = store.account("leaper"), store.account("walker")
    assert leaper is not None
    assert walker is not None
    assert (leaper.phases, leaper.grants) == (walker.phases, walker.grants)
    for customer, account in (("leaper", leaper), ("walker", walker)):
        entries = meterline.ledger(customer)
        assert entries[-1].to_version == account.version
        versions = [0, *(entry.to_version for entry in entries)]
        assert versions[:-1] == [entry.from_version for entry in entries]


def test_each_clock_numbers_its_invoices_and_leaves_the_real_series_alone(
    meterline: Stack, clocks: TestClocks
) -> None:
    clock = live_on(meterline, clocks, "first", "second")
    clocks.advance(clock, APRIL + HOUR, in_time)
    found = sorted(numbers(meterline, "first") + numbers(meterline, "second"))
    assert found == [f"TEST-{clock}-{n:06d}" for n in range(1, 5)]
    assert meterline.runtime.store.last_invoice_number("INV") == 0


def test_the_machines_billing_run_leaves_customers_on_test_clocks_alone(
    meterline: Stack, clocks: TestClocks
) -> None:
    live_on(meterline, clocks, "aside")
    far = datetime(2100, 1, 1, tzinfo=MARCH.tzinfo)
    assert "aside" not in meterline.runtime.store.due_customers(far)


def test_usage_that_arrives_between_two_advances_is_billed(
    meterline: Stack, clocks: TestClocks
) -> None:
    clock = live_on(meterline, clocks, "between")
    clocks.advance(clock, APRIL - HOUR, in_time)
    march_usage(meterline, "between")
    clocks.advance(clock, APRIL + HOUR, in_time)
    [_, invoice] = what_is_billed(meterline, "between")
    counts = [x["events"]["count"] for x in invoice["lines"] if x["type"] == "usage"]
    assert counts == [1, 30, 31]


def test_an_advance_that_ran_out_of_time_goes_on_where_it_stopped(
    meterline: Stack, clocks: TestClocks
) -> None:
    clock = live_on(meterline, clocks, "slow")
    march_usage(meterline, "slow")
    looks = iter([False, True])
    with pytest.raises(UnavailableError):
        clocks.advance(clock, END, lambda: next(looks))
    assert clocks.get(clock).now == APRIL
    clocks.advance(clock, END, in_time)
    assert clocks.get(clock).now == END
    assert len(what_is_billed(meterline, "slow")) == 3


def test_a_clock_only_moves_forward(meterline: Stack, clocks: TestClocks) -> None:
    clock = live_on(meterline, clocks)
    clocks.advance(clock, APRIL, in_time)
    assert clocks.advance(clock, APRIL, in_time).now == APRIL
    with pytest.raises(ConflictError):
        clocks.advance(clock, MARCH, in_time)


def test_a_removed_clock_leaves_nothing_behind(
    meterline: Stack, clocks: TestClocks, pump: Pump
) -> None:
    clock = live_on(meterline, clocks, "leaver")
    march_usage(meterline, "leaver")
    clocks.advance(clock, APRIL + HOUR, in_time)
    meterline.store(usage("leaver", "in-flight", APRIL))
    clocks.delete(clock)
    pump.run()
    client = meterline.aws.client("dynamodb")
    for table in (meterline.events_table, meterline.billing_table):
        left = client.scan(TableName=table)["Items"]
        assert [item for item in left if "leaver" in str(item) or clock in str(item)] == []
    with pytest.raises(NotFoundError):
        clocks.get(clock)
