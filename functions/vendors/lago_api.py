"""Lago's look at one event."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.vendors._finding import found
from functions.vendors._lago import DIALECT
from shared.domain.events import canonical_json, event_key
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
    customer = query.external_subscription_id
    event = found(runtime, key, customer, "/external_subscription_id")
    return Answer(canonical_json({"event": stored_event_answer(event)}))
