"""Quarantine: records that could not be applied, for operators to look at."""

from functions._http import Request, Router
from functions._runtime import Runtime
from functions.routes._common import open_cursor, seal_cursor
from shared.wire.common import Page, PageQuery
from shared.wire.quarantine import QuarantinedRecordView

router = Router()


@router.route(
    "GET",
    "/v1/quarantine",
    scope="read",
    summary="Records that could not be applied, newest first",
    query=PageQuery,
    answer=Page[QuarantinedRecordView],
)
def read_quarantine(
    request: Request, runtime: Runtime, query: PageQuery
) -> Page[QuarantinedRecordView]:
    page = runtime.store.quarantine(query.limit, open_cursor(runtime, request, query.cursor))
    return Page[QuarantinedRecordView](
        data=[QuarantinedRecordView.of(record) for record in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )
