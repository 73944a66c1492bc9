"""Corrections of raw events: entries that take back and replace, while the event itself stays.

A correction's entries are raw events like any other, at the event's own time and under the
catalogue version that it was stamped with: whatever counts events counts them, by their sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.events import Correction, UsageEvent, Value


@dataclass(frozen=True, slots=True)
class History:
    """An event as it was sent, and the entries that corrected it since, in their order."""

    event: UsageEvent
    entries: tuple[UsageEvent, ...] = ()

    @property
    def number(self) -> int:
        """How many corrections there are."""
        return max((e.correction.number for e in self.entries if e.correction), default=0)

    @property
    def effective(self) -> UsageEvent | None:
        """What counts now, an event without a correction; None if it is cancelled."""
        if not self.entries:
            return self.event
        newest = self.entries[-1]
        cancelled = newest.correction is None or newest.correction.role == "reversal"
        return None if cancelled else replace(newest, correction=None)

    @property
    def in_force(self) -> UsageEvent:
        """The entry that holds what counts now, or what counted last."""
        replacements = [e for e in self.entries if e.reversed_key is None]
        return replacements[-1] if replacements else self.event


def correct(
    history: History,
    data: Mapping[str, Value] | None,
    made: Correction,
    received_at: datetime,
) -> tuple[UsageEvent, ...]:
    """The entries of the next correction; without data it cancels.

    `made` says by whom, when and why; its number and role are set here.
    """
    number = history.number + 1
    reversal = replace(
        history.in_force,
        received_at=received_at,
        correction=replace(made, number=number, role="reversal"),
    )
    if data is None:
        return (reversal,)
    made = replace(made, number=number, role="replacement")
    return reversal, replace(reversal, data=data, correction=made)
