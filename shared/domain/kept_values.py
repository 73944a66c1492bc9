"""What usage comes to that no difference takes back: the winning mark, the distinct values.

Reversals count down what they take back, so that the events may come in any order.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from shared.domain.events import Mark, Measurement


@dataclass(slots=True)
class KeptValues:
    """How many usages of one meter and group brought each mark and each distinct value."""

    _marks: Counter[Mark] = field(default_factory=Counter)
    _values: Counter[str] = field(default_factory=Counter)

    def add(self, measurements: Iterable[Measurement]) -> None:
        """Takes more usages, and reversals of any."""
        for measurement in measurements:
            if measurement.mark is not None:
                self._marks[measurement.mark] += measurement.count
            if measurement.distinct is not None:
                self._values[measurement.distinct] += measurement.count

    @property
    def mark(self) -> Mark | None:
        """The greatest mark that is in force."""
        return max((mark for mark, count in self._marks.items() if count > 0), default=None)

    @property
    def values(self) -> frozenset[str]:
        """The distinct values that are in force."""
        return frozenset(value for value, count in self._values.items() if count > 0)
