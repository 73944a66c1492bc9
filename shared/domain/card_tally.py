"""What events come to on one rate card, counted again in any order."""

from dataclasses import dataclass, field
from decimal import Decimal

from shared.domain.events import CHECKSUM_MODULUS, Measurement
from shared.domain.kept_values import KeptValues
from shared.domain.money import EXACT
from shared.domain.prices import Price
from shared.domain.pricing import event_nanos
from shared.domain.usage_hours import Quarter

ZERO = Decimal(0)


@dataclass(slots=True)
class CardTally:
    """Count, checksum, and the value by the meter's aggregation, as an account's totals have it.

    With a price by event, also the sum of what single events cost, in nanos.
    """

    price: Price | None = None
    count: int = 0
    checksum: int = 0
    event_amounts: int = 0
    _sum: Decimal = ZERO
    _kept: KeptValues = field(default_factory=KeptValues)

    def add(self, measurement: Measurement) -> None:
        """Takes one more event, or an entry that takes one back."""
        self.count += measurement.count
        self.checksum = (self.checksum + measurement.checksum) % CHECKSUM_MODULUS
        self.event_amounts += event_nanos(self.price, measurement.quantity, measurement.count)
        if measurement.mark is None and measurement.distinct is None:
            self._sum = EXACT.add(self._sum, measurement.quantity)
        self._kept.add([measurement])

    @property
    def value(self) -> Decimal:
        """The sum, the number of distinct values, or the maximum, which is zero at least."""
        if self._kept.mark is not None:
            return max(ZERO, self._kept.mark.quantity)
        return EXACT.add(self._sum, Decimal(len(self._kept.values)))

    def since(self, before: "CardTally") -> Quarter:
        """What this holds more than an earlier tally of some of the same events."""
        return Quarter(
            self.count - before.count,
            EXACT.subtract(self.value, before.value),
            (self.checksum - before.checksum) % CHECKSUM_MODULUS,
        )
