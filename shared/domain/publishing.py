"""What may be published into a catalogue, and what a publication changes.

Pure decisions over the catalogue as read: whoever stores the result does so under that catalogue's
version, so that nothing decided here can be overtaken.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.catalogue import AddOn, Catalogue, CreditUnit, IncludedCredits, Meter, Plan, Rate
from shared.domain.conversions import conversion_problems
from shared.domain.costs import MeterCosts
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.money import is_currency, money_problem, to_nanos
from shared.domain.periods import parse_days
from shared.domain.prices import amounts_of, by_event, can_fall, tiers_of
from shared.domain.reward_rules import RewardRule

# Every rate card has its running totals (some 100 bytes) in each of up to eight open phases of the
# account item, which every batch of usage writes again: 20 cards keep that within 16 KB.
MAX_RATE_CARDS = 20
# An invoice snapshots the price of each of its lines, and one item holds it: 400 KB.
MAX_TIERS = 200
# Grants of a plan that are open at a time, each some 25 bytes of the account item.
MAX_OPEN_PLAN_GRANTS = 12
DAYS_OF = {"day": 1, "week": 7, "month": 28, "year": 365}

# Usage draws allowances as it comes, by what it adds to a running value. Of the other aggregations
# later usage can take something away.
RATED_AGGREGATIONS = ("count", "sum", "max", "unique_count")
# What an average comes to is told by the sum and the number of events, which both add up.
PRICED_AGGREGATIONS = (*RATED_AGGREGATIONS, "average")

Entry = Coupon | Meter | Plan | CreditUnit | AddOn | MeterCosts | RewardRule | EarningRule


class MeterImmutableError(ConflictError):
    """A meter's definition never changes: archive it and make another."""

    code = "meter-immutable"


class MeterInUseError(ConflictError):
    """The newest version of a plan bills or includes the meter: publish it without it first."""

    code = "meter-in-use"


class DefaultExistsError(ConflictError):
    """Another plan's newest version is the default: publish that one again without it first."""

    code = "default-exists"


class UnitImmutableError(ConflictError):
    """What a credit was worth, and its decimals, never change: values are only added."""

    code = "unit-immutable"


@dataclass(frozen=True, slots=True)
class Publication:
    """One change of the catalogue, which makes its next version. `before` None: a new entry."""

    action: str
    before: Entry | None
    after: Entry


def publish_meter(catalogue: Catalogue, meter: Meter) -> Publication | None:
    """Adds a meter, in force from the catalogue version that this makes; None: it is there already.

    Raises: MeterImmutableError.
    """
    existing = catalogue.meters.get(meter.key)
    if existing is None:
        return Publication("meter.create", None, replace(meter, since=catalogue.version + 1))
    same = replace(meter, since=existing.since, archived_since=existing.archived_since)
    if same != existing:
        raise MeterImmutableError(f"meter {meter.key} exists with another definition")
    return None


def archive_meter(catalogue: Catalogue, key: str) -> Publication | None:
    """Stops a meter's counting from the catalogue version that this makes; None: it is archived.

    Raises: NotFoundError; MeterInUseError.
    """
    meter = catalogue.meters.get(key)
    if meter is None:
        raise NotFoundError(f"no meter {key}")
    if meter.archived_since is not None:
        return None
    newest = (versions[-1] for versions in catalogue.plans.values())
    users = [plan.key for plan in newest if any(card.meter == key for card in plan.rate_cards)]
    if users:
        raise MeterInUseError(f"publish these plans without it first: {', '.join(sorted(users))}")
    archived = replace(meter, archived_since=catalogue.version + 1)
    return Publication("meter.archive", meter, archived)


def publish_plan(catalogue: Catalogue, plan: Plan) -> Publication | None:
    """Adds the plan's next version; None: its newest version says the same.

    Raises: InvalidError with pointers into the plan; DefaultExistsError.
    """
    plan = fitted(catalogue, plan)
    versions = catalogue.plans.get(plan.key)
    newest = versions[-1] if versions else None
    if newest is not None and replace(plan, version=newest.version) == newest:
        return None
    problems = tuple(plan_problems(catalogue, plan))
    if problems:
        raise InvalidError("The plan does not fit the catalogue.", problems)
    default = catalogue.default_plan()
    if plan.default and default.default and default.key != plan.key:
        raise DefaultExistsError(f"plan {default.key} is the default")
    version = newest.version + 1 if newest else 1
    return Publication("plan.publish", newest, replace(plan, version=version))


def publish_unit(catalogue: Catalogue, unit: CreditUnit, now: datetime) -> Publication | None:
    """Adds a credit unit, or to one its name and further values; None: nothing is new.

    A currency's later values take effect from now on or later: the past keeps its worth.
    Raises: UnitImmutableError.
    """
    existing = catalogue.units.get(unit.key)
    if existing is None:
        return Publication("credit-unit.create", None, unit)
    if unit == existing:
        return None
    if unit.decimals != existing.decimals:
        raise UnitImmutableError("decimals cannot change")
    if not set(existing.values) <= set(unit.values):
        raise UnitImmutableError("a published value is missing or changed")
    valued = {value.currency for value in existing.values}
    added = set(unit.values) - set(existing.values)
    if any(value.currency in valued and value.effective_at < now for value in added):
        raise UnitImmutableError("an added value would take effect in the past")
    return Publication("credit-unit.update", existing, unit)


def publish_add_on(catalogue: Catalogue, add_on: AddOn) -> Publication | None:
    """Adds the add-on's next version; None: its newest version says the same.

    Raises: InvalidError with pointers into the add-on.
    """
    versions = catalogue.add_ons.get(add_on.key)
    newest = versions[-1] if versions else None
    if newest is not None and replace(add_on, version=newest.version) == newest:
        return None
    problems = list(_meter_problems(catalogue, "allowances", [a.meter for a in add_on.allowances]))
    for index, pack in enumerate(add_on.credits):
        if not is_currency(pack.unit) and pack.unit not in catalogue.units:
            problems.append(Problem(f"/credits/{index}/unit", "unknown-unit"))
        if code := catalogue.amount_problem(pack.unit, pack.amount_nanos):
            problems.append(Problem(f"/credits/{index}/amount", code))
    if problems:
        raise InvalidError("The add-on does not fit the catalogue.", problems)
    version = newest.version + 1 if newest else 1
    return Publication("add-on.publish", newest, replace(add_on, version=version))


def fitted(catalogue: Catalogue, plan: Plan) -> Plan:
    """The plan with what its rates take from their meters, whose definitions never change."""
    averages = {key for key, each in catalogue.meters.items() if each.aggregation == "average"}
    rates = (replace(rate, averaged=rate.meter in averages) for rate in plan.rates)
    return replace(plan, rates=tuple(rates))


def plan_problems(catalogue: Catalogue, plan: Plan) -> Iterator[Problem]:
    """What a plan's rates, allowances and credits name that is not there or cannot work."""
    if len(plan.rate_cards) > MAX_RATE_CARDS:
        yield Problem("/rates", "too-many-rate-cards")
    yield from _meter_problems(catalogue, "allowances", [a.meter for a in plan.allowances])
    rated = [rate.meter for rate in plan.rates]
    yield from _meter_problems(catalogue, "rates", rated, PRICED_AGGREGATIONS)
    if sum(len(tiers_of(rate.price)) for rate in plan.rates) > MAX_TIERS:
        yield Problem("/rates", "too-many-tiers")
    for index, included in enumerate(plan.credits):
        if _open_at_a_time(plan, included) > MAX_OPEN_PLAN_GRANTS:
            yield Problem(f"/credits/{index}/expires", "too-many-open-grants")
        if included.unit != plan.currency and included.unit not in catalogue.units:
            yield Problem(f"/credits/{index}/unit", "unknown-unit")
        for name, nanos in _given(included).items():
            if code := catalogue.amount_problem(included.unit, nanos):
                yield Problem(f"/credits/{index}/{name}", code)
    for index, rate in enumerate(plan.rates):
        for field, code in _rate_problems(catalogue, plan, index, rate):
            yield Problem(f"/rates/{index}{field}", code)
    yield from conversion_problems(catalogue, plan)


def _rate_problems(
    catalogue: Catalogue, plan: Plan, index: int, rate: Rate
) -> Iterator[tuple[str, str]]:
    """What of a rate cannot work: a pointer into it, and a code."""
    meter = catalogue.meters.get(rate.meter)
    if meter is not None and not set(rate.where) <= set(meter.dimensions):
        yield "/where", "unknown-dimension"
    # The first rate that matches takes the usage: one behind a wider one would never apply.
    earlier = (r for r in plan.rates[:index] if r.meter == rate.meter)
    if any(r.where.items() <= rate.where.items() for r in earlier):
        yield "", "unreachable-rate"
    if by_event(rate.price):
        # What an allowance takes is no event's, and a maximum is no sum of events.
        if any(allowance.meter == rate.meter for allowance in plan.allowances):
            yield "/price", "allowance-and-per-event"
        if meter is not None and meter.aggregation not in ("count", "sum"):
            yield "/price", "per-event-needs-a-sum"
    if any(money_problem(rate.unit, to_nanos(amount)) for amount in amounts_of(rate.price)):
        yield "/price", "out-of-range"
    if can_fall(rate.price, averaged=rate.averaged) and rate.unit != plan.currency:
        yield "/unit", "price-can-fall"
    code = _unit_problem(catalogue, plan, rate.unit)
    if code:
        yield "/unit", code


def _given(included: IncludedCredits) -> dict[str, int]:
    """The amounts in nanos, by their name on the wire."""
    return {
        "amount": included.amount_nanos,
        "rollover_max": included.rollover_max_nanos,
        "rollover_min": included.rollover_min_nanos,
    }


def _open_at_a_time(plan: Plan, included: IncludedCredits) -> int:
    """How many periods' grants of dated credits can be open together."""
    if included.expires in ("period_end", "never"):
        return 1
    return -(-parse_days(included.expires) // DAYS_OF[plan.interval])


def _meter_problems(
    catalogue: Catalogue,
    place: str,
    meters: Sequence[str],
    aggregations: Sequence[str] = RATED_AGGREGATIONS,
) -> Iterator[Problem]:
    for index, key in enumerate(meters):
        meter = catalogue.meters.get(key)
        if meter is None:
            yield Problem(f"/{place}/{index}/meter", "unknown-meter")
        elif meter.archived_since is not None:
            yield Problem(f"/{place}/{index}/meter", "archived-meter")
        elif meter.aggregation not in aggregations:
            yield Problem(f"/{place}/{index}/meter", "unsupported")


def _unit_problem(catalogue: Catalogue, plan: Plan, key: str) -> str | None:
    """Why usage cannot be rated in the unit, if so: overage must have a price in money."""
    if key == plan.currency:
        return None
    unit = catalogue.units.get(key)
    if unit is None:
        return "other-currency" if is_currency(key) else "unknown-unit"
    valued = any(value.currency == plan.currency for value in unit.values)
    return None if valued or plan.on_exhausted == "block" else "unit-without-value"
