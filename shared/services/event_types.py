"""Event types, kept up to date by aggregation at next to no cost."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.event_types import EventType, event_types
from shared.domain.events import UsageEvent
from shared.services.store import Page

MAX_ATTEMPTS = 4
# A container that met more types than this starts over, rather than hold all that anyone made up.
MAX_KEPT = 10_000


class EventTypeStore(Protocol):
    """Where event types are kept."""

    def get(self, name: str) -> EventType | None:
        """The type, read consistently; None if no event of it came."""

    def page(self, limit: int, cursor: str | None) -> Page[EventType]:
        """Types by name."""

    def add(self, before: EventType | None, after: EventType) -> None:
        """Adds to the stored type what `after` has and `before` lacks; a repeat changes nothing.

        Raises: VersionConflictError if others took the room for more properties.
        """


@dataclass(slots=True)
class EventTypes:
    """Notes what events say of their types; writes only what is new, or a new hour."""

    store: EventTypeStore
    _kept: dict[str, EventType] = field(default_factory=dict)

    def note(self, events: Iterable[UsageEvent]) -> None:
        """Takes in what the events say of their types; safe to repeat.

        Raises: UnavailableError.
        """
        for name, seen in event_types(events).items():
            kept = self._kept.get(name)
            if kept is None or _news(kept, seen):
                if len(self._kept) >= MAX_KEPT:
                    self._kept.clear()
                self._kept[name] = self._add(name, seen)

    def _add(self, name: str, seen: EventType) -> EventType:
        for _ in range(MAX_ATTEMPTS):
            before = self.store.get(name)
            if before is not None and not _news(before, seen):
                return before
            after = before.with_seen(seen) if before else seen
            try:
                self.store.add(before, after)
            except VersionConflictError:
                continue
            return after
        raise UnavailableError("others are adding to the event type: it is noted later")


def _news(known: EventType, seen: EventType) -> bool:
    """Whether the known type lacks anything of what was seen. Earlier firsts are no news."""
    more = not known.overflow and not seen.properties <= known.properties
    return more or seen.last_seen > known.last_seen
