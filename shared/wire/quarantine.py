"""Quarantined records on the wire."""

from shared.services.store import QuarantinedRecord
from shared.wire.common import Time, WireModel


class QuarantinedRecordView(WireModel):
    """A record that could not be applied: `not_applied` names the writes that lack it.

    `record` is the stored event, as JSON text.
    """

    customer: str
    event_key: str
    reason: str
    detail: str
    not_applied: list[str]
    quarantined_at: Time
    record: str

    @classmethod
    def of(cls, record: QuarantinedRecord) -> "QuarantinedRecordView":
        """The record as it is shown."""
        return cls(
            customer=record.customer,
            event_key=record.event_key,
            reason=record.reason,
            detail=record.detail,
            not_applied=list(record.not_applied),
            quarantined_at=record.quarantined_at,
            record=record.record,
        )


class RedrivenView(WireModel):
    """A record that was applied after all. A repeat is answered the same."""

    customer: str
    event_key: str
    redriven_at: Time

    @classmethod
    def of(cls, record: QuarantinedRecord) -> "RedrivenView":
        """The record as it is shown."""
        return cls.model_construct(
            customer=record.customer, event_key=record.event_key, redriven_at=record.redriven_at
        )
