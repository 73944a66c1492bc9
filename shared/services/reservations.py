"""Reserving a part of a balance, settling what was really used, releasing what was not."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Literal

from shared.domain.accounts import allowance_unit
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.events import canonical_json
from shared.domain.money import format_exact, is_currency, to_nanos
from shared.domain.reservations import (
    Ended,
    Reservation,
    ReservationEndedError,
    id_at,
    release,
    reserve,
    settle,
)
from shared.services.changes import PutAudit, SaveReservation
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books, Standing
from shared.services.store import Page, StoredAnswer

Render = Callable[[Reservation], str]


@dataclass(frozen=True, slots=True)
class ReservationOrder:
    """What is asked for: an amount of a unit for a time, for usage of a meter if one is named."""

    unit: str
    amount: Decimal
    meter: str | None
    ttl_seconds: int


def reserve_balance(
    books: Books, write: MoneyWrite, order: ReservationOrder, render: Render
) -> StoredAnswer:
    """Sets the amount aside; `render` makes the answer.

    Raises: NotFoundError, InvalidError, InsufficientBalanceError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        reservation = _ordered(before, write, order)
        account = reserve(before.account, reservation)
        cause = _cause(reservation)
        changes = books.posting(before, account, before.grants, "reserve", cause)
        changes.append(SaveReservation(reservation, None))
        changes.append(_audit(books, write, "create", None, reservation))
        return Decision(changes, render(reservation), 201)

    return commit_once(books.store, write, decide)


def settle_reservation(
    books: Books, write: MoneyWrite, reservation_id: str, amount: Decimal, render: Render
) -> StoredAnswer:
    """Draws the amount and frees the reservation, in one step.

    Raises: NotFoundError, ReservationEndedError, InsufficientBalanceError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        reservation = read_reservation(books, write.customer, reservation_id)
        ended = settle(before.account, reservation, to_nanos(amount), before.grants, before.now)
        return _ended(books, write, before, reservation, ended, render=render)

    return commit_once(books.store, write, decide)


def release_reservation(
    books: Books, write: MoneyWrite, reservation_id: str, render: Render
) -> StoredAnswer:
    """Frees the reservation; one that was released or has expired stays as it is.

    Raises: NotFoundError, ReservationEndedError if it was settled, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        reservation = read_reservation(books, write.customer, reservation_id)
        ended = release(before.account, reservation, before.now)
        if ended is None:
            return Decision((), render(reservation))
        return _ended(books, write, before, reservation, ended, render=render)

    return commit_once(books.store, write, decide)


def settle_with_event(
    books: Books,
    write: MoneyWrite,
    reservation_id: str,
    event_key: str,
    *,
    take: Callable[[], None],
    render: Render,
) -> StoredAnswer:
    """Has the event taken in, which settles the reservation when it is aggregated.

    `take` stores the event, which names the reservation; it is safe to repeat. The answer shows the
    reservation as it is before that.
    Raises: NotFoundError, ReservationEndedError, and what `take` raises.
    """

    def decide() -> Decision:
        books.open_standing(write.customer)
        reservation = read_reservation(books, write.customer, reservation_id)
        by_itself = reservation.event == event_key
        if reservation.status in ("settled", "released") and not by_itself:
            raise ReservationEndedError(f"The reservation was {reservation.status} before.")
        take()
        audit = _audit(books, write, "settle", reservation, reservation)
        return Decision([audit], render(reservation))

    return commit_once(books.store, write, decide)


def read_reservation(books: Books, customer: str, reservation_id: str) -> Reservation:
    """The reservation as stored.

    Raises: NotFoundError.
    """
    found = books.store.reservations(customer, [reservation_id]).get(reservation_id)
    if found is None:
        raise NotFoundError("No such reservation.")
    return found


def show_reservation(books: Books, key: str, reservation_id: str) -> Reservation:
    """The reservation as it is now.

    Raises: NotFoundError.
    """
    now = books.now(books.customer(key))
    return read_reservation(books, key, reservation_id).at(now)


def list_reservations(books: Books, key: str, limit: int, cursor: str | None) -> Page[Reservation]:
    """The customer's reservations as they are now, ended ones too, those that expire last first.

    Raises: NotFoundError.
    """
    now = books.now(books.customer(key))
    page = books.store.list_reservations(key, limit, cursor)
    return Page(tuple(each.at(now) for each in page.items), page.cursor)


def _ordered(standing: Standing, write: MoneyWrite, order: ReservationOrder) -> Reservation:
    meters = standing.catalogue.meters
    unit, meter = order.unit, order.meter
    units = {*standing.catalogue.units, *map(allowance_unit, meters)}
    problems = []
    if not is_currency(unit) and unit not in units:
        problems.append(Problem("/unit", "unknown-unit"))
    if meter is not None and meter not in meters:
        problems.append(Problem("/meter", "unknown-meter"))
    elif meter is not None and unit.startswith("meter:") and unit != allowance_unit(meter):
        problems.append(Problem("/meter", "not-of-unit"))
    if problems:
        raise InvalidError("The reservation breaks a rule at each place listed.", problems)
    expires_at = standing.now + timedelta(seconds=order.ttl_seconds)
    identity = canonical_json([write.customer, write.key])
    return Reservation(
        id=id_at(expires_at, hashlib.sha256(identity.encode()).hexdigest()[:16]),
        customer=write.customer,
        unit=unit,
        amount=to_nanos(order.amount),
        created_at=standing.now,
        expires_at=expires_at,
        meter=meter or (unit.removeprefix("meter:") if unit.startswith("meter:") else None),
    )


def _ended(
    books: Books,
    write: MoneyWrite,
    before: Standing,
    reservation: Reservation,
    ended: Ended,
    *,
    render: Render,
) -> Decision:
    """The commit of a reservation that a person or program ended."""
    [after] = ended.reservations
    kind: Literal["settle", "release"] = "settle" if after.status == "settled" else "release"
    changes = books.posting(before, ended.account, before.grants, kind, _cause(reservation))
    changes.append(SaveReservation(after, reservation.status))
    changes.append(_audit(books, write, kind, reservation, after))
    return Decision(changes, render(after))


def _cause(reservation: Reservation) -> dict[str, str]:
    amount = format_exact(reservation.amount)
    return {"reservation": reservation.id, "unit": reservation.unit, "reserved": amount}


def _audit(
    books: Books, write: MoneyWrite, verb: str, before: Reservation | None, after: Reservation
) -> PutAudit:
    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=f"reservation.{verb}",
        subject=f"{write.customer}/{after.id}",
        before=asdict(before) if before else {},
        after=asdict(after),
    )
