"""Event types on the wire: what their events held, and which meters read it."""

from collections.abc import Mapping

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.event_types import EventType, Kind
from shared.wire.common import Text, Time, WireModel


class PropertyView(WireModel):
    """A data property: of which JSON types it came, and the meters that read it.

    One that a meter reads and no event had is listed without kinds.
    """

    name: str
    kinds: tuple[Kind, ...]
    meters: tuple[str, ...]


class EventTypeView(WireModel):
    """What is known of an event type from the events that came. No values are kept.

    `meters` are those that count its events today; `last_seen` is told to the hour. At most 200
    pairs of a property and a kind are kept; with `overflow` there were more.
    """

    type: Text
    first_seen: Time
    last_seen: Time
    properties: tuple[PropertyView, ...]
    overflow: bool
    meters: tuple[str, ...]

    @classmethod
    def of(cls, seen: EventType, catalogue: Catalogue) -> "EventTypeView":
        """The type as it is shown, beside the meters of the newest catalogue."""
        meters = catalogue.meters_of(seen.name, catalogue.version)
        reads = {meter.key: properties_read(meter) for meter in meters}
        kinds: dict[str, list[Kind]] = {name: [] for names in reads.values() for name in names}
        for name, kind in sorted(seen.properties):
            kinds.setdefault(name, []).append(kind)
        return cls(
            type=seen.name,
            first_seen=seen.first_seen,
            last_seen=max(seen.first_seen, seen.last_seen),
            properties=tuple(_property(name, kinds[name], reads) for name in sorted(kinds)),
            overflow=seen.overflow,
            meters=tuple(sorted(reads)),
        )


def properties_read(meter: Meter) -> frozenset[str]:
    """The data properties that decide what an event adds to the meter."""
    return frozenset((*meter.dimensions, *meter.filter, *filter(None, [meter.value])))


def _property(name: str, kinds: list[Kind], reads: Mapping[str, frozenset[str]]) -> PropertyView:
    meters = tuple(sorted(meter for meter, names in reads.items() if name in names))
    return PropertyView(name=name, kinds=tuple(kinds), meters=meters)
