"""What operators ask about all customers: what came in, what it cost, what another plan would."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import gathered
from functions.routes._common import MAX_PAGE_BYTES, answer_bytes, open_cursor, seal_cursor
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import canonical_json
from shared.services.usage_reports import UsageReports
from shared.wire.analytics import (
    CreditsQuery,
    MarginQuery,
    MarginView,
    OwedView,
    RevenueView,
)
from shared.wire.headcount import HeadcountQuery, HeadcountView
from shared.wire.replay import ReplayBody, ReplayView
from shared.wire.usage_reports import UsageReportQuery, UsageReportView

router = Router()


@router.route(
    "POST",
    "/v1/pricing/replay",
    scope="read",
    summary="What a draft plan would have brought in over past usage; changes nothing",
    body=ReplayBody,
    answer=ReplayView,
)
def replay_plan(request: Request, runtime: Runtime, body: ReplayBody) -> ReplayView:
    if body.start >= body.end:
        raise InvalidError("Nothing lies between.", [Problem("/to", "not-after-from")])
    asked = body.model_dump(mode="json", exclude={"cursor", "limit"})
    purpose = canonical_json([request.path, asked])
    cursor = runtime.cursors.open(purpose, body.cursor)["after"] if body.cursor else None
    page = runtime.replays.compare(body.to_plan(), body.to_question(cursor), body.start, body.end)
    after = runtime.cursors.sign(purpose, {"after": page.cursor}) if page.cursor else None
    return ReplayView.of(body, page.items, after)


_PAGED = gathered(("customer", "group_by"), ())
_PAGED_BY_CUSTOMER = gathered(("customer",), ())


@router.route(
    "GET",
    "/v1/analytics/revenue",
    scope="read",
    summary="What was earned, by the time that it is for",
    query=MarginQuery,
    answer=RevenueView,
    read_query=_PAGED,
)
def read_revenue(request: Request, runtime: Runtime, query: MarginQuery) -> RevenueView:
    asked = query.to_asked(open_cursor(runtime, request, query.cursor))
    windows, page = runtime.analytics.margin(asked, costs=False)
    cursor = seal_cursor(runtime, request, page.cursor)
    return RevenueView.of(asked, windows, page.items, cursor)


@router.route(
    "GET",
    "/v1/analytics/margin",
    scope="read",
    summary="What was earned, and what the usage cost to serve",
    query=MarginQuery,
    answer=MarginView,
    read_query=_PAGED,
)
def read_margin(request: Request, runtime: Runtime, query: MarginQuery) -> MarginView:
    asked = query.to_asked(open_cursor(runtime, request, query.cursor))
    windows, page = runtime.analytics.margin(asked)
    cursor = seal_cursor(runtime, request, page.cursor)
    return MarginView.of(asked, windows, page.items, cursor)


@router.route(
    "GET",
    "/v1/analytics/credits",
    scope="read",
    summary="Credits issued, used, expired, voided and held, and what that is in money",
    query=CreditsQuery,
    answer=OwedView,
    read_query=_PAGED_BY_CUSTOMER,
)
def read_credits_owed(request: Request, runtime: Runtime, query: CreditsQuery) -> OwedView:
    asked = query.to_asked(open_cursor(runtime, request, query.cursor))
    page = runtime.analytics.credits(asked)
    return OwedView.of(asked, page.items, seal_cursor(runtime, request, page.cursor))


@router.route(
    "GET",
    "/v1/analytics/customers",
    scope="read",
    summary="How many customers there are, are new, began to pay and ceased to",
    query=HeadcountQuery,
    answer=HeadcountView,
    read_query=_PAGED,
)
def count_customers(request: Request, runtime: Runtime, query: HeadcountQuery) -> HeadcountView:
    asked = query.to_asked(open_cursor(runtime, request, query.cursor))
    page = runtime.headcount.count(asked, query.group_by)
    return HeadcountView.of(query, page.items, seal_cursor(runtime, request, page.cursor))


@router.route(
    "GET",
    "/v1/analytics/usage",
    scope="read",
    summary="What each meter comes to, of everyone or a segment, in groups",
    query=UsageReportQuery,
    answer=UsageReportView,
    read_query=gathered(("meter", "customer", "group_by"), ()),
)
def report_usage(request: Request, runtime: Runtime, query: UsageReportQuery) -> Answer:
    reports = UsageReports(runtime.usage_queries)
    report = reports.report(query.to_asked(), query.meters, query.group_by)
    text = UsageReportView.of(query, report).model_dump_json()
    if answer_bytes(text) > MAX_PAGE_BYTES:
        raise InvalidError("The answer is too large.", [Problem("/group_by", "too-large")])
    return Answer(text)
