"""Conversion: a free plan's customer is asked to pay, and pays from the moment it confirms.

Whether to ask is judged from the account as it stands, never from what one version changed: what
a stream lost or delivers again changes nothing about the answer.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account, Phase, allowance_unit
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.conversion_rules import ConvertsTo
from shared.domain.errors import ConflictError, Problem
from shared.domain.invoices import overage_value
from shared.domain.money import EXACT, from_nanos, to_nanos

Cause = Literal["allowance_used_up", "credits_below", "spend_over", "choice"]
Stored = Literal["asked", "declined", "confirmed"]
Status = Literal["asked", "declined", "confirmed", "expired", "superseded"]

LAST_INSTANT = timedelta(microseconds=1)


class ConversionNotOpenError(ConflictError):
    """Nothing is asked of the customer that could be confirmed or declined (409)."""

    code = "conversion-not-open"


class NotConvertibleError(ConflictError):
    """The customer's plan leads to no other (409)."""

    code = "not-convertible"


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """Who keeps a customer's payment details, and under which name: never the details."""

    provider: str
    reference: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """What was asked of a customer, and what came of it; numbered from 1 per customer.

    `phase` and `period` are those of the account, at `account_version`, that it was asked in,
    under the free plan's version. `to` is the plan that it leads to.
    """

    customer: str
    number: int
    plan: str
    plan_version: int
    to: str
    phase: int
    period: int
    cause: Cause
    account_version: int
    asked_at: datetime
    expires_at: datetime
    stored: Stored = "asked"
    ended_at: datetime | None = None
    payment_method: PaymentMethod | None = None

    def status(self, phase: Phase, now: datetime) -> Status:
        """What it is for a customer in the phase: one who left the plan has nothing to confirm."""
        if self.stored != "asked":
            return self.stored
        if phase.plan != self.plan:
            return "superseded"
        return "asked" if now < self.expires_at else "expired"

    def confirmed(self, method: PaymentMethod, now: datetime) -> "Conversion":
        """The conversion with a payment method that the provider has confirmed."""
        return replace(self, stored="confirmed", ended_at=now, payment_method=method)

    def declined(self, now: datetime) -> "Conversion":
        """The conversion that came to nothing."""
        return replace(self, stored="declined", ended_at=now)


def conversion_due(
    account: Account, catalogue: Catalogue, latest: Conversion | None, now: datetime
) -> Conversion | None:
    """What the plan's rules ask of the customer now, if they do and have not asked before.

    `latest` is the customer's last conversion.
    """
    offer = account.current.plan_in(catalogue).converts_to
    if offer is None or not _may_ask(offer, account.current, latest):
        return None
    cause = rule_met(account, catalogue, now)
    return None if cause is None else _asked(account, offer, latest, cause, now)


def conversion_chosen(
    account: Account, catalogue: Catalogue, latest: Conversion | None, now: datetime
) -> Conversion:
    """What the customer asks for by choice; what is open already stays as it is.

    Raises: NotConvertibleError.
    """
    offer = account.current.plan_in(catalogue).converts_to
    if offer is None:
        raise NotConvertibleError("The customer's plan leads to no other.")
    if latest is not None and latest.status(account.current, now) == "asked":
        return latest
    return _asked(account, offer, latest, "choice", now)


def rule_met(account: Account, catalogue: Catalogue, now: datetime) -> Cause | None:
    """The first of the current plan's rules that the account meets, or None.

    Usage that is told of after the period's end is judged by what was left just before it.
    """
    phase = account.current
    offer = phase.plan_in(catalogue).converts_to
    if offer is None or phase.state != "active":
        return None
    at = max(phase.start, min(now, phase.end - LAST_INSTANT))
    used, below, spend = offer.allowance_used_up, offer.credits_below, offer.spend_over
    if used and account.usable(allowance_unit(used.meter), at, used.meter) <= 0:
        return "allowance_used_up"
    if below and _settled(account, below.unit, at) < max(below.nanos, 1):
        return "credits_below"
    if spend and _spent(account, catalogue, spend.unit) > spend.nanos:
        return "spend_over"
    return None


def conversion_problems(catalogue: Catalogue, plan: Plan) -> Iterator[Problem]:
    """What of a plan's conversion cannot work.

    A plan that converts never bills and its target does, so conversions cannot go in a circle.
    """
    offer = plan.converts_to
    if offer is None:
        return
    if plan.bills:
        yield Problem("/converts_to", "plan-bills")
    if plan.trial_days:
        yield Problem("/trial_days", "trial-of-free-plan")
    code = _target_problem(catalogue, plan, offer.plan)
    if code:
        yield Problem("/converts_to/plan", code)
    if (used := offer.allowance_used_up) and used.meter not in {a.meter for a in plan.allowances}:
        yield Problem("/converts_to/when/allowance_used_up/meter", "no-allowance")
    rated = {rate.unit for rate in plan.rates}
    included = {credit.unit for credit in plan.credits}
    if (below := offer.credits_below) and below.unit not in rated | included:
        yield Problem("/converts_to/when/credits_below/unit", "unit-not-in-plan")
    if spend := offer.spend_over:
        units = [catalogue.units[key] for key in rated if key in catalogue.units]
        valued = all(any(v.currency == plan.currency for v in unit.values) for unit in units)
        if spend.unit not in rated and not (spend.unit == plan.currency and rated):
            yield Problem("/converts_to/when/spend_over/unit", "unit-not-in-plan")
        elif spend.unit == plan.currency and not valued:
            yield Problem("/converts_to/when/spend_over/unit", "unit-without-value")


def _target_problem(catalogue: Catalogue, plan: Plan, key: str) -> str | None:
    if key == plan.key:
        return "same-plan"
    versions = catalogue.plans.get(key)
    if not versions:
        return "unknown-plan"
    if versions[-1].currency != plan.currency:
        return "other-currency"
    return None if versions[-1].bills else "plan-does-not-bill"


def _may_ask(offer: ConvertsTo, phase: Phase, latest: Conversion | None) -> bool:
    """Whether the rules have not asked yet: of this plan version, or of this period of it.

    A phase that is older than the latest conversion is the past, delivered late.
    """
    if latest is None:
        return True
    if phase.number <= latest.phase:
        return False
    if latest.stored == "confirmed":
        return True  # It has paid since, and come back.
    if (latest.plan, latest.plan_version) != (phase.plan, phase.plan_version):
        return True
    return offer.asks == "every_period" and phase.period > latest.period


def _asked(
    account: Account, offer: ConvertsTo, latest: Conversion | None, cause: Cause, now: datetime
) -> Conversion:
    phase = account.current
    return Conversion(
        customer=account.customer,
        number=latest.number + 1 if latest else 1,
        plan=phase.plan,
        plan_version=phase.plan_version,
        to=offer.plan,
        phase=phase.number,
        period=phase.period,
        cause=cause,
        account_version=account.version,
        asked_at=now,
        expires_at=now + timedelta(days=offer.open_days),
    )


def _settled(account: Account, unit: str, at: datetime) -> int:
    """What is left in grants of the unit that are active, whatever they are restricted to."""
    held = account.grants.get(unit, {})
    return sum(left for grant, left in held.items() if account.validity[grant].active_at(at))


def _spent(account: Account, catalogue: Catalogue, unit: str) -> int:
    """What usage of the billing period came to in the unit, in nanos.

    In a currency, credits count at their value when their phase began.
    """
    spent = 0
    for phase in account.phases:
        if phase.period != account.current.period:
            continue
        plan = phase.plan_in(catalogue)
        for rate, totals in zip(plan.rate_cards, phase.totals, strict=True):
            if rate.unit == unit:
                spent += totals.amount
            elif unit == plan.currency and rate.unit in catalogue.units:
                value = overage_value(catalogue.units[rate.unit], phase.start, unit)
                spent += to_nanos(EXACT.multiply(from_nanos(totals.amount), value))
    return spent
