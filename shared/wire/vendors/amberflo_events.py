"""Amberflo's meter records."""

import hashlib
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from shared.domain.events import Value, canonical_json
from shared.services.ingest import Submission
from shared.wire.common import CustomerKey, Identifier, exact_decimal, refuse
from shared.wire.events import MAX_EVENTS, MAX_PROPERTIES, Data
from shared.wire.vendors.common import CamelModel, EpochMillis, at_most

SOURCE = "amberflo"
VALUE = "value"
# Parts of pointers as ingest says them, in their words.
FIELDS = {
    "/data/value": "/meterValue",
    "/data": "/dimensions",
    "/time": "/meterTimeInMillis",
    "/subject": "/customerId",
}


def _dimensions(data: dict[str, Value] | None) -> dict[str, Value] | None:
    if data and VALUE in data:
        raise refuse("reserved-name")
    if data and len(data) >= MAX_PROPERTIES:
        raise refuse("too-many-properties")
    return data


class MeterRecord(CamelModel):
    """One usage event of theirs: the meter's name is the type, the value a property `value`.

    Without a `uniqueId` two records that say the same are one, as they are there.
    """

    unique_id: Identifier | None = None
    meter_api_name: Identifier
    meter_value: Annotated[Decimal, BeforeValidator(exact_decimal)]
    customer_id: CustomerKey
    meter_time_in_millis: EpochMillis
    dimensions: Annotated[Data | None, AfterValidator(_dimensions)] = None

    def to_submission(self, pointer: str) -> Submission:
        """The record as an event of our own."""
        data = {**(self.dimensions or {}), VALUE: self.meter_value}
        return Submission(
            pointer=pointer,
            customer=self.customer_id,
            source=SOURCE,
            id=self.unique_id or self._content_id(data),
            type=self.meter_api_name,
            occurred_at=self.meter_time_in_millis,
            data=data,
            extensions={},
        )

    def _content_id(self, data: dict[str, Value]) -> str:
        content = [self.meter_api_name, self.meter_time_in_millis.isoformat(), data]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


Records = Annotated[list[MeterRecord], Field(min_length=1, max_length=MAX_EVENTS)]
RecordOrRecords = Annotated[
    Annotated[MeterRecord, Tag("<record>")] | Annotated[Records, Tag("<records>")],
    Discriminator(lambda value: "<records>" if isinstance(value, list) else "<record>"),
    BeforeValidator(at_most(MAX_EVENTS)),
]


def submissions(body: MeterRecord | list[MeterRecord]) -> list[Submission]:
    """The request's events, each with its place."""
    if isinstance(body, MeterRecord):
        return [body.to_submission("")]
    return [record.to_submission(f"/{index}") for index, record in enumerate(body)]
