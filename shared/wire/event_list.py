"""Raw events on the wire, each with what became of it."""

from collections.abc import Mapping
from typing import Literal

from shared.domain.events import UsageEvent
from shared.services.event_fates import EventFate
from shared.services.store import QuarantinedRecord
from shared.wire.common import Text, Time, WireModel
from shared.wire.events import Property


class LateView(WireModel):
    """Too late for its closed phase, an event is billed with this billing period instead."""

    phase: int
    period: int


class AsideView(WireModel):
    """Why an event is in quarantine. `not_applied` names the writes that lack it."""

    reason: str
    detail: str
    not_applied: tuple[str, ...]
    quarantined_at: Time


class EventView(WireModel):
    """A stored event, and what became of it.

    `meters` count it; `invoice` bills it, once its period is closed, or the one that it came too
    `late` for, on `invoice_lines`. `catalogue_version` says which meters there were when it was
    accepted. `quarantine` says why it is in quarantine.
    """

    specversion: Literal["1.0"] = "1.0"
    id: Text
    source: Text
    type: Text
    subject: Text
    time: Time
    data: Mapping[str, Property]
    extensions: Mapping[str, str]
    received_at: Time
    catalogue_version: int
    status: Literal["accepted", "quarantined"]
    meters: tuple[str, ...]
    late: LateView | None
    invoice: str | None
    invoice_lines: tuple[int, ...]
    quarantine: AsideView | None

    @classmethod
    def of(cls, event: UsageEvent, became: EventFate) -> "EventView":
        """The event as it is shown."""
        fate = became.fate
        late = None
        if fate.late_phase is not None and fate.late_period is not None:
            late = LateView(phase=fate.late_phase, period=fate.late_period)
        return cls.model_construct(
            id=event.id,
            source=event.source,
            type=event.type,
            subject=event.customer,
            time=event.occurred_at,
            data=event.data,
            extensions=event.extensions,
            received_at=event.received_at,
            catalogue_version=event.catalogue_version,
            status="quarantined" if fate.quarantined else "accepted",
            meters=became.meters,
            late=late,
            invoice=became.invoice,
            invoice_lines=became.lines,
            quarantine=_aside(became.aside) if became.aside else None,
        )


def _aside(kept: QuarantinedRecord) -> AsideView:
    return AsideView(
        reason=kept.reason,
        detail=kept.detail,
        not_applied=kept.not_applied,
        quarantined_at=kept.quarantined_at,
    )
