"""What events come to on one rate card, counted again in any order."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from shared.domain.events import CHECKSUM_MODULUS, Measurement
from shared.domain.money import EXACT
from shared.domain.rating import counted_before, value_with
from shared.domain.usage_hours import Quarter


@dataclass(slots=True)
class CardTally:
    """Count, checksum, and the value by the meter's aggregation, as an account's totals have it."""

    count: int = 0
    value: Decimal = Decimal(0)
    checksum: int = 0
    _distinct: set[str] = field(default_factory=set)

    def add(self, measurement: Measurement) -> None:
        """Takes one more event."""
        known = measurement.distinct in self._distinct
        if measurement.distinct is not None:
            self._distinct.add(measurement.distinct)
        self.count += 1
        self.value = value_with(self.value, counted_before(measurement) if known else measurement)
        self.checksum = (self.checksum + measurement.checksum) % CHECKSUM_MODULUS


def line_tally(own: Iterable[Measurement], before: Iterable[Measurement] = ()) -> Quarter:
    """What a line's own events come to, on top of those that were billed before it."""
    tally = CardTally()
    for measurement in before:
        tally.add(measurement)
    count, value, checksum = tally.count, tally.value, tally.checksum
    for measurement in own:
        tally.add(measurement)
    return Quarter(
        tally.count - count,
        EXACT.subtract(tally.value, value),
        (tally.checksum - checksum) % CHECKSUM_MODULUS,
    )
