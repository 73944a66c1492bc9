"""Finding an event by its id alone, for vendors whose requests do not name its customer."""

from itertools import islice

from functions._runtime import Runtime
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.events import UsageEvent
from shared.services.segments import all_customers
from shared.services.usage_query import MAX_CUSTOMERS


def found(runtime: Runtime, key: str, customer: str | None, pointer: str) -> UsageEvent:
    """The event, looked for with every customer unless one is named; `pointer` is where.

    Raises: NotFoundError; InvalidError where there are too many customers to look.
    """
    customers = [customer] if customer is not None else _customers(runtime, pointer)
    events = runtime.spread(lambda each: runtime.event_index.get(each, key), customers)
    event = next((each for each in events if each is not None), None)
    if event is None:
        raise NotFoundError("No such event.")
    return event


def _customers(runtime: Runtime, pointer: str) -> list[str]:
    keys = [c.key for c in islice(all_customers(runtime.books.store), MAX_CUSTOMERS + 1)]
    if len(keys) > MAX_CUSTOMERS:
        problem = Problem(pointer, "required")
        raise InvalidError("There are too many customers: name the event's.", [problem])
    return keys
