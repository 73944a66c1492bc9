"""Usage hours: what metering keeps, one item per customer, meter, UTC hour and dimension values.

Each holds four quarters, so that days in zones offset by 30 or 45 minutes come out exact. They
depend on meters alone, never on plans: metering works with billing off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from shared.domain.checkpoints import Checkpoints
from shared.domain.events import CHECKSUM_MODULUS, Mark, Measurement
from shared.domain.folding import Record
from shared.domain.money import EXACT

QUARTER_MINUTES = 15
OTHER = "other"  # what the group over the cap is called
REDRIVE = "redrive"  # under this name quarantine and redrive step an item's checkpoints


@dataclass(frozen=True, slots=True)
class HourKey:
    """`hour` is the UTC instant the hour starts at; `dimensions` are sorted (name, value) pairs.

    `other`: the item of all the hour's usage whose dimension values are over the cap.
    """

    customer: str
    meter: str
    hour: datetime
    dimensions: tuple[tuple[str, str], ...]
    other: bool = False


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
        """The quarter with one more event."""
        return self.merged(Quarter(1, measurement.quantity, measurement.checksum, measurement.mark))

    def merged(self, other: "Quarter") -> "Quarter":
        """Both together."""
        return Quarter(
            self.count + other.count,
            EXACT.add(self.value, other.value),
            (self.checksum + other.checksum) % CHECKSUM_MODULUS,
            winner(self.mark, other.mark),
        )


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


def hour_key(customer: str, measurement: Measurement, at: datetime) -> HourKey:
    """The item that takes the measurement."""
    hour = at.replace(minute=0, second=0, microsecond=0)
    return HourKey(customer, measurement.meter, hour, tuple(sorted(measurement.dimensions.items())))


def hours_touched(records: Iterable[Record]) -> set[HourKey]:
    """The items that the records add to."""
    return {
        hour_key(record.event.customer, measurement, record.event.occurred_at)
        for record in records
        for measurement in record.measurements
    }


def add_to_hours(
    records: Iterable[Record],
    stored: Mapping[HourKey, UsageHour],
    shard: str,
    now_seconds: int,
) -> list[tuple[UsageHour, UsageHour]]:
    """(as read, as it shall be) of each item that records not yet in its checkpoint add to."""
    after: dict[HourKey, UsageHour] = {}
    for record in records:
        for measurement in record.measurements:
            key = hour_key(record.event.customer, measurement, record.event.occurred_at)
            before = stored.get(key, UsageHour(key))
            if before.checkpoints.applied(shard, record.sequence):
                continue
            after[key] = _add(after.get(key, before), record, measurement, shard, now_seconds)
    return [(stored.get(key, UsageHour(key)), hour) for key, hour in after.items()]


def fenced(hour: UsageHour, now_seconds: int) -> UsageHour:
    """The same usage, told apart from what was read before: a write from then will fail."""
    number = hour.checkpoints.following(REDRIVE)
    return replace(hour, checkpoints=hour.checkpoints.advanced(REDRIVE, number, now_seconds))


def redrive_to_hours(
    record: Record, stored: Mapping[HourKey, UsageHour], now_seconds: int
) -> list[tuple[UsageHour, UsageHour]]:
    """(as read, as it shall be) of each item, with a record that its shard passed long ago.

    The step of a checkpoint of its own tells the item apart from what others have read.
    """
    pairs = []
    for measurement in record.measurements:
        key = hour_key(record.event.customer, measurement, record.event.occurred_at)
        before = stored.get(key, UsageHour(key))
        numbered = replace(record, sequence=before.checkpoints.following(REDRIVE))
        pairs.append((before, _add(before, numbered, measurement, REDRIVE, now_seconds)))
    return pairs


def _add(
    hour: UsageHour, record: Record, measurement: Measurement, shard: str, now_seconds: int
) -> UsageHour:
    index = record.event.occurred_at.minute // QUARTER_MINUTES
    quarters = list(hour.quarters)
    quarters[index] = quarters[index].plus(measurement)
    return replace(
        hour,
        quarters=(quarters[0], quarters[1], quarters[2], quarters[3]),
        checkpoints=hour.checkpoints.advanced(shard, record.sequence, now_seconds),
    )
