"""What may be published of cost rates, and what that changes."""

from collections.abc import Iterator

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.costs import MeterCosts, adds_up
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.money import money_problem, to_nanos
from shared.domain.prices import amounts_of
from shared.domain.publishing import Publication
from shared.domain.usage_windows import on_quarter

# All of them are read with the catalogue.
MAX_DATES = 60
# Of other aggregations, what parts cost does not add up to what the whole does.
COSTED_AGGREGATIONS = ("count", "sum")


def publish_costs(catalogue: Catalogue, costs: MeterCosts) -> Publication | None:
    """Adds a meter's costs from a date on, or replaces those of the date; None: nothing is new.

    Raises: NotFoundError for an unknown meter; InvalidError with pointers into the costs.
    """
    meter = catalogue.meters.get(costs.key)
    if meter is None:
        raise NotFoundError(f"no meter {costs.key}")
    dated = {each.effective_from: each for each in catalogue.costs.get(costs.key, ())}
    existing = dated.get(costs.effective_from)
    if existing == costs:
        return None
    problems = list(_problems(meter, costs))
    if existing is None and len(dated) >= MAX_DATES:
        problems.append(Problem("/effective_from", "too-many-dates"))
    if problems:
        raise InvalidError("The cost rates do not fit the meter.", problems)
    return Publication("costs.publish", existing, costs)


def _problems(meter: Meter, costs: MeterCosts) -> Iterator[Problem]:
    if meter.aggregation not in COSTED_AGGREGATIONS:
        yield Problem("/rates", "unsupported")
    if not on_quarter(costs.effective_from):
        yield Problem("/effective_from", "not-on-quarter-hour")
    for index, rate in enumerate(costs.rates):
        if not set(rate.where) <= set(meter.dimensions):
            yield Problem(f"/rates/{index}/where", "unknown-dimension")
        # The first rate that matches counts: one behind a wider one would never apply.
        if any(r.where.items() <= rate.where.items() for r in costs.rates[:index]):
            yield Problem(f"/rates/{index}", "unreachable-rate")
        amounts = map(to_nanos, amounts_of(rate.price))
        if any(money_problem(costs.currency, nanos) for nanos in amounts):
            yield Problem(f"/rates/{index}/price", "out-of-range")
        if not adds_up(rate.price):
            yield Problem(f"/rates/{index}/price", "unsupported")
