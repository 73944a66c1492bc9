"""Entitlements: whether a customer may use a feature or a meter now, and how much is left.

Told from the account and the catalogue alone, so that a product can ask before every use. A name
is looked up among the plan's features first, then among the meters that the plan rates or
includes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.accounts import Account, Totals, allowance_unit
from shared.domain.catalogue import Catalogue, Plan, Rate
from shared.domain.money import EXACT, from_nanos

Reason = Literal["not-in-plan", "allowance-used-up", "credits-used-up", "paused"]


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The answer for one feature or meter. Numbers that have no meaning for it are None.

    `unit` is what the numbers count: a meter's quantity (`meter:<key>`), a currency or credit
    unit, or None for a feature. `used` is of the current billing period, which ends at
    `resets_at`. `reason` says why it is not allowed.
    """

    feature: str
    allowed: bool
    unit: str | None = None
    used: Decimal | None = None
    limit: Decimal | None = None
    remaining: Decimal | None = None
    resets_at: datetime | None = None
    reason: Reason | None = None


def entitlement(account: Account, catalogue: Catalogue, name: str, now: datetime) -> Entitlement:
    """What the customer may do with the feature or meter; a name not in its plan is not allowed."""
    phase = account.current
    if phase.state == "paused":
        return Entitlement(name, allowed=False, reason="paused")
    plan = phase.plan_in(catalogue)
    value = plan.features.get(name)
    if value is not None:
        return _feature(name, value)
    if any(rate.meter == name for rate in plan.rate_cards):
        return _metered(account, catalogue, plan, name, now)
    return Entitlement(name, allowed=False, reason="not-in-plan")


def entitlements(account: Account, catalogue: Catalogue, now: datetime) -> Sequence[Entitlement]:
    """All features and meters of the customer's plan, by name."""
    plan = account.current.plan_in(catalogue)
    names = {*plan.features, *(rate.meter for rate in plan.rate_cards)}
    return [entitlement(account, catalogue, name, now) for name in sorted(names)]


def _feature(name: str, value: bool | int) -> Entitlement:
    """A feature is there, or there is so much of it; how much is used is the product's to know."""
    allowed = bool(value)
    limit = None if isinstance(value, bool) else Decimal(value)
    return Entitlement(name, allowed, limit=limit, reason=None if allowed else "not-in-plan")


def _metered(
    account: Account, catalogue: Catalogue, plan: Plan, meter: str, now: datetime
) -> Entitlement:
    """A meter's allowance, or without one the credits that its usage draws."""
    cards = list(_cards(account, catalogue, meter))
    unit = allowance_unit(meter)
    held, left = account.usable(unit, now, meter), max(0, account.available(unit, now, meter))
    covered = sum((totals.covered for _, totals in cards), Decimal(0))
    included = held or covered or any(a.meter == meter for a in plan.allowances)
    prices = [r for r in plan.rate_cards if r.meter == meter and r.price is not None]
    credit_units = sorted({rate.unit for rate in prices})
    credits_left = {u: max(0, account.available(u, now, meter)) for u in credit_units}
    found = Entitlement(meter, allowed=True, resets_at=account.current.end)
    if included:
        found = replace(
            found,
            unit=unit,
            used=sum((totals.value for _, totals in cards), Decimal(0)),
            limit=EXACT.add(covered, from_nanos(held)),
            remaining=from_nanos(left),
        )
    elif len(credit_units) == 1:
        [unit] = credit_units
        used = sum(totals.amount for rate, totals in cards if rate.unit == unit)
        remaining = from_nanos(credits_left[unit])
        found = replace(found, unit=unit, used=from_nanos(used), remaining=remaining)
    free = account.current.state == "trial" and not included and not prices
    if free or plan.on_exhausted == "bill" or left > 0 or any(n > 0 for n in credits_left.values()):
        return found
    if _in_grace(account, catalogue, meter, credit_units):
        return found
    reason: Reason = "credits-used-up" if credit_units else "allowance-used-up"
    return replace(found, allowed=False, reason=reason)


def _in_grace(
    account: Account, catalogue: Catalogue, meter: str, credit_units: Sequence[str]
) -> bool:
    """Whether a plan that asks its customers to pay leaves them a while, in quantity, to do so."""
    offer = account.current.plan_in(catalogue).converts_to
    if offer is None:
        return False
    used, below = offer.allowance_used_up, offer.credits_below
    if used and used.meter == meter:
        cards = _cards(account, catalogue, meter)
        if sum(totals.value - totals.covered for _, totals in cards) < used.grace:
            return True
    if below and below.unit in credit_units:
        cards = _cards(account, catalogue, None)
        overage = sum(totals.overage for rate, totals in cards if rate.unit == below.unit)
        return overage < below.grace_nanos
    return False


def _cards(
    account: Account, catalogue: Catalogue, meter: str | None
) -> Iterator[tuple[Rate, Totals]]:
    """The meter's rate cards (None: all) with their totals, in the current billing period."""
    for phase in account.phases:
        if phase.period == account.current.period:
            plan = phase.plan_in(catalogue)
            for rate, totals in zip(plan.rate_cards, phase.totals, strict=True):
                if meter in (None, rate.meter):
                    yield rate, totals
