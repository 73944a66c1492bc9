"""Reservations on the wire."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from shared.domain.money import from_nanos
from shared.domain.reservations import MAX_TTL_SECONDS, Reservation, ReservationStatus
from shared.services.reservations import ReservationOrder
from shared.wire.common import DecimalText, Identifier, Quantity, Slug, Time, WireModel, refuse
from shared.wire.credits import Amount
from shared.wire.events import Event


class ReservationBody(WireModel):
    """An amount of a currency, a credit unit or `meter:<key>`, set aside for so many seconds.

    With a `meter` it may count on grants that are restricted to that meter.
    """

    unit: Identifier
    amount: Amount
    meter: Slug | None = None
    ttl_seconds: Annotated[int, Field(ge=1, le=MAX_TTL_SECONDS)]

    def to_order(self) -> ReservationOrder:
        """What is asked for."""
        return ReservationOrder(self.unit, self.amount, self.meter, self.ttl_seconds)


class SettlementBody(WireModel):
    """What was really used: an `amount` of the unit, or the usage `event` that tells it."""

    amount: Quantity | None = None
    event: Event | None = Field(default=None, validate_default=True)

    @field_validator("event")
    @classmethod
    def _one_of_both(cls, event: Event | None, info: ValidationInfo) -> Event | None:
        if "amount" in info.data and (event is None) == (info.data["amount"] is None):
            raise refuse("amount-or-event")
        return event


class ReservationView(WireModel):
    """A reservation: `amount` is set aside while it is open; `drawn` is what settling it took.

    `event` is the key of the event that settled it, if one did.
    """

    id: str
    unit: str
    amount: DecimalText
    meter: str | None
    status: ReservationStatus
    drawn: DecimalText
    created_at: Time
    expires_at: Time
    ended_at: Time | None
    event: str | None

    @classmethod
    def of(cls, reservation: Reservation) -> "ReservationView":
        """The reservation as it is shown."""
        return cls(
            id=reservation.id,
            unit=reservation.unit,
            amount=from_nanos(reservation.amount),
            meter=reservation.meter,
            status=reservation.status,
            drawn=from_nanos(reservation.drawn),
            created_at=reservation.created_at,
            expires_at=reservation.expires_at,
            ended_at=reservation.ended_at,
            event=reservation.event,
        )
