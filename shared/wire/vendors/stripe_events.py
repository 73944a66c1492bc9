"""Stripe's meter events: as forms (v1), as JSON (v2), and in streams."""

import hashlib
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

from shared.domain.events import Value, time_text
from shared.services.ingest import Submission
from shared.wire.common import CustomerKey, Identifier, Time, WireModel
from shared.wire.events import Property, flat_data, storable
from shared.wire.vendors.common import EpochSeconds, at_most, epoch_seconds

SOURCE = "stripe"
MAX_STREAM_EVENTS = 100
# Parts of pointers as ingest says them, in their words.
FIELDS = {"/data": "/payload", "/time": "/timestamp", "/subject": "/payload/stripe_customer_id"}


MeterEventIdentifier = Annotated[Identifier, StringConstraints(max_length=100)]


class Payload(WireModel):
    """Whose usage it is, and the properties of the event."""

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    __pydantic_extra__: dict[str, Property]
    stripe_customer_id: CustomerKey

    @model_validator(mode="before")
    @classmethod
    def _check_properties(cls, payload: object) -> object:
        return flat_data(payload)

    @model_validator(mode="after")
    def _check_size(self) -> Self:
        storable(self.properties)
        return self

    @property
    def properties(self) -> dict[str, Value]:
        """What the payload has beside the customer."""
        return dict(self.__pydantic_extra__)


class _MeterEvent(WireModel):
    """The event's name is the type, the payload's properties are the data."""

    event_name: Identifier
    payload: Payload
    identifier: MeterEventIdentifier | None = None


class MeterEventV1(_MeterEvent):
    """A meter event of the v1 API; `timestamp` in seconds."""

    timestamp: EpochSeconds | None = None


class MeterEventV2(_MeterEvent):
    """A meter event of the v2 API; `timestamp` in RFC 3339."""

    timestamp: Time | None = None


class MeterEventStream(WireModel):
    """Up to 100 meter events."""

    events: Annotated[
        list[MeterEventV2],
        Field(min_length=1, max_length=MAX_STREAM_EVENTS),
        BeforeValidator(at_most(MAX_STREAM_EVENTS)),
    ]


class SessionBody(WireModel):
    """Nothing is said about a session that is asked for."""


class CancelBody(WireModel):
    """Which event is cancelled."""

    identifier: MeterEventIdentifier


class AdjustmentBody(WireModel):
    """An adjustment: one event is cancelled."""

    type: Literal["cancel"]
    event_name: Identifier
    cancel: CancelBody


def to_submission(event: MeterEventV1 | MeterEventV2, identifier: str, pointer: str) -> Submission:
    """The event as one of our own."""
    return Submission(
        pointer=pointer,
        customer=event.payload.stripe_customer_id,
        source=SOURCE,
        id=identifier,
        type=event.event_name,
        occurred_at=event.timestamp,
        data=event.payload.properties,
        extensions={},
    )


def v1_answer(event: MeterEventV1, identifier: str, now: datetime, live: bool) -> dict[str, Any]:
    """A meter event as the v1 API answers it."""
    return {
        "object": "billing.meter_event",
        "created": epoch_seconds(now),
        "event_name": event.event_name,
        "identifier": identifier,
        "livemode": live,
        "payload": event.payload.model_dump(),
        "timestamp": epoch_seconds(event.timestamp or now),
    }


def v2_answer(event: MeterEventV2, identifier: str, now: datetime, live: bool) -> dict[str, Any]:
    """A meter event as the v2 API answers it."""
    return {
        "object": "v2.billing.meter_event",
        "created": time_text(now),
        "event_name": event.event_name,
        "identifier": identifier,
        "livemode": live,
        "payload": event.payload.model_dump(),
        "timestamp": time_text(event.timestamp or now),
    }


def adjustment_answer(body: AdjustmentBody, live: bool) -> dict[str, Any]:
    """What both APIs answer an adjustment with."""
    return {**body.model_dump(), "livemode": live, "status": "complete"}


def session_answer(token: str, now: datetime, expires_at: datetime, live: bool) -> dict[str, Any]:
    """A session of meter event streams as the v2 API answers it."""
    return {
        "object": "v2.billing.meter_event_session",
        "id": f"mes_{hashlib.sha256(token.encode()).hexdigest()[:24]}",
        "authentication_token": token,
        "created": time_text(now),
        "expires_at": time_text(expires_at),
        "livemode": live,
    }
