"""OpenMeter's meter queries."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import gathered
from functions.routes._common import accepts
from functions.vendors._openmeter import DIALECT
from functions.vendors._usage import answer_that_fits, refuse_dimension_named_customer, usage_of
from shared.domain.errors import InvalidError, NotFoundError
from shared.domain.events import canonical_json
from shared.services.usage_query import Usage
from shared.wire.vendors.common import renamed
from shared.wire.vendors.openmeter import MeterQuery, query_answer, query_csv

CSV = "text/csv"
# Parts of pointers as usage queries say them, in their words.
FIELDS = {"/group_by": "/groupBy", "/filter": "/filterGroupBy", "/window": "/windowSize"}

router = Router()


@router.route(
    "GET",
    "/api/v1/meters/{meter}/query",
    scope="read",
    summary="OpenMeter: usage of a meter",
    query=MeterQuery,
    dialect=DIALECT,
    read_query=gathered(("subject", "filterCustomerId", "groupBy"), ("filterGroupBy",)),
)
def query_meter(request: Request, runtime: Runtime, query: MeterQuery) -> Answer:
    return _answer(request, runtime, query)


@router.route(
    "POST",
    "/api/v1/meters/{meter}/query",
    scope="read",
    summary="OpenMeter: usage of a meter, the question in the body",
    body=MeterQuery,
    dialect=DIALECT,
)
def query_meter_by_body(request: Request, runtime: Runtime, body: MeterQuery) -> Answer:
    return _answer(request, runtime, body)


def _answer(request: Request, runtime: Runtime, query: MeterQuery) -> Answer:
    found = _usage(runtime, request.parameters["meter"], query)
    if accepts(request, CSV):
        return answer_that_fits(query_csv(query, found), "/groupBy", CSV)
    return answer_that_fits(canonical_json(query_answer(query, found)), "/groupBy")


def _usage(runtime: Runtime, meter: str, query: MeterQuery) -> Usage:
    """Raises: NotFoundError for an unknown meter; InvalidError."""
    if meter not in runtime.catalogue.newest().meters:
        raise NotFoundError("No such meter.")
    if query.by_customer:
        refuse_dimension_named_customer(runtime, meter, "/groupBy")
    try:
        return usage_of(runtime, query.to_question(meter), query.customers)
    except InvalidError as error:
        raise renamed(error, FIELDS) from None
