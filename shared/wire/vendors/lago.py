"""Lago's events."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from shared.domain.events import UsageEvent, Value, time_text
from shared.services.ingest import Submission
from shared.wire.common import CustomerKey, Identifier, QueryModel, WireModel, exact_decimal, refuse
from shared.wire.events import MAX_PROPERTIES, Data
from shared.wire.vendors.common import EpochSeconds, at_most

SOURCE = "lago"
AMOUNT = "precise_total_amount_cents"
MAX_BATCH = 100
# Parts of pointers as ingest says them, in their words.
FIELDS = {
    f"/data/{AMOUNT}": f"/{AMOUNT}",
    "/data": "/properties",
    "/time": "/timestamp",
    "/subject": "/external_subscription_id",
}


def _properties(data: dict[str, Value] | None) -> dict[str, Value] | None:
    if data and AMOUNT in data:
        raise refuse("reserved-name")
    if data and len(data) >= MAX_PROPERTIES:
        raise refuse("too-many-properties")
    return data


class LagoEvent(WireModel):
    """One event of theirs: the code is the type, the subscription is the customer.

    A `precise_total_amount_cents` is kept as a property of that name.
    """

    transaction_id: Identifier
    external_subscription_id: CustomerKey
    code: Identifier
    timestamp: EpochSeconds | None = None
    precise_total_amount_cents: Annotated[
        Decimal | None, BeforeValidator(lambda v: v if v is None else exact_decimal(v))
    ] = None
    properties: Annotated[Data | None, AfterValidator(_properties)] = None

    def to_submission(self, pointer: str) -> Submission:
        """The event as one of our own."""
        amount = self.precise_total_amount_cents
        data: dict[str, Value] = dict(self.properties or {})
        return Submission(
            pointer=pointer,
            customer=self.external_subscription_id,
            source=SOURCE,
            id=self.transaction_id,
            type=self.code,
            occurred_at=self.timestamp,
            data=data if amount is None else {**data, AMOUNT: amount},
            extensions={},
        )


class EventBody(WireModel):
    """One event."""

    event: LagoEvent


class BatchBody(WireModel):
    """Up to 100 events, all of which are stored or none."""

    events: Annotated[
        list[LagoEvent],
        Field(min_length=1, max_length=MAX_BATCH),
        BeforeValidator(at_most(MAX_BATCH)),
    ]


class FoundEventQuery(QueryModel):
    """Whose event it is; without it every customer's are looked through."""

    external_subscription_id: CustomerKey | None = None


def event_answer(submission: Submission, event_key: str, now: datetime) -> dict[str, Any]:
    """An event as they answer one, just stored."""
    occurred_at = submission.occurred_at or now
    return _answer(submission.customer, submission.id, submission.type, event_key) | {
        "timestamp": time_text(occurred_at),
        "created_at": time_text(now),
        **_amount_and_properties(dict(submission.data)),
    }


def stored_event_answer(event: UsageEvent) -> dict[str, Any]:
    """A stored event as they answer one."""
    return _answer(event.customer, event.id, event.type, event.key) | {
        "timestamp": time_text(event.occurred_at),
        "created_at": time_text(event.received_at),
        **_amount_and_properties(dict(event.data)),
    }


def _answer(customer: str, event_id: str, code: str, event_key: str) -> dict[str, Any]:
    return {
        "lago_id": event_key,
        "transaction_id": event_id,
        "lago_customer_id": None,
        "lago_subscription_id": None,
        "external_subscription_id": customer,
        "code": code,
    }


def _amount_and_properties(data: dict[str, Value]) -> dict[str, Any]:
    amount = data.pop(AMOUNT, None)
    return {AMOUNT: None if amount is None else str(amount), "properties": data}
