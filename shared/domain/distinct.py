"""Distinct values: what a `unique_count` meter keeps, one item per value and UTC day.

Each holds the quarters of the day (0 to 95) that the value was seen in, so that any window, group
or set of customers is a union.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from shared.domain.days import floor_day
from shared.domain.quarters import QUARTER
from shared.domain.usage_hours import HourKey


class ValueKey(NamedTuple):
    """`day` is the UTC midnight; `value` is a hash; the rest is as in usage hours."""

    customer: str
    meter: str
    day: datetime
    dimensions: tuple[tuple[str, str], ...]
    value: str
    other: bool = False
    backfilled: bool = False


@dataclass(frozen=True, slots=True)
class DistinctValue:
    """The quarters of the day that the value was seen in."""

    key: ValueKey
    quarters: frozenset[int]

    def instants(self) -> Iterator[datetime]:
        """The starts of the quarters."""
        return (self.key.day + number * QUARTER for number in self.quarters)


# The quarters that values were seen in.
Seen = Mapping[ValueKey, frozenset[int]]


def sighting(hour: HourKey, at: datetime, value: str) -> DistinctValue:
    """One sighting of a value by the usage hour, at the event's time."""
    day = floor_day(hour.hour)
    of = (hour.customer, hour.meter, day, hour.dimensions, value)
    key = ValueKey(*of, other=hour.other, backfilled=hour.backfilled)
    return DistinctValue(key, frozenset([(at - day) // QUARTER]))
