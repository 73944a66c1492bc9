"""Segments on the wire."""

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.domain.segments import Segment
from shared.wire.common import Identifier, Items, Text, WireModel
from shared.wire.prices import once

MAX_TRAITS = 10
MAX_VALUES = 100


def _values_once(values: tuple[str, ...]) -> tuple[str, ...]:
    return once(values, lambda value: value, "duplicate-value")


TraitValues = Annotated[
    Items[Text], Field(min_length=1, max_length=MAX_VALUES), AfterValidator(_values_once)
]


class SegmentBody(WireModel):
    """Customers whose every trait named here has one of its values. It replaces what was there."""

    name: Identifier
    filter: Annotated[dict[Identifier, TraitValues], Field(min_length=1, max_length=MAX_TRAITS)]

    def to_segment(self, key: str) -> Segment:
        """The segment."""
        return Segment(key, self.name, self.filter)


class SegmentView(SegmentBody):
    """A segment."""

    key: str

    @classmethod
    def of(cls, segment: Segment) -> "SegmentView":
        """The segment as it is shown."""
        return cls(key=segment.key, name=segment.name, filter=dict(segment.filter))
