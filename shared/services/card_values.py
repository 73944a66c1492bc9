"""What the rate cards of a phase come to that do not add up: a maximum, a number of values."""

from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from decimal import Decimal

from shared.domain.accounts import Phase, Totals
from shared.domain.catalogue import Catalogue
from shared.domain.events import Measurement
from shared.domain.kept_values import KeptValues
from shared.domain.money import format_quantity
from shared.domain.reconciliation import adds_up, card_of
from shared.domain.records import Record
from shared.domain.usage_hours import Quarter

ZERO = Decimal(0)


@dataclass(slots=True)
class CardValues:
    """Running maxima and distinct values by rate card; `unknown` cards cannot be told."""

    phase: Phase
    catalogue: Catalogue
    unknown: set[int] = field(default_factory=set)
    _maxima: dict[int, Decimal] = field(default_factory=dict)
    _distinct: dict[int, set[str]] = field(default_factory=dict)
    _raw: dict[int, KeptValues] = field(default_factory=dict)

    def quarter(self, card: int, quarter: Quarter) -> None:
        """Takes a quarter of a usage hour."""
        if quarter.mark is not None:
            top = max(self._maxima.get(card, ZERO), quarter.mark.quantity)
            self._maxima[card] = top

    def value(self, card: int, value: str) -> None:
        """Takes a distinct value."""
        self._distinct.setdefault(card, set()).add(value)

    def records(self, records: Iterable[Record]) -> None:
        """Takes raw events of the phase."""
        for record in records:
            for measurement in record.measurements:
                self._measurement(measurement)

    def _measurement(self, measurement: Measurement) -> None:
        card = card_of(self.phase, measurement, self.catalogue)
        if card is not None:
            self._raw.setdefault(card, KeptValues()).add([measurement])

    def greatest(self, card: int) -> Decimal:
        """The rate card's maximum, which is zero at least."""
        own = self._raw.get(card, KeptValues()).mark
        return max(self._maxima.get(card, ZERO), own.quantity if own else ZERO)

    def distinct(self, card: int) -> AbstractSet[str]:
        """The rate card's distinct values."""
        return self._distinct.get(card, set()) | self._raw.get(card, KeptValues()).values

    def differing(self, totals: Mapping[int, Totals]) -> Iterator[str]:
        """What is wrong with the values of the totals, by rate card."""
        plan = self.phase.plan_in(self.catalogue)
        for card, rate in enumerate(plan.rate_cards):
            aggregation = self.catalogue.meters[rate.meter].aggregation
            if adds_up(aggregation) or card in self.unknown:
                continue
            distinct = Decimal(len(self.distinct(card)))
            expected = distinct if aggregation == "unique_count" else self.greatest(card)
            if totals[card].value != expected:
                counted, found = map(format_quantity, (totals[card].value, expected))
                where = f"phase {self.phase.number}, meter {rate.meter}"
                yield f"{where}: {counted} was counted where the raw events come to {found}"
