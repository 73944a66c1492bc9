"""Quarantine: records that could not be applied, for operators to look at and to redrive."""

from functions._http import Answer, Request, Router
from functions._metrics import count
from functions._runtime import Runtime
from functions.routes._common import open_cursor, page_that_fits, seal_cursor
from shared.wire.common import Page, PageQuery
from shared.wire.quarantine import QuarantinedRecordView, RedrivenView

router = Router()


@router.route(
    "GET",
    "/v1/quarantine",
    scope="read",
    summary="Records that could not be applied, newest first",
    query=PageQuery,
    answer=Page[QuarantinedRecordView],
)
def read_quarantine(request: Request, runtime: Runtime, query: PageQuery) -> Answer:
    after = open_cursor(runtime, request, query.cursor)

    def render(limit: int) -> tuple[str, int]:
        page = runtime.store.quarantine(limit, after)
        answer = Page[QuarantinedRecordView](
            data=[QuarantinedRecordView.of(record) for record in page.items],
            next_cursor=seal_cursor(runtime, request, page.cursor),
        )
        return answer.model_dump_json(), len(page.items)

    return Answer(page_that_fits(query.limit, render))


@router.route(
    "POST",
    "/v1/quarantine/{customer}/{event_key}/redrive",
    scope="admin",
    summary="Apply a quarantined record after all; once by nature, so no Idempotency-Key",
    answer=RedrivenView,
)
def redrive_record(request: Request, runtime: Runtime) -> RedrivenView:
    customer, event_key = request.parameters["customer"], request.parameters["event_key"]
    redriven = runtime.redrive.redrive(customer, event_key, request.principal)
    count("api", {"RecordsRedriven": int(redriven.now_applied)})
    return RedrivenView.of(redriven.record)
