"""Who publishes: meters, credit units, and plans and add-ons as a seed draws them."""

import random
from datetime import datetime

from shared.domain.errors import InvalidError
from shared.services.catalogue import CatalogueService
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.simulation.offers import METERS, a_plan, an_add_on, credit_units


class Market:
    """All that is on offer in one seed, in one currency; the first plan is the default, if any."""

    plans = ("basic", "plus", "pro")
    add_ons = ("pack", "bundle")

    def __init__(
        self, rng: random.Random, catalogue: MemoryCatalogueStore, interval: str, now: datetime
    ) -> None:
        self._rng = rng
        self._interval = interval
        self._publisher = CatalogueService(catalogue)
        self.currency = rng.choice(("USD", "USD", "JPY", "BHD"))
        for unit in credit_units(self.currency):
            self._publisher.put_unit(unit, "tests", now)
        for meter in METERS:
            self._publisher.put_meter(meter, "tests", now)
        self._default = rng.random() < 0.85
        for key in self.plans:
            self._plan(key, now)
        for key in self.add_ons:
            self._add_on(key, now)

    @property
    def units(self) -> list[str]:
        """What grants and reservations may be of."""
        return [self.currency, "sparks", "coins"]

    def publish(self, now: datetime) -> None:
        """Publishes a new version of something."""
        key = self._rng.choice((*self.plans, *self.add_ons))
        if key in self.plans:
            self._plan(key, now)
        else:
            self._add_on(key, now)

    def _plan(self, key: str, now: datetime) -> None:
        """Publishes a drawn plan; one that does not fit is drawn again."""
        for _ in range(20):
            # A period much shorter than the seed is long would end by the dozen.
            longer = {"day": "week", "week": "month", "month": "month"}[self._interval]
            interval = self._interval if self._rng.random() < 0.8 else longer
            default = self._default and key == self.plans[0]
            plan = a_plan(self._rng, key, self.currency, interval, default=default)
            try:
                self._publisher.put_plan(plan, "tests", now)
            except InvalidError:
                continue
            return

    def _add_on(self, key: str, now: datetime) -> None:
        self._publisher.put_add_on(an_add_on(self._rng, key, self.currency), "tests", now)
