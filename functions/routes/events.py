"""The raw events as they are stored, and corrections of them."""

import hashlib
from collections.abc import Mapping

from functions._http import Answer, Request, Router
from functions._runtime import Runtime
from functions._validation import idempotency_key
from functions.routes._common import page_that_fits
from shared.domain.corrections import History
from shared.domain.events import canonical_json, utc_text
from shared.services.correcting import CorrectionOrder
from shared.services.event_list import EventFilter, EventPage, Position
from shared.wire.common import Page, rfc3339
from shared.wire.corrections import CorrectedEventView, CorrectionBody
from shared.wire.event_list import EventView
from shared.wire.events import EventsQuery

router = Router()


@router.route(
    "GET",
    "/v1/events",
    scope="read",
    summary="The raw events of a customer, newest first",
    query=EventsQuery,
    answer=Page[EventView],
)
def list_events(request: Request, runtime: Runtime, query: EventsQuery) -> Answer:
    filters = query.model_dump(exclude={"limit", "cursor"}, mode="json")
    purpose = canonical_json({"list": "events", **filters})
    start, end, position = query.start, query.end, None
    if query.cursor is not None:
        # The default range moves with the clock, so a cursor carries the range of its first page.
        opened = runtime.cursors.open(purpose, query.cursor)
        start, end = rfc3339(opened["from"]), rfc3339(opened["to"])
        position = Position(rfc3339(opened["occurred_at"]), opened["key"])
    searched = (query.property, query.value) if query.property and query.value is not None else None
    wanted = EventFilter(query.customer, start, end, query.type, query.source, query.id, searched)

    def render(limit: int) -> tuple[str, int]:
        page = runtime.event_list.page(wanted, limit, position)
        following = _place(page)
        cursor = runtime.cursors.sign(purpose, following) if following else None
        views = tuple(EventView.of(page.histories[e.key], page.fates) for e in page.events)
        if request.portal_customer:
            views = tuple(view.without_actors() for view in views)
        answer = Page[EventView](data=views, next_cursor=cursor)
        # Written as canonical JSON, which keeps the numbers in events' data exact.
        return canonical_json(answer.model_dump()), len(views)

    return Answer(page_that_fits(query.limit, render))


@router.route(
    "POST",
    "/v1/events/correction",
    scope="admin",
    summary="Cancel an event, or have it count with other data; a repeat changes nothing",
    body=CorrectionBody,
    answer=CorrectedEventView,
)
def correct_event(request: Request, runtime: Runtime, body: CorrectionBody) -> Answer:
    asked = canonical_json([request.method, request.path, body.model_dump(mode="json")])
    order = CorrectionOrder(
        customer=body.customer,
        source=body.source,
        id=body.id,
        data=body.data,
        actor=request.principal,
        reason=body.reason,
        key=idempotency_key(request.headers) if "idempotency-key" in request.headers else None,
        request_hash=hashlib.sha256(asked.encode()).hexdigest(),
    )
    stored = runtime.correcting.correct(order, corrected_json)
    return Answer(stored.answer, stored.status)


def corrected_json(history: History) -> str:
    """The answer, as canonical JSON, which keeps the numbers in events' data exact."""
    return canonical_json(CorrectedEventView.of(history).model_dump())


def _place(page: EventPage) -> Mapping[str, str] | None:
    if page.position is None:
        return None
    return {
        "from": utc_text(page.start),
        "to": utc_text(page.end),
        "occurred_at": utc_text(page.position.occurred_at),
        "key": page.position.key,
    }
