"""Reservations as items, in the order in which they expire: their ids begin with that time."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.domain.events import utc_time
from shared.domain.reservations import Reservation

RESERVATION_PREFIX = "RESERVATION#"


def reservation_keys(customer: str, reservation_id: str) -> dict[str, str]:
    """The primary key of a reservation."""
    return {"pk": customer_partition(customer), "sk": RESERVATION_PREFIX + reservation_id}


def reservation_item(reservation: Reservation) -> Item:
    """The stored reservation."""
    return to_item(
        {
            **reservation_keys(reservation.customer, reservation.id),
            "id": reservation.id,
            "unit": reservation.unit,
            "amount": reservation.amount,
            "meter": reservation.meter,
            "created_at": reservation.created_at,
            "expires_at": reservation.expires_at,
            "state": reservation.status,
            "drawn": reservation.drawn,
            "ended_at": reservation.ended_at,
            "event": reservation.event,
        }
    )


def read_reservation(item: Mapping[str, Any]) -> Reservation:
    """The reservation of an item."""
    stored = from_item(item)

    def moment(name: str) -> datetime | None:
        return utc_time(stored[name]) if name in stored else None

    return Reservation(
        id=stored["id"],
        customer=stored["pk"].removeprefix("C#"),
        unit=stored["unit"],
        amount=int(stored["amount"]),
        created_at=utc_time(stored["created_at"]),
        expires_at=utc_time(stored["expires_at"]),
        meter=stored.get("meter"),
        status=stored["state"],
        drawn=int(stored["drawn"]),
        ended_at=moment("ended_at"),
        event=stored.get("event"),
    )
