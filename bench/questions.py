"""What questions about usage cost to read."""

from collections.abc import Iterator, Sequence

from shared.domain.customers import Customer
from shared.services.changes import CreateCustomer
from shared.services.usage_query import UsageQuestion
from tests.support.builders import APRIL, HOUR, MARCH
from tests.support.capacity import Consumed, consumed
from tests.support.faults import WRITES
from tests.support.stack import Stack
from tests.support.usage import Dimensions, models, put_hours

HOURS = (APRIL - MARCH) // HOUR
MODELS = (1, 5, 10, 50)  # combinations of dimension values in each hour
CUSTOMERS = 20


def question_figures(meterline: Stack) -> Iterator[tuple[str, str]]:
    """Each figure with its name."""
    for number in MODELS:
        customer = f"asked{number}"
        _keep(meterline, customer, HOURS, models(number) if number > 1 else ((),))
        name = f"question: a month, {number} combinations in every hour"
        for times in ("first", "again"):
            used = _asked(meterline, UsageQuestion("tokens", (customer,), None, MARCH, APRIL))
            yield f"{name}, {times}", _figure(used)
    many = tuple(f"asked-many{number}" for number in range(CUSTOMERS))
    for customer in many:
        _keep(meterline, customer, 24)
    used = _asked(meterline, UsageQuestion("tokens", many, None, MARCH, APRIL))
    yield f"question: a month of {CUSTOMERS} customers, a day of hours each", _figure(used)


def _keep(
    meterline: Stack, customer: str, hours: int, groups: Sequence[Dimensions] = ((),)
) -> None:
    """A known customer with usage in each hour and group."""
    meterline.runtime.store.commit([CreateCustomer(Customer(customer, MARCH))])
    at = (MARCH + number * HOUR for number in range(hours))
    put_hours(meterline.runtime.dynamodb, meterline.billing_table, customer, at, groups)


def _asked(meterline: Stack, question: UsageQuestion) -> Consumed:
    """What a question costs a function that has the catalogue at hand."""
    meterline.runtime.catalogue.newest()
    with consumed(meterline.runtime.dynamodb) as used:
        meterline.runtime.usage_queries.usage(question)
    return used


def _figure(used: Consumed) -> str:
    writes = f", {used.write_units:g} write units" if used.write_units else ""
    reads = [each for each in used.requests if each not in WRITES]
    return f"{len(reads)} requests, {used.read_units} read units{writes}"
