"""What is metered and what it costs: meters, plans, credit units.

Everything here is immutable. A plan is published in versions; a meter never changes. The catalogue
as a whole has a version that grows by one with every change: ingest stamps it on each event, so
that a meter counts live exactly the events that were accepted after it was made.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.conversion_rules import ConvertsTo
from shared.domain.costs import MeterCosts
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import NotFoundError
from shared.domain.money import MINOR_PLACES, from_nanos, is_currency, money_problem
from shared.domain.prices import Price
from shared.domain.reward_rules import RewardRule

Aggregation = Literal["count", "sum", "min", "max", "latest", "average", "unique_count"]
Interval = Literal["day", "week", "month", "year"]
PeriodMode = Literal["calendar", "anniversary"]
OnExhausted = Literal["block", "bill"]
PhaseState = Literal["active", "trial", "paused"]


@dataclass(frozen=True, slots=True)
class Meter:
    """Turns events of one type into a quantity.

    `value` names the property that all aggregations but `count` read.
    """

    key: str
    event_type: str
    aggregation: Aggregation
    value: str | None = None
    dimensions: tuple[str, ...] = ()
    filter: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    since: int = 0  # the catalogue version that introduced it
    archived_since: int | None = None  # the catalogue version from which it counts no more

    def counts(self, catalogue_version: int) -> bool:
        """Whether it counts live an event stamped with this catalogue version."""
        archived = self.archived_since is not None and catalogue_version >= self.archived_since
        return self.since <= catalogue_version and not archived


@dataclass(frozen=True, slots=True)
class Rate:
    """A plan's price for one meter's usage (where the dimensions match) in a unit.

    `unit` is a currency or a credit unit. `price` None meters without charging. `averaged`: the
    price is for the average of the events' quantities, not for their sum, as the meter says.
    """

    meter: str
    price: Price | None
    unit: str
    where: Mapping[str, str] = field(default_factory=dict)
    averaged: bool = False

    def matches(self, meter: str, dimensions: Mapping[str, str]) -> bool:
        """Whether usage of the meter with these dimension values is priced by this rate."""
        return meter == self.meter and all(dimensions.get(k) == v for k, v in self.where.items())


@dataclass(frozen=True, slots=True)
class Allowance:
    """Units of a meter included in each period, taken off before pricing."""

    meter: str
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class IncludedCredits:
    """Credits granted at each period's start. `expires`: "period_end", "never" or ISO days "P90D".

    At most `rollover_max_nanos` of what is left at a period's end passes into the next one; if that
    is less than `rollover_min_nanos`, the difference is given. With `refill`, only what
    plans' grants of the unit lack of the amount is granted.
    """

    unit: str
    amount_nanos: int
    expires: str = "period_end"
    rollover_max_nanos: int = 0
    rollover_min_nanos: int = 0
    refill: bool = False


@dataclass(frozen=True, slots=True)
class PackCredits:
    """Credits that one pack holds, in nanos of their unit."""

    unit: str
    amount_nanos: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One published version of a priced offer. `fee_nanos` is charged at each period's start.

    `minimum_nanos` is what a period's usage comes to at the least, whatever the seats. A customer's
    first `trial_days` on plans with a trial are free of the fee, and of what usage
    costs unless `bill_trial_usage`. A plan that `converts_to` another is free: it never bills.
    """

    key: str
    version: int
    name: str
    currency: str
    interval: Interval = "month"
    period: PeriodMode = "anniversary"
    fee_nanos: int = 0
    minimum_nanos: int = 0
    allowances: tuple[Allowance, ...] = ()
    credits: tuple[IncludedCredits, ...] = ()
    rates: tuple[Rate, ...] = ()
    features: Mapping[str, bool | int] = field(default_factory=dict)
    default: bool = False
    on_exhausted: OnExhausted = "bill"
    trial_days: int = 0
    bill_trial_usage: bool = False
    converts_to: ConvertsTo | None = None

    def in_force(self, state: PhaseState, quantity: int) -> "Plan":
        """What the plan comes to for a number of seats, and what of it applies in a state.

        Fee, allowances and credits are for each seat. A trial and a pause have no fee, no minimum,
        and unless a trial bills usage, no price and no credits; a pause gives no allowances either.
        The rate cards stay as many, in their order.
        """
        if state == "active" and quantity == 1:  # Most are, and every record asks.
            return self
        allowances = tuple(replace(a, quantity=a.quantity * quantity) for a in self.allowances)
        included = tuple(replace(c, amount_nanos=c.amount_nanos * quantity) for c in self.credits)
        seated = replace(
            self, fee_nanos=self.fee_nanos * quantity, allowances=allowances, credits=included
        )
        if state == "active":
            return seated
        if state == "trial" and self.bill_trial_usage:
            return replace(seated, fee_nanos=0, minimum_nanos=0)
        unpriced = tuple(replace(card, price=None) for card in self.rate_cards)
        free = replace(seated, fee_nanos=0, minimum_nanos=0, rates=unpriced, credits=())
        return replace(free, allowances=()) if state == "paused" else free

    @property
    def rate_cards(self) -> tuple[Rate, ...]:
        """The rates, and for each allowance whose meter has no catch-all rate one without a price.

        The first card that matches a usage takes it, so no usage is ever billed twice. Their order
        is the order of a phase's totals.
        """
        caught = {rate.meter for rate in self.rates if not rate.where}
        free = [a.meter for a in self.allowances if a.meter not in caught]
        if not free:
            return self.rates
        unpriced = tuple(Rate(meter, None, self.currency) for meter in dict.fromkeys(free))
        return self.rates + unpriced

    @property
    def bills(self) -> bool:
        """Whether anything on it can ever come to an amount of money."""
        priced = (rate for rate in self.rates if rate.price is not None)
        in_money = any(r.unit == self.currency or self.on_exhausted == "bill" for r in priced)
        return self.fee_nanos > 0 or self.minimum_nanos > 0 or in_money


@dataclass(frozen=True, slots=True)
class AddOn:
    """One published version of a pack: what a customer gets for its price, once, from then on.

    `expires`: "period_end", "never" or ISO days "P90D" after the purchase. With an `interval` it
    recurs: it is charged and given with each billing period of that length, until it is cancelled.
    """

    key: str
    version: int
    name: str
    currency: str
    price_nanos: int
    allowances: tuple[Allowance, ...] = ()
    credits: tuple[PackCredits, ...] = ()
    expires: str = "never"
    interval: Interval | None = None


# Where no default plan is published, usage is metered on this one and nothing is billed.
METERING_ONLY = Plan(
    key="metering-only", version=0, name="Metering only", currency="USD", period="calendar"
)


@dataclass(frozen=True, slots=True)
class UnitValue:
    """What one credit is worth in a real currency from an instant on."""

    effective_at: datetime
    currency: str
    value: Decimal


@dataclass(frozen=True, slots=True)
class CreditUnit:
    """A custom currency; `values` are dated, oldest first."""

    key: str
    name: str
    decimals: int
    values: tuple[UnitValue, ...]

    def value_at(self, instant: datetime, currency: str) -> Decimal | None:
        """One credit's worth in the currency at the instant, or None if it has none."""
        valid = [v for v in self.values if v.currency == currency and v.effective_at <= instant]
        return valid[-1].value if valid else None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The whole catalogue at one version.

    `plans`, `add_ons` and `coupons` hold every version, oldest first per key; `costs` those of each
    meter that has any, by date.
    """

    version: int = 0
    meters: Mapping[str, Meter] = field(default_factory=dict)
    plans: Mapping[str, tuple[Plan, ...]] = field(default_factory=dict)
    units: Mapping[str, CreditUnit] = field(default_factory=dict)
    add_ons: Mapping[str, tuple[AddOn, ...]] = field(default_factory=dict)
    coupons: Mapping[str, tuple[Coupon, ...]] = field(default_factory=dict, kw_only=True)
    costs: Mapping[str, tuple[MeterCosts, ...]] = field(default_factory=dict)
    reward_rules: Mapping[str, RewardRule] = field(default_factory=dict)
    earning_rules: Mapping[str, EarningRule] = field(default_factory=dict)
    # What was worked out of the plans: every record asks.
    _in_force: dict[tuple[str, int, PhaseState, int], Plan] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def plan_in_force(self, key: str, version: int, state: PhaseState, quantity: int) -> Plan:
        """What of the plan's version is in force in a state, for a number of seats.

        Raises: NotFoundError.
        """
        place = key, version, state, quantity
        if place not in self._in_force:
            self._in_force[place] = self.plan(key, version).in_force(state, quantity)
        return self._in_force[place]

    def plan(self, key: str, version: int) -> Plan:
        """The plan's published version.

        Raises: NotFoundError.
        """
        if (key, version) == (METERING_ONLY.key, METERING_ONLY.version):
            return METERING_ONLY
        for plan in self.plans.get(key, ()):
            if plan.version == version:
                return plan
        raise NotFoundError(f"plan {key} has no version {version}")

    def latest_plan(self, key: str) -> Plan:
        """The newest version of the plan.

        Raises: NotFoundError.
        """
        versions = self.plans.get(key)
        if not versions:
            raise NotFoundError(f"no plan {key}")
        return versions[-1]

    def default_plan(self) -> Plan:
        """What a customer is on who chose nothing: the published default, else metering only."""
        for versions in self.plans.values():
            if versions[-1].default:
                return versions[-1]
        return METERING_ONLY

    def amount_problem(self, unit: str, nanos: int) -> str | None:
        """Why nobody can be given so much of the unit; None: it can be.

        It has no more decimals than the unit has, and in a currency bounds.
        """
        known = self.units.get(unit)
        if known is None and not is_currency(unit):
            return None  # Whoever names it is told that there is no such unit.
        amount = from_nanos(nanos).scaleb(known.decimals if known else MINOR_PLACES[unit])
        if amount != amount.to_integral_value():
            return "too-many-decimals"
        return money_problem(unit, nanos)

    def meters_of(self, event_type: str, catalogue_version: int) -> tuple[Meter, ...]:
        """The meters that count live an event of this type stamped with this version."""
        return tuple(
            meter
            for meter in self.meters.values()
            if meter.event_type == event_type and meter.counts(catalogue_version)
        )
