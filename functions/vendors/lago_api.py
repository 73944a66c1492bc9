"""Lago's look at one event."""

from itertools import islice

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.vendors._lago import DIALECT
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.events import UsageEvent, canonical_json, event_key
from shared.services.segments import all_customers
from shared.services.usage_query import MAX_CUSTOMERS
from shared.wire.common import Identifier
from shared.wire.vendors.lago import SOURCE, FoundEventQuery, stored_event_answer

router = Router()


@router.route(
    "GET",
    "/api/v1/events/{transaction}",
    scope="read",
    summary="Lago: an event by its transaction_id",
    query=FoundEventQuery,
    dialect=DIALECT,
)
def find_lago_event(request: Request, runtime: Runtime, query: FoundEventQuery) -> Answer:
    key = event_key(SOURCE, validate(Identifier, request.parameters["transaction"]))
    event = _found(runtime, key, query.external_subscription_id)
    return Answer(canonical_json({"event": stored_event_answer(event)}))


def _found(runtime: Runtime, key: str, customer: str | None) -> UsageEvent:
    """The event, looked for with every customer unless one is named.

    Raises: NotFoundError; InvalidError where there are too many customers to look.
    """
    customers = [customer] if customer is not None else _customers(runtime)
    found = runtime.spread(lambda each: runtime.event_index.get(each, key), customers)
    event = next((each for each in found if each is not None), None)
    if event is None:
        raise NotFoundError("No such event.")
    return event


def _customers(runtime: Runtime) -> list[str]:
    keys = [c.key for c in islice(all_customers(runtime.books.store), MAX_CUSTOMERS + 1)]
    if len(keys) > MAX_CUSTOMERS:
        problem = Problem("/external_subscription_id", "required")
        raise InvalidError("There are too many customers: name the event's.", [problem])
    return keys
