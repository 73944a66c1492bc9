"""Usage by windows of time."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import gathered
from functions.routes._common import MAX_PAGE_BYTES, accepts, answer_bytes
from shared.domain.errors import ForbiddenError, InvalidError, Problem
from shared.services.usage_query import UsageQuestion, plan_meters
from shared.wire.usage import PlanMetersView, UsageBody, UsageQuery, UsageView, usage_csv

CSV = "text/csv"
CSV_HEADERS = {"Content-Disposition": 'attachment; filename="usage.csv"'}

router = Router()


@router.route(
    "GET",
    "/v1/usage",
    scope="read",
    summary="Usage of a meter by windows of time; CSV where Accept says so",
    query=UsageQuery,
    answer=UsageView,
    alternatives=(CSV,),
    portal=True,
    read_query=gathered(("customer", "group_by"), ("filter",)),
)
def read_usage(request: Request, runtime: Runtime, query: UsageQuery) -> Answer:
    return _answer(request, runtime, query.to_question())


@router.route(
    "POST",
    "/v1/usage/query",
    scope="read",
    summary="The same question as JSON, where an address has no room for it; changes nothing",
    body=UsageBody,
    answer=UsageView,
    alternatives=(CSV,),
    portal=True,
)
def query_usage(request: Request, runtime: Runtime, body: UsageBody) -> Answer:
    return _answer(request, runtime, body.to_question())


@router.route(
    "GET",
    "/v1/customers/{customer}/meters",
    scope="read",
    summary="The meters that the customer's plan names, by key",
    answer=PlanMetersView,
)
def read_customer_meters(request: Request, runtime: Runtime) -> PlanMetersView:
    standing = runtime.books.standing(request.parameters["customer"])
    return PlanMetersView.of(plan_meters(standing))


def _answer(request: Request, runtime: Runtime, question: UsageQuestion) -> Answer:
    if request.portal_customer:
        for customer in question.customers or ("",):
            request.require_customer(customer)
        if question.segment:
            raise ForbiddenError("A portal token does not ask about segments.")
    found = runtime.usage_queries.usage(question)
    if accepts(request, CSV):
        text = usage_csv(question, found)
        answer = Answer(text, content_type=f"{CSV}; charset=utf-8", headers=CSV_HEADERS)
    else:
        text = UsageView.of(question, found).model_dump_json()
        answer = Answer(text)
    if answer_bytes(text) > MAX_PAGE_BYTES:
        raise InvalidError("The answer is too large.", [Problem("/group_by", "too-large")])
    return answer
