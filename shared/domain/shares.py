"""Past usage in small shares: what a quarter of an hour, or a single event, adds to a meter."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from shared.domain.catalogue import Meter
from shared.domain.distinct import DistinctValue
from shared.domain.events import Measurement
from shared.domain.quarters import QUARTER
from shared.domain.records import Record
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, quarter_of


@dataclass(frozen=True, slots=True)
class Share:
    """Usage at a time: of a quarter of an hour from its start on.

    `backfilled`: from before the meter was made, which nothing has billed. `other`: of dimension
    values over the cap, which it does not tell.
    """

    at: datetime
    measurement: Measurement
    backfilled: bool = False
    other: bool = False


def shares_of_hour(meter: Meter, hour: UsageHour) -> Iterator[Share]:
    """The quarters with usage. Of distinct values they tell how often, not which: that is apart."""
    for number, quarter in enumerate(hour.quarters):
        if quarter != Quarter():
            at = hour.key.hour + number * QUARTER
            yield _share(meter, hour.key, at, quarter)


def shares_of_value(value: DistinctValue, instants: Iterable[datetime]) -> Iterator[Share]:
    """A distinct value where it was seen first, of these of its quarters."""
    at = min(instants, default=None)
    if at is not None:
        measurement = Measurement(
            meter=value.key.meter,
            quantity=Decimal(1),
            dimensions=dict(value.key.dimensions),
            checksum=0,
            aggregation="unique_count",
            distinct=value.key.value,
            count=0,
        )
        yield Share(at, measurement, value.key.backfilled, value.key.other)


def shares_of_records(records: Iterable[Record]) -> Iterator[Share]:
    """Each event's own."""
    for record in records:
        for measurement in record.measurements:
            yield Share(record.event.occurred_at, measurement)


def merged_shares(shares: Iterable[Share]) -> list[Share]:
    """The shares of events in quarters, by group; distinct values stay as they are.

    Corrections are netted by that: usage that was taken back has drawn nothing.
    """
    merged: dict[tuple[datetime, str, tuple[tuple[str, str], ...]], Quarter] = {}
    samples: dict[tuple[datetime, str, tuple[tuple[str, str], ...]], Measurement] = {}
    kept = []
    for share in shares:
        measurement = share.measurement
        if measurement.distinct is not None:
            kept.append(share)
            continue
        group = tuple(sorted(measurement.dimensions.items()))
        place = (share.at, measurement.meter, group)
        merged[place] = merged.get(place, Quarter()).merged(quarter_of(measurement))
        samples[place] = measurement
    for place, quarter in merged.items():
        kept.append(Share(place[0], _measurement(samples[place], quarter)))
    return kept


def _share(meter: Meter, key: HourKey, at: datetime, quarter: Quarter) -> Share:
    sample = Measurement(meter.key, Decimal(0), dict(key.dimensions), 0, meter.aggregation)
    return Share(at, _measurement(sample, quarter), key.backfilled, key.other)


def _measurement(sample: Measurement, quarter: Quarter) -> Measurement:
    """The quarter as one usage: of a maximum the greatest value, of distinct values none."""
    quantity = quarter.value
    if sample.aggregation == "unique_count":
        quantity = Decimal(0)
    elif quarter.mark is not None:
        quantity = quarter.mark.quantity
    return Measurement(
        meter=sample.meter,
        quantity=quantity,
        dimensions=sample.dimensions,
        checksum=quarter.checksum,
        aggregation=sample.aggregation,
        count=quarter.count,
    )
