"""Usage hours: what metering keeps, one item per customer, meter, UTC hour and dimension values.

Each holds four quarters, so that days in zones offset by 30 or 45 minutes come out exact. They
depend on meters alone, never on plans: metering works with billing off.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.domain.checkpoints import Checkpoints
from shared.domain.events import CHECKSUM_MODULUS, Mark, Measurement, takes_value_back
from shared.domain.money import EXACT

OTHER = "other"  # what the group over the cap is called
REDRIVE = "redrive"  # under this name quarantine and redrive step an item's checkpoints


class HourKey(NamedTuple):
    """`hour` is the UTC instant the hour starts at; `dimensions` are sorted (name, value) pairs.

    `other`: the item of all the hour's usage whose dimension values are over the cap.
    `backfilled`: the item of the events from before the meter was made, which nothing bills.
    """

    customer: str
    meter: str
    hour: datetime
    dimensions: tuple[tuple[str, str], ...]
    other: bool = False
    backfilled: bool = False


@dataclass(frozen=True, slots=True)
class Quarter:
    """Event count, sum of quantities, checksum and winning mark of a quarter of an hour.

    Two quarters of a meter merge into one, in any order: whatever is asked of them is a merge.
    """

    count: int = 0
    value: Decimal = Decimal(0)
    checksum: int = 0
    mark: Mark | None = None

    def plus(self, measurement: Measurement) -> "Quarter":
        """The quarter with one more event, or one less."""
        return self.merged(quarter_of(measurement))

    def merged(self, other: "Quarter") -> "Quarter":
        """Both together."""
        return Quarter(
            self.count + other.count,
            EXACT.add(self.value, other.value),
            (self.checksum + other.checksum) % CHECKSUM_MODULUS,
            winner(self.mark, other.mark),
        )


def quarter_of(measurement: Measurement) -> Quarter:
    """What a single event adds to its quarter; the mark that a reversal takes back stays."""
    mark = None if takes_value_back(measurement) else measurement.mark
    return Quarter(measurement.count, measurement.quantity, measurement.checksum, mark)


def winner(a: Mark | None, b: Mark | None) -> Mark | None:
    """The greater of two marks, if there is any."""
    return b if a is None or (b is not None and b > a) else a


EMPTY_HOUR = (Quarter(), Quarter(), Quarter(), Quarter())


@dataclass(frozen=True, slots=True)
class UsageHour:
    """One item of usage; its checkpoints make every record count in it once."""

    key: HourKey
    quarters: tuple[Quarter, Quarter, Quarter, Quarter] = EMPTY_HOUR
    checkpoints: Checkpoints = field(default_factory=Checkpoints)


def floor_hour(at: datetime) -> datetime:
    """The full hour (UTC) at or before the instant."""
    return at.replace(minute=0, second=0, microsecond=0)


def hour_key(customer: str, measurement: Measurement, at: datetime) -> HourKey:
    """The item that takes the measurement."""
    hour = floor_hour(at)
    return HourKey(customer, measurement.meter, hour, tuple(sorted(measurement.dimensions.items())))


def fenced(hour: UsageHour, now_seconds: int) -> UsageHour:
    """The same usage, told apart from what was read before: a write from then will fail."""
    number = hour.checkpoints.following(REDRIVE)
    return replace(hour, checkpoints=hour.checkpoints.advanced(REDRIVE, number, now_seconds))
