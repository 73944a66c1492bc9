"""Corrections of raw events on the wire."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.domain.corrections import History
from shared.domain.events import Correction, UsageEvent
from shared.wire.common import CustomerKey, Identifier, Text, Time, WireModel, refuse
from shared.wire.events import Data, Property


class CorrectionBody(WireModel):
    """Which event counts no more (`cancel`), or counts with other `data` instead of its own.

    The event itself stays as it was sent. `data` is all of the data, not a part of it.
    """

    customer: CustomerKey
    source: Identifier
    id: Identifier
    cancel: Literal[True] | None = None
    data: Data | None = None
    reason: Annotated[Text | None, Field(min_length=1)] = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "CorrectionBody":
        if (self.cancel is None) == (self.data is None):
            raise refuse("cancel-or-data")
        return self


class CorrectionEntryView(WireModel):
    """One correction of an event: it cancelled it, or put this data in force.

    `actor` is the id of the key that made it; portal tokens are not told.
    """

    number: int
    cancel: bool
    data: Mapping[str, Property] | None
    actor: Text | None
    corrected_at: Time
    reason: Text | None


class CorrectedEventView(WireModel):
    """An event with its corrections, oldest first; the last one is in force.

    `data` is what counts now, null for a cancelled event.
    """

    customer: Text
    source: Text
    id: Text
    type: Text
    time: Time
    data: Mapping[str, Property] | None
    corrections: tuple[CorrectionEntryView, ...]

    @classmethod
    def of(cls, history: History) -> "CorrectedEventView":
        """The event as it is shown."""
        event, effective = history.event, history.effective
        return cls.model_construct(
            customer=event.customer,
            source=event.source,
            id=event.id,
            type=event.type,
            time=event.occurred_at,
            data=effective.data if effective else None,
            corrections=tuple(corrections_of(history)),
        )


def corrections_of(history: History) -> list[CorrectionEntryView]:
    """Each correction once, whatever entries it is made of; a replacement tells its data."""
    newest: dict[int, tuple[UsageEvent, Correction]] = {}
    for entry in history.entries:
        if entry.correction is not None:
            newest[entry.correction.number] = entry, entry.correction
    return [_entry(*each) for each in newest.values()]


def _entry(entry: UsageEvent, made: Correction) -> CorrectionEntryView:
    cancelled = made.role == "reversal"
    return CorrectionEntryView.model_construct(
        number=made.number,
        cancel=cancelled,
        data=None if cancelled else entry.data,
        actor=made.actor,
        corrected_at=made.corrected_at,
        reason=made.reason,
    )
