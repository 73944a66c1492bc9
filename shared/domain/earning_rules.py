"""Earning rules: what one customer earns by the usage of others, such as a model's owner."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from shared.domain.money import EXACT, to_nanos
from shared.domain.quarters import floor_quarter, next_quarter

Payable = Literal["credits", "transfer"]
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class EarningRule:
    """A share of what each unit of a meter's usage is declared to be worth.

    `beneficiary` is the meter's dimension that names the customer who earns. A unit of usage earns
    `percentage` percent of `unit_price`, in `unit`. What a UTC day earned is held for `hold_days`
    after it and then paid as `payable` says. A rule never changes but to be archived; then no
    usage from after that earns by it.
    """

    key: str
    meter: str
    beneficiary: str
    unit: str
    unit_price: Decimal
    hold_days: int
    payable: Payable
    created_at: datetime
    percentage: Decimal = Decimal(100)
    archived_at: datetime | None = None

    def since(self, *, on_test_clock: bool) -> datetime:
        """From when on it counts a customer's usage: the quarter hour in which it was made.

        A test clock shows another time than that; there it counts from the beginning of time.
        """
        return BEGINNING if on_test_clock else floor_quarter(self.created_at)

    @property
    def until(self) -> datetime:
        """Until when it counts usage: the end of the quarter hour in which it was archived."""
        return END if self.archived_at is None else next_quarter(self.archived_at)

    def earned(self, quantity: Decimal) -> int:
        """What so much usage earns, in nanos, rounded once, half away from zero."""
        worth = EXACT.multiply(quantity, self.unit_price)
        return to_nanos(EXACT.scaleb(EXACT.multiply(worth, self.percentage), -2))
