"""Cost rates on the wire."""

from typing import Annotated

from pydantic import Field

from shared.domain.costs import CostRate, MeterCosts
from shared.wire.catalogue import MAX_DIMENSIONS, PropertyName
from shared.wire.common import EARLIEST, Items, Text, Time, WireModel
from shared.wire.prices import Currency, PriceBody, of_price, to_price

MAX_RATES = 50


class CostRateBody(WireModel):
    """What a meter's usage costs to serve where its dimensions match.

    The price is `per_unit`, or a `percentage` with nothing free and no bounds: costs add up.
    """

    price: PriceBody
    where: dict[PropertyName, Text] = Field(default_factory=dict, max_length=MAX_DIMENSIONS)


class CostsBody(WireModel):
    """What it costs to serve a meter's usage from a time on (a quarter hour); always, without one.

    The first rate that matches counts. It replaces what was there for the same `effective_from`.
    """

    currency: Currency
    rates: Annotated[Items[CostRateBody], Field(max_length=MAX_RATES)]
    effective_from: Time = EARLIEST

    def to_costs(self, key: str) -> MeterCosts:
        """The costs of the meter."""
        rates = tuple(CostRate(to_price(rate.price), rate.where) for rate in self.rates)
        return MeterCosts(key, self.currency, rates, self.effective_from)


class CostsAnswer(CostsBody):
    """A meter's cost rates from a date on."""

    meter: str

    @classmethod
    def of(cls, costs: MeterCosts) -> "CostsAnswer":
        """The costs as the wire has them."""
        rates = tuple(
            CostRateBody(price=of_price(rate.price), where=dict(rate.where)) for rate in costs.rates
        )
        return cls(
            meter=costs.key,
            currency=costs.currency,
            rates=rates,
            effective_from=costs.effective_from,
        )
