"""Cost rates: what it costs the company itself to serve usage, by meter and dimension values.

They are linear in quantity and number of events, so that the cost of a day, a customer and a group
add up to that of all, and are dated. Nothing that is billed depends on them: what was published
for a date may be put right later. Amounts are exact decimals in major units, never rounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from shared.domain.money import EXACT
from shared.domain.prices import Percentage, PerUnit, Price


@dataclass(frozen=True, slots=True)
class CostRate:
    """What a meter's usage costs where its dimensions match."""

    price: Price
    where: Mapping[str, str] = field(default_factory=dict)

    def matches(self, dimensions: Mapping[str, str]) -> bool:
        """Whether usage with these dimension values costs this."""
        return all(dimensions.get(name) == value for name, value in self.where.items())


@dataclass(frozen=True, slots=True)
class MeterCosts:
    """A meter's cost rates from an instant (a quarter hour) on; the first that matches counts.

    `key` is the meter's.
    """

    key: str
    currency: str
    rates: tuple[CostRate, ...]
    effective_from: datetime

    def rate_for(self, dimensions: Mapping[str, str]) -> CostRate | None:
        """The rate for usage with these dimension values, if there is one."""
        return next((rate for rate in self.rates if rate.matches(dimensions)), None)

    @property
    def by_dimensions(self) -> bool:
        """Whether the cost of usage depends on its dimension values."""
        return any(rate.where for rate in self.rates)


def costs_at(dated: Sequence[MeterCosts], at: datetime) -> MeterCosts | None:
    """The costs in force at the instant, of those of one meter, oldest first."""
    return next((each for each in reversed(dated) if each.effective_from <= at), None)


def adds_up(price: Price) -> bool:
    """Whether the price of usage is the sum of the prices of its parts: no tiers, nothing free."""
    if isinstance(price, PerUnit):
        return price == PerUnit(price.unit_price)
    return isinstance(price, Percentage) and price == Percentage(price.rate, price.fixed_fee)


def cost_of(price: Price, quantity: Decimal, count: int) -> Decimal:
    """The exact cost of so much usage in so many events; negative where corrections prevail."""
    match price:
        case PerUnit():
            return EXACT.multiply(price.unit_price, quantity)
        case Percentage():
            share = EXACT.scaleb(EXACT.multiply(price.rate, quantity), -2)
            return EXACT.add(share, EXACT.multiply(price.fixed_fee, Decimal(count)))
    raise ValueError("a cost rate's price adds up")
