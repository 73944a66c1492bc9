"""What questions about usage cost to read."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from decimal import Decimal

from shared.adapters.dynamodb.billing_items import usage_hour_item
from shared.adapters.dynamodb.reads import chunks
from shared.domain.checkpoints import Checkpoints
from shared.domain.customers import Customer
from shared.domain.usage_hours import HourKey, Quarter, UsageHour
from shared.services.changes import CreateCustomer
from shared.services.usage_query import UsageQuestion
from tests.support.builders import APRIL, MARCH
from tests.support.capacity import Consumed, consumed
from tests.support.stack import Stack

HOURS = (APRIL - MARCH) // timedelta(hours=1)
MODELS = (1, 5, 10)  # combinations of dimension values in each hour
CUSTOMERS = 20

Dimensions = tuple[tuple[str, str], ...]


def question_figures(meterline: Stack) -> Iterator[tuple[str, str]]:
    """Each figure with its name."""
    for models in MODELS:
        customer = f"asked{models}"
        groups = [(("model", f"model-{number}"),) for number in range(models)]
        _keep(meterline, customer, groups if models > 1 else [()], HOURS)
        used = _asked(meterline, UsageQuestion("tokens", (customer,), None, MARCH, APRIL))
        yield f"question: a month, {models} combinations in every hour", _figure(used)
    many = tuple(f"asked-many{number}" for number in range(CUSTOMERS))
    for customer in many:
        _keep(meterline, customer, [()], 24)
    used = _asked(meterline, UsageQuestion("tokens", many, None, MARCH, APRIL))
    yield f"question: a month of {CUSTOMERS} customers, a day of hours each", _figure(used)


def _keep(meterline: Stack, customer: str, groups: Sequence[Dimensions], hours: int) -> None:
    """A known customer with usage in each hour and group."""
    meterline.runtime.store.commit([CreateCustomer(Customer(customer, MARCH))])
    checkpoints = Checkpoints().advanced("shardId-000000000000", 10**38, 1_800_000_000)
    quarter = Quarter(1234, Decimal("567890.125"), 2**63 + 1)
    items = [
        usage_hour_item(
            UsageHour(
                HourKey(customer, "tokens", MARCH + number * timedelta(hours=1), dimensions),
                (quarter, quarter, quarter, quarter),
                checkpoints,
            )
        )
        for number in range(hours)
        for dimensions in groups
    ]
    for chunk in chunks(items, 25):
        puts = [{"PutRequest": {"Item": item}} for item in chunk]
        meterline.runtime.dynamodb.batch_write_item(RequestItems={meterline.billing_table: puts})


def _asked(meterline: Stack, question: UsageQuestion) -> Consumed:
    """What a question costs a function that has the catalogue at hand."""
    meterline.runtime.catalogue.newest()
    with consumed(meterline.runtime.dynamodb) as used:
        meterline.runtime.usage_queries.usage(question)
    return used


def _figure(used: Consumed) -> str:
    return f"{len(used.requests)} requests, {used.read_units} read units"
