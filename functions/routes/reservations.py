"""Reservations: a part of a balance set aside, settled with what was used, or released."""

from dataclasses import replace
from functools import partial

from functions._http import Answer, Request, Router
from functions._ingesting import refusal, take
from functions._runtime import Runtime
from functions.routes._common import money_write, open_cursor, seal_cursor
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import event_key
from shared.domain.folding import RESERVATION
from shared.domain.reservations import Reservation
from shared.services import reservations as service
from shared.services.idempotency import MoneyWrite
from shared.services.ingest import Submission
from shared.services.store import StoredAnswer
from shared.wire.common import Page, PageQuery
from shared.wire.events import Event, submissions
from shared.wire.reservations import ReservationBody, ReservationView, SettlementBody

router = Router()


def _json(reservation: Reservation) -> str:
    return ReservationView.of(reservation).model_dump_json()


@router.route(
    "POST",
    "/v1/customers/{customer}/reservations",
    scope="ingest",
    summary="Set a part of a balance aside; 402 if the available balance does not cover it",
    body=ReservationBody,
    answer=ReservationView,
    status=201,
    money=True,
)
def create_reservation(request: Request, runtime: Runtime, body: ReservationBody) -> Answer:
    write = money_write(request, body)
    stored = service.reserve_balance(runtime.books, write, body.to_order(), _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/reservations/{reservation}/settle",
    scope="ingest",
    summary="Draw what was really used, and free the rest",
    body=SettlementBody,
    answer=ReservationView,
    money=True,
)
def settle_reservation(request: Request, runtime: Runtime, body: SettlementBody) -> Answer:
    write, key = money_write(request, body), request.parameters["reservation"]
    if body.event is not None:
        stored = _settle_with(runtime, write, key, body.event)
    elif body.amount is not None:
        stored = service.settle_reservation(runtime.books, write, key, body.amount, _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "POST",
    "/v1/customers/{customer}/reservations/{reservation}/release",
    scope="ingest",
    summary="Free all that was set aside",
    answer=ReservationView,
    money=True,
)
def release_reservation(request: Request, runtime: Runtime) -> Answer:
    key = request.parameters["reservation"]
    stored = service.release_reservation(runtime.books, money_write(request), key, _json)
    return Answer(stored.answer, stored.status)


@router.route(
    "GET",
    "/v1/customers/{customer}/reservations/{reservation}",
    scope="read",
    summary="Read a reservation",
    answer=ReservationView,
)
def read_reservation(request: Request, runtime: Runtime) -> ReservationView:
    asked = request.parameters
    found = service.show_reservation(runtime.books, asked["customer"], asked["reservation"])
    return ReservationView.of(found)


@router.route(
    "GET",
    "/v1/customers/{customer}/reservations",
    scope="read",
    summary="A customer's reservations, those that expire last first",
    query=PageQuery,
    answer=Page[ReservationView],
)
def list_reservations(
    request: Request, runtime: Runtime, query: PageQuery
) -> Page[ReservationView]:
    after = open_cursor(runtime, request, query.cursor)
    customer = request.parameters["customer"]
    page = service.list_reservations(runtime.books, customer, query.limit, after)
    return Page[ReservationView](
        data=[ReservationView.of(each) for each in page.items],
        next_cursor=seal_cursor(runtime, request, page.cursor),
    )


def _settle_with(runtime: Runtime, write: MoneyWrite, key: str, event: Event) -> StoredAnswer:
    if event.subject != write.customer:
        problems = [Problem("/event/subject", "other-customer")]
        raise InvalidError("The event is another customer's.", problems)
    [sent] = submissions(event)
    named = {**sent.extensions, RESERVATION: key}
    sent = replace(sent, pointer="/event", extensions=named)
    identity = event_key(sent.source, sent.id)
    taking = partial(_take, runtime, sent)
    return service.settle_with_event(runtime.books, write, key, identity, take=taking, render=_json)


def _take(runtime: Runtime, sent: Submission) -> None:
    """Stores the event. Raises: InvalidError, ConflictError, UnavailableError."""
    error = refusal(take(runtime, [sent]), [sent])
    if error is not None:
        raise error
