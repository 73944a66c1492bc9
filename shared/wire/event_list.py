"""Raw events on the wire, each with what became of it."""

from collections.abc import Mapping
from typing import Any, Literal

from shared.domain.corrections import History
from shared.domain.events import CorrectionRole
from shared.domain.uncounted import Uncounted
from shared.services.event_fates import EventFate
from shared.services.store import QuarantinedRecord
from shared.wire.common import Text, Time, WireModel
from shared.wire.corrections import CorrectionEntryView, corrections_of
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


class EntryView(WireModel):
    """One entry of a correction, and what became of it, as with events."""

    role: CorrectionRole
    status: Literal["accepted", "quarantined"]
    late: LateView | None
    invoice: str | None
    invoice_lines: tuple[int, ...]
    quarantine: AsideView | None

    @classmethod
    def of(cls, role: CorrectionRole, became: EventFate) -> "EntryView":
        """The entry as it is shown."""
        return cls.model_construct(role=role, **_became(became))


class EventCorrectionView(CorrectionEntryView):
    """A correction of an event with its entries: a reversal, and a replacement if there is data."""

    entries: tuple[EntryView, ...]


class EventView(WireModel):
    """A stored event as it was sent, and what became of it and of its corrections.

    `meters` count it, `uncounted` tells why other meters of its type do not; `invoice` bills it,
    once its period is closed, or the one that it came too `late` for, on `invoice_lines`.
    `catalogue_version` says which meters there were when it was accepted. `quarantine` says why it
    is in quarantine.
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
    uncounted: Mapping[str, Uncounted]
    late: LateView | None
    invoice: str | None
    invoice_lines: tuple[int, ...]
    quarantine: AsideView | None
    corrections: tuple[EventCorrectionView, ...]

    @classmethod
    def of(cls, history: History, fates: Mapping[str, EventFate]) -> "EventView":
        """The event as it is shown; `fates` has those of its entries, too."""
        event, became = history.event, fates[history.event.key]
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
            meters=became.meters,
            uncounted=became.uncounted,
            corrections=tuple(_correction(c, history, fates) for c in corrections_of(history)),
            **_became(became),
        )

    def without_actors(self) -> "EventView":
        """The event as its customer may see it: whose keys corrected it is for operators."""
        theirs = (each.model_copy(update={"actor": None}) for each in self.corrections)
        return self.model_copy(update={"corrections": tuple(theirs)})


def _correction(
    correction: CorrectionEntryView, history: History, fates: Mapping[str, EventFate]
) -> EventCorrectionView:
    entries = [
        EntryView.of(entry.correction.role, fates[entry.key])
        for entry in history.entries
        if entry.correction is not None and entry.correction.number == correction.number
    ]
    return EventCorrectionView.model_construct(**dict(correction), entries=tuple(entries))


def _became(became: EventFate) -> dict[str, Any]:
    fate, late = became.fate, None
    if fate.late_phase is not None and fate.late_period is not None:
        late = LateView(phase=fate.late_phase, period=fate.late_period)
    return {
        "status": "quarantined" if fate.quarantined else "accepted",
        "late": late,
        "invoice": became.invoice,
        "invoice_lines": became.lines,
        "quarantine": _aside(became.aside) if became.aside else None,
    }


def _aside(kept: QuarantinedRecord) -> AsideView:
    return AsideView(
        reason=kept.reason,
        detail=kept.detail,
        not_applied=kept.not_applied,
        quarantined_at=kept.quarantined_at,
    )
