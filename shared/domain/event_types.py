"""What is known of an event type from the events that came: which properties, of which kinds.

No value is kept: values may be personal data, and are with the events themselves.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.events import UsageEvent, Value
from shared.domain.usage_hours import floor_hour

Kind = Literal["boolean", "null", "number", "string"]

# Senders that make up property names must not make a type's item grow without end.
MAX_PROPERTIES_SEEN = 200


@dataclass(frozen=True, slots=True)
class EventType:
    """A type of events: `properties` are the (name, kind) pairs seen, at most 200 of them.

    `overflow`: there were more. Times are when events were received, the last one to the hour.
    """

    name: str
    first_seen: datetime
    last_seen: datetime
    properties: frozenset[tuple[str, Kind]] = frozenset()
    overflow: bool = False

    def with_seen(self, other: "EventType") -> "EventType":
        """What is known after the other was seen as well; equal if it says nothing new."""
        new = sorted(other.properties - self.properties)
        room = MAX_PROPERTIES_SEEN - len(self.properties)
        return replace(
            self,
            first_seen=min(self.first_seen, other.first_seen),
            last_seen=max(self.last_seen, other.last_seen),
            properties=self.properties.union(new[:room]),
            overflow=self.overflow or len(new) > room,
        )


def event_types(events: Iterable[UsageEvent]) -> Mapping[str, EventType]:
    """What the events by themselves say of their types, by type."""
    found: dict[str, EventType] = {}
    for event in events:
        pairs = frozenset((name, kind_of(value)) for name, value in event.data.items())
        hour = floor_hour(event.received_at)
        seen = EventType(event.type, event.received_at, hour, pairs)
        known = found.get(event.type)
        found[event.type] = known.with_seen(seen) if known else seen
    return found


def kind_of(value: Value) -> Kind:
    """The JSON type of a property's value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, Decimal) else "string"
