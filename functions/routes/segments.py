"""Segments: saved filters over customers' traits."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import validate
from functions.routes._common import open_cursor, page_that_fits, seal_cursor
from shared.services.segments import delete_segment, existing_segment, put_segment
from shared.wire.common import Page, PageQuery, Slug
from shared.wire.segments import SegmentBody, SegmentView

router = Router()


@router.route(
    "PUT",
    "/v1/segments/{segment}",
    scope="admin",
    summary="Make a segment, or replace it",
    body=SegmentBody,
    answer=SegmentView,
)
def save_segment(request: Request, runtime: Runtime, body: SegmentBody) -> SegmentView:
    segment = body.to_segment(validate(Slug, request.parameters["segment"]))
    now = runtime.clock.now()
    return SegmentView.of(put_segment(runtime.segments, segment, request.principal, now))


@router.route(
    "GET", "/v1/segments/{segment}", scope="read", summary="A segment", answer=SegmentView
)
def read_segment(request: Request, runtime: Runtime) -> SegmentView:
    return SegmentView.of(existing_segment(runtime.segments, request.parameters["segment"]))


@router.route(
    "GET",
    "/v1/segments",
    scope="read",
    summary="All segments by key",
    query=PageQuery,
    answer=Page[SegmentView],
)
def list_segments(request: Request, runtime: Runtime, query: PageQuery) -> Answer:
    after = open_cursor(runtime, request, query.cursor)

    def render(limit: int) -> tuple[str, int]:
        page = runtime.segments.list(limit, after)
        answer = Page[SegmentView](
            data=[SegmentView.of(segment) for segment in page.items],
            next_cursor=seal_cursor(runtime, request, page.cursor),
        )
        return answer.model_dump_json(), len(page.items)

    return Answer(page_that_fits(query.limit, render))


@router.route(
    "DELETE",
    "/v1/segments/{segment}",
    scope="admin",
    summary="Remove a segment; the customers in it stay",
    status=204,
)
def remove_segment(request: Request, runtime: Runtime) -> Answer:
    key = request.parameters["segment"]
    delete_segment(runtime.segments, key, request.principal, runtime.clock.now())
    return Answer(status=204)
