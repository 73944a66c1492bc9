"""What usage cost to serve."""

from dataclasses import dataclass, field
from decimal import Decimal

from shared.domain.catalogue import Catalogue
from shared.domain.costs import cost_of, costs_at
from shared.domain.money import EXACT
from shared.domain.prices import ZERO
from shared.domain.shares import Share


@dataclass(slots=True)
class Costing:
    """Adds up what shares of usage cost, exactly.

    `costs` are by currency. `uncosted` is the usage, by meter, that has no cost rate though its
    meter has some: from before the first, of other dimension values, or over the cap of these.
    """

    catalogue: Catalogue
    costs: dict[str, Decimal] = field(default_factory=dict)
    uncosted: dict[str, Decimal] = field(default_factory=dict)

    def add(self, share: Share) -> None:
        """Takes a share of usage of any meter."""
        measurement = share.measurement
        dated = self.catalogue.costs.get(measurement.meter)
        if not dated:
            return
        costs = costs_at(dated, share.at)
        narrow = costs is not None and costs.by_dimensions and share.other
        rate = costs.rate_for(measurement.dimensions) if costs and not narrow else None
        if costs is None or rate is None:
            before = self.uncosted.get(measurement.meter, ZERO)
            self.uncosted[measurement.meter] = EXACT.add(before, measurement.quantity)
            return
        cost = cost_of(rate.price, measurement.quantity, measurement.count)
        self.costs[costs.currency] = EXACT.add(self.costs.get(costs.currency, ZERO), cost)
