"""Usage by windows of time."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import accepts
from shared.services.usage_query import usage
from shared.wire.usage import UsageQuery, UsageView, usage_csv

CSV = "text/csv"

router = Router()


@router.route(
    "GET",
    "/v1/usage",
    scope="read",
    summary="Usage of a meter by windows of time; CSV where Accept says so",
    query=UsageQuery,
    answer=UsageView,
    alternatives=(CSV,),
)
def read_usage(request: Request, runtime: Runtime, query: UsageQuery) -> UsageView | Answer:
    question = query.to_question()
    found = usage(runtime.books, question)
    if not accepts(request, CSV):
        return UsageView.of(question, found)
    headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
    content_type = f"{CSV}; charset=utf-8"
    return Answer(usage_csv(question, found), content_type=content_type, headers=headers)
