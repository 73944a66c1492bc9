"""Reservations: a part of what a customer holds, set aside until it is settled or released.

What is reserved stands on the account, so that a reservation and everything else that moves the
account exclude each other by its version: the available balance never goes below zero through
reservations. Plain usage is metered after the fact and draws what is there, reserved or not.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account
from shared.domain.credits import Grant, Purse
from shared.domain.errors import ConflictError, MeterlineError
from shared.domain.events import EPOCH, UsageEvent

MAX_TTL_SECONDS = 86_400
# Reservations that one write ends, with an item each in the account's transaction.
MAX_ENDED_AT_ONCE = 50

ReservationStatus = Literal["open", "settled", "released", "expired"]


class InsufficientBalanceError(MeterlineError):
    """The available balance does not cover it (402)."""

    code = "insufficient-balance"


class ReservationEndedError(ConflictError):
    """The reservation was settled or released before."""

    code = "reservation-ended"


@dataclass(frozen=True, slots=True)
class Reservation:
    """`amount` nanos of a unit, set aside in [created_at, expires_at) unless it ends before.

    With a `meter`, for its usage, which may draw grants that are restricted to it. `drawn` is what
    settling took, `event` the key of the event that settled it, if one did.
    """

    id: str
    customer: str
    unit: str
    amount: int
    created_at: datetime
    expires_at: datetime
    meter: str | None = None
    status: ReservationStatus = "open"
    drawn: int = 0
    ended_at: datetime | None = None
    event: str | None = None

    def at(self, now: datetime) -> "Reservation":
        """What it is now: over when its time is, whether or not anybody ended it."""
        if self.status != "open" or self.expires_at > now:
            return self
        return replace(self, status="expired", ended_at=self.expires_at)


@dataclass(frozen=True, slots=True)
class Ended:
    """The account after reservations ended, and these."""

    account: Account
    reservations: tuple[Reservation, ...]


def id_at(expires_at: datetime, suffix: str = "") -> str:
    """An id that sorts by the time of expiry: with no suffix, before all that expire then."""
    micros = (expires_at - EPOCH) // timedelta(microseconds=1)
    return f"rs_{micros:015x}{suffix}"


def reserve(account: Account, reservation: Reservation) -> Account:
    """The account with the amount set aside, if it has as much available now.

    Raises: InsufficientBalanceError.
    """
    unit, meter = reservation.unit, reservation.meter
    if reservation.amount > account.available(unit, reservation.created_at, meter):
        raise InsufficientBalanceError("The available balance does not cover it.")
    until = min(account.reserved_until or reservation.expires_at, reservation.expires_at)
    return replace(
        account,
        version=account.version + 1,
        reserved={**account.reserved, unit: account.reserved.get(unit, 0) + reservation.amount},
        reserved_until=until,
    )


def settle(
    account: Account,
    reservation: Reservation,
    amount: int,
    grants: Mapping[str, Grant],
    now: datetime,
) -> Ended:
    """Draws the amount, which may be more or less than was reserved, and frees the reservation.

    One that has expired holds nothing any more: settling it is an ordinary draw.
    Raises: ReservationEndedError; InsufficientBalanceError when what is reserved for it and what is
    available do not cover the amount.
    """
    freed = _freed(account, reservation)
    if amount > max(0, freed.available(reservation.unit, now, reservation.meter)):
        raise InsufficientBalanceError("The available balance does not cover it.")
    purse = Purse(tuple(grants.values()), freed.grants)
    drawn, purse = purse.draw(reservation.unit, amount, reservation.meter or "", now)
    after = replace(freed, version=account.version + 1, grants=purse.remaining)
    return Ended(after, (replace(reservation, status="settled", drawn=drawn, ended_at=now),))


def settle_by_usage(
    before: Account, after: Account, reservation: Reservation, event: UsageEvent
) -> Ended:
    """Frees the reservation together with what an event's usage drew, from `before` to `after`."""
    drawn = before.remaining(reservation.unit) - after.remaining(reservation.unit)
    settled = replace(
        reservation, status="settled", drawn=drawn, ended_at=event.occurred_at, event=event.key
    )
    return Ended(_freed(after, reservation), (settled,))


def release(account: Account, reservation: Reservation, now: datetime) -> Ended | None:
    """Frees all of it; None if it was released, or has expired, before.

    Raises: ReservationEndedError for one that was settled.
    """
    if reservation.status in ("released", "expired"):
        return None
    freed = replace(_freed(account, reservation), version=account.version + 1)
    return Ended(freed, (replace(reservation, status="released", ended_at=now),))


def lapse(account: Account, upcoming: Iterable[Reservation], now: datetime) -> Ended:
    """Ends reservations whose time is over, each at its own time.

    `upcoming` are those that expire from `reserved_until` on, in order. If more are over than one
    write takes, the account says so again.
    """
    ended: list[Reservation] = []
    after, until = account, None
    for reservation in upcoming:
        if reservation.status != "open":
            continue
        if reservation.expires_at > now or len(ended) == MAX_ENDED_AT_ONCE:
            until = reservation.expires_at
            break
        after = _freed(after, reservation)
        ended.append(reservation.at(now))
    left = replace(after, version=account.version + 1, reserved_until=until)
    return Ended(left, tuple(ended))


def _freed(account: Account, reservation: Reservation) -> Account:
    """The account without what the reservation still holds; with the last one goes its time."""
    if reservation.status in ("settled", "released"):
        raise ReservationEndedError(f"The reservation was {reservation.status} before.")
    if reservation.status == "expired":
        return account
    left = account.reserved[reservation.unit] - reservation.amount
    others = {unit: n for unit, n in account.reserved.items() if unit != reservation.unit}
    reserved = {**others, reservation.unit: left} if left else others
    until = account.reserved_until if reserved else None
    return replace(account, reserved=reserved, reserved_until=until)
