"""What every store of usage days does, in memory and on DynamoDB."""

import os
import uuid
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from local.emulator import Aws
from shared.adapters.dynamodb.billing_store import DynamoBillingStore
from shared.adapters.dynamodb.usage_days import DynamoUsageDays
from shared.domain.customers import Customer
from shared.domain.distinct import DistinctValue, ValueKey
from shared.domain.events import Mark
from shared.domain.usage_days import DayKey, UsageDay
from shared.domain.usage_hours import HourKey, Quarter, UsageHour
from shared.services.changes import CreateCustomer
from shared.services.usage_days import UsageDayStore
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.usage_days import MemoryUsageDays
from tests.integration.conftest import Tables
from tests.support.builders import HOUR, MARCH

DAY = timedelta(days=1)
DIMENSIONS = (("model", "größe 9"), ("region", ""))


@pytest.fixture(params=["memory", "emulator"])
def customer_and_days(request: pytest.FixtureRequest) -> tuple[Customer, UsageDayStore]:
    customer = Customer(f"c-{uuid.uuid4().hex[:12]}", MARCH)
    if request.param == "memory":
        memory = MemoryBillingStore()
        memory.commit([CreateCustomer(customer)])
        return customer, MemoryUsageDays(memory)
    aws: Aws = request.getfixturevalue("aws")
    tables: Tables = request.getfixturevalue("tables")
    client = aws.client("dynamodb")
    DynamoBillingStore(client, tables.billing_table).commit([CreateCustomer(customer)])
    return customer, DynamoUsageDays(client, tables.billing_table)


def a_day(customer: Customer) -> UsageDay:
    """A day with everything that can be kept."""
    of = customer.key, "tokens"
    late = Mark(Decimal(1772323200000000), ("app", "id-1"), Decimal("-0.5"))
    hours = [
        UsageHour(
            HourKey(*of, MARCH + 23 * HOUR, DIMENSIONS),
            (Quarter(2, Decimal("0.000000001"), 0), Quarter(), Quarter(-1, Decimal(-7)), Quarter()),
        ),
        UsageHour(
            HourKey(*of, MARCH, (), other=True),
            (Quarter(), Quarter(1, Decimal("-0.5"), 0, late), Quarter(), Quarter()),
        ),
        UsageHour(HourKey(*of, MARCH, (), backfilled=True), (Quarter(1, Decimal(1)),) * 4),
    ]
    values = [
        DistinctValue(ValueKey(*of, MARCH, DIMENSIONS, "f0f0"), frozenset([0, 95])),
        DistinctValue(ValueKey(*of, MARCH, (), "e1", other=True), frozenset()),
    ]
    return UsageDay(DayKey(*of, MARCH), 0, (*hours, *values), MARCH + 3 * DAY)


def held(days: UsageDayStore, customer: Customer) -> UsageDay:
    """What is kept of the day that `a_day` makes."""
    return days.opening(customer.key, "tokens", [MARCH])[1][MARCH]


def test_a_copy_comes_back_whole_with_the_profile(
    customer_and_days: tuple[Customer, UsageDayStore],
) -> None:
    customer, days = customer_and_days
    day = a_day(customer)
    days.roll_up(day)
    days.roll_up(day)
    found = days.opening(customer.key, "tokens", [MARCH, MARCH + DAY])
    nothing = UsageDay(day.key._replace(day=MARCH + DAY))
    assert found == (customer, {MARCH: day, MARCH + DAY: nothing})
    assert days.opening(customer.key, "messages", [MARCH])[1][MARCH].kept is None
    assert days.opening("nobody-" + customer.key, "tokens", []) == (None, {})


def test_a_day_without_usage_has_a_copy_too(
    customer_and_days: tuple[Customer, UsageDayStore],
) -> None:
    customer, days = customer_and_days
    empty = replace(a_day(customer), kept=())
    days.roll_up(empty)
    assert held(days, customer) == empty


def test_a_copy_holds_until_a_change_is_noted(
    customer_and_days: tuple[Customer, UsageDayStore],
) -> None:
    customer, days = customer_and_days
    day = a_day(customer)
    days.roll_up(day)
    days.note_changes([day.key, day.key._replace(meter="messages")])
    changed = UsageDay(day.key, 1)
    assert held(days, customer) == changed
    # What was read before the change comes too late to be kept; what was read after it does not.
    days.roll_up(day)
    assert held(days, customer) == changed
    again = replace(day, changes=1)
    days.roll_up(again)
    assert held(days, customer) == again
    days.note_changes([day.key])
    days.roll_up(again)
    assert held(days, customer) == UsageDay(day.key, 2)


def test_a_day_that_fits_no_item_is_not_kept(aws: Aws, tables: Tables) -> None:
    days = DynamoUsageDays(aws.client("dynamodb"), tables.billing_table)
    key = DayKey(f"c-{uuid.uuid4().hex}", "tokens", MARCH)
    values = tuple(
        DistinctValue(ValueKey(*key, (), os.urandom(16).hex()), frozenset([1]))
        for _ in range(25_000)
    )
    days.roll_up(UsageDay(key, 0, values, MARCH + 3 * DAY))
    assert days.opening(key.customer, "tokens", [MARCH])[1][MARCH].kept is None
