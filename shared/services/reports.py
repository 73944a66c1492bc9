"""Questions about revenue and margin, and the rows that answer them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from shared.domain.errors import InvalidError, Problem
from shared.domain.money import EXACT
from shared.domain.periods import Period
from shared.domain.prices import ZERO
from shared.domain.recognition import Part
from shared.domain.usage_windows import Window, on_quarter, usage_windows
from shared.services.audience import Question

GroupBy = Literal["customer", "plan", "meter", "segment"]

MAX_WINDOWS = 400
MAX_SPAN = timedelta(days=3660)


class RowKey(NamedTuple):
    """A row: the window's number, the currency, and the values of what was grouped by."""

    window: int
    currency: str
    group: tuple[str, ...]


@dataclass(slots=True)
class Amounts:
    """Exact amounts of a row, in major units of its currency.

    `accrued` is the part of the revenue that no invoice has billed yet, `invoiced` what invoices
    billed in the window, whatever time it was for.
    """

    parts: dict[Part, Decimal] = field(default_factory=dict)
    accrued: Decimal = ZERO
    invoiced: Decimal = ZERO
    cost: Decimal = ZERO

    @property
    def revenue(self) -> Decimal:
        """What was earned."""
        return sum(self.parts.values(), ZERO)

    def earn(self, part: Part, amount: Decimal) -> None:
        """Adds to a part."""
        self.parts[part] = EXACT.add(self.parts.get(part, ZERO), amount)

    def add(self, other: "Amounts") -> None:
        """Adds another row's."""
        for part, amount in other.parts.items():
            self.earn(part, amount)
        self.accrued = EXACT.add(self.accrued, other.accrued)
        self.invoiced = EXACT.add(self.invoiced, other.invoiced)
        self.cost = EXACT.add(self.cost, other.cost)


@dataclass(frozen=True, slots=True)
class Asked:
    """A question about [start, end), which are on quarter hours."""

    customers: Question
    start: datetime
    end: datetime
    window: Window = "total"
    timezone: str = "UTC"
    group_by: tuple[GroupBy, ...] = ()

    def windows(self) -> list[Period]:
        """The windows asked about.

        Raises: InvalidError.
        """
        bounds = (("/from", self.start), ("/to", self.end))
        problems = [Problem(at, "not-on-quarter-hour") for at, t in bounds if not on_quarter(t)]
        if self.start >= self.end:
            problems.append(Problem("/to", "not-after-from"))
        elif self.end - self.start > MAX_SPAN:
            problems.append(Problem("/from", "too-wide"))
        if problems:
            raise InvalidError("The question breaks a rule at each place listed.", problems)
        windows = usage_windows(self.start, self.end, self.window, self.timezone, MAX_WINDOWS)
        if len(windows) > MAX_WINDOWS:
            raise InvalidError("Ask for fewer windows.", [Problem("/window", "too-many")])
        return windows


@dataclass(slots=True)
class Report:
    """The rows of one customer, or of several together, and the usage that has no cost."""

    rows: dict[RowKey, Amounts] = field(default_factory=dict)
    uncosted: dict[str, Decimal] = field(default_factory=dict)

    def row(self, key: RowKey) -> Amounts:
        """The row, made where it is not there yet."""
        return self.rows.setdefault(key, Amounts())

    def add(self, other: "Report") -> None:
        """Adds another report."""
        for key, amounts in other.rows.items():
            self.row(key).add(amounts)
        for meter, quantity in other.uncosted.items():
            self.uncosted[meter] = EXACT.add(self.uncosted.get(meter, ZERO), quantity)
