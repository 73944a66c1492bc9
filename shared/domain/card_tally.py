"""What events come to on one rate card, counted again in any order."""

from dataclasses import dataclass, field
from decimal import Decimal

from shared.domain.events import CHECKSUM_MODULUS, Measurement
from shared.domain.money import EXACT
from shared.domain.prices import Price
from shared.domain.pricing import event_nanos
from shared.domain.rating import counted_before, value_with
from shared.domain.usage_hours import Quarter


@dataclass(slots=True)
class CardTally:
    """Count, checksum, and the value by the meter's aggregation, as an account's totals have it.

    With a price by event, also the sum of what single events cost, in nanos.
    """

    price: Price | None = None
    count: int = 0
    value: Decimal = Decimal(0)
    checksum: int = 0
    event_amounts: int = 0
    _distinct: set[str] = field(default_factory=set)

    def add(self, measurement: Measurement) -> None:
        """Takes one more event, or an entry that takes one back."""
        known = measurement.distinct in self._distinct
        if measurement.distinct is not None:
            self._distinct.add(measurement.distinct)
        self.count += measurement.count
        self.value = value_with(self.value, counted_before(measurement) if known else measurement)
        self.checksum = (self.checksum + measurement.checksum) % CHECKSUM_MODULUS
        self.event_amounts += event_nanos(self.price, measurement.quantity, measurement.count)

    def since(self, before: "CardTally") -> Quarter:
        """What this holds more than an earlier tally of some of the same events."""
        return Quarter(
            self.count - before.count,
            EXACT.subtract(self.value, before.value),
            (self.checksum - before.checksum) % CHECKSUM_MODULUS,
        )
