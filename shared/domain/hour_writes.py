"""What records add to usage hours, as the writes that make it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain

from shared.domain.dimension_cap import Registers, placed
from shared.domain.distinct import Seen, ValueKey, sighting
from shared.domain.events import Measurement, takes_value_back
from shared.domain.quarters import QUARTER
from shared.domain.records import Record
from shared.domain.usage_hours import REDRIVE, HourKey, UsageHour, hour_key

# Values that are new take an item each in the usage hour's transaction, which holds a hundred.
MAX_NEW_VALUES = 90


@dataclass(frozen=True, slots=True)
class Metering:
    """What is stored of the usage that records add to; what is not there is empty."""

    hours: Mapping[HourKey, UsageHour]
    registers: Registers = field(default_factory=dict)
    seen: Seen = field(default_factory=dict)

    def place(self, record: Record, measurement: Measurement) -> HourKey:
        """The item that takes the measurement."""
        event = record.event
        return placed(hour_key(event.customer, measurement, event.occurred_at), self.registers)

    def hour(self, key: HourKey) -> UsageHour:
        """The item as it is stored."""
        return self.hours.get(key, UsageHour(key))


@dataclass(frozen=True, slots=True)
class HourWrite:
    """A usage hour as read and as it shall be, with the values first seen in its quarters."""

    before: UsageHour
    after: UsageHour
    values: Seen


def in_parts(values: Seen) -> list[Seen]:
    """The values in parts that a transaction can take; none are a part as well."""
    keys = list(values)
    starts = range(0, max(1, len(keys)), MAX_NEW_VALUES)
    return [{key: values[key] for key in keys[start:][:MAX_NEW_VALUES]} for start in starts]


def hours_touched(records: Iterable[Record], metering: Metering) -> list[HourKey]:
    """The items that the records add to, each once, in the records' order."""
    places = chain.from_iterable(
        (metering.place(record, measurement) for measurement in record.measurements)
        for record in records
    )
    return list(dict.fromkeys(places))


def values_touched(records: Iterable[Record], metering: Metering) -> list[ValueKey]:
    """The items of the distinct values that the records bring, each once."""
    keys = (
        sighting(
            metering.place(record, measurement), record.event.occurred_at, measurement.distinct
        ).key
        for record in records
        for measurement in record.measurements
        if measurement.distinct is not None and not takes_value_back(measurement)
    )
    return list(dict.fromkeys(keys))


def add_to_hours(
    records: Iterable[Record], stored: Metering, shard: str, now_seconds: int
) -> list[list[HourWrite]]:
    """The writes of each item that records not yet in its checkpoint add to, in their order.

    An item has more than one where more values are new than a transaction can take: each write
    steps the checkpoint to its own last record.
    """
    writes: dict[HourKey, list[HourWrite]] = {}
    for record in records:
        for measurement in record.measurements:
            key = stored.place(record, measurement)
            before = stored.hour(key)
            if before.checkpoints.applied(shard, record.sequence):
                continue
            mine = writes.setdefault(key, [])
            if not mine or len(mine[-1].values) >= MAX_NEW_VALUES:
                start = mine[-1].after if mine else before
                mine.append(HourWrite(start, start, {}))
            after = _add(mine[-1].after, record, measurement, shard, now_seconds)
            values = _with_value(mine[-1].values, stored.seen, key, record, measurement)
            mine[-1] = HourWrite(mine[-1].before, after, values)
    return list(writes.values())


def redrive_to_hours(record: Record, stored: Metering, now_seconds: int) -> list[HourWrite]:
    """The write of each item, with a record that its shard passed long ago.

    The step of a checkpoint of its own tells the item apart from what others have read.
    """
    writes = []
    for measurement in record.measurements:
        key = stored.place(record, measurement)
        before = stored.hour(key)
        numbered = replace(record, sequence=before.checkpoints.following(REDRIVE))
        after = _add(before, numbered, measurement, REDRIVE, now_seconds)
        writes.append(
            HourWrite(before, after, _with_value({}, stored.seen, key, record, measurement))
        )
    return writes


def _add(
    hour: UsageHour, record: Record, measurement: Measurement, shard: str, now_seconds: int
) -> UsageHour:
    index = (record.event.occurred_at - hour.key.hour) // QUARTER
    quarters = list(hour.quarters)
    quarters[index] = quarters[index].plus(measurement)
    return replace(
        hour,
        quarters=(quarters[0], quarters[1], quarters[2], quarters[3]),
        checkpoints=hour.checkpoints.advanced(shard, record.sequence, now_seconds),
    )


def _with_value(
    values: Seen, seen: Seen, hour: HourKey, record: Record, measurement: Measurement
) -> Seen:
    """The values with the measurement's, unless it was seen in its quarter before."""
    if measurement.distinct is None or takes_value_back(measurement):
        return values
    new = sighting(hour, record.event.occurred_at, measurement.distinct)
    if new.quarters <= seen.get(new.key, frozenset()):
        return values
    return {**values, new.key: values.get(new.key, frozenset()) | new.quarters}
