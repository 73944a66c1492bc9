"""Event types: what the events that came look like."""

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions.routes._common import open_cursor, page_that_fits, seal_cursor
from shared.domain.errors import NotFoundError
from shared.wire.common import Page, PageQuery
from shared.wire.event_types import EventTypeView

router = Router()


@router.route(
    "GET",
    "/v1/event-types",
    scope="read",
    summary="Event types by name, as their events were",
    query=PageQuery,
    answer=Page[EventTypeView],
)
def list_event_types(request: Request, runtime: Runtime, query: PageQuery) -> Answer:
    after, catalogue = open_cursor(runtime, request, query.cursor), runtime.catalogue.newest()

    def render(limit: int) -> tuple[str, int]:
        page = runtime.event_types.store.page(limit, after)
        answer = Page[EventTypeView](
            data=[EventTypeView.of(seen, catalogue) for seen in page.items],
            next_cursor=seal_cursor(runtime, request, page.cursor),
        )
        return answer.model_dump_json(), len(page.items)

    return Answer(page_that_fits(query.limit, render))


@router.route(
    "GET",
    "/v1/event-types/{type}",
    scope="read",
    summary="What the events of a type held, and which meters read it",
    answer=EventTypeView,
)
def read_event_type(request: Request, runtime: Runtime) -> EventTypeView:
    seen = runtime.event_types.store.get(request.parameters["type"])
    if seen is None:
        raise NotFoundError("No event of this type has been aggregated.")
    return EventTypeView.of(seen, runtime.catalogue.newest())
