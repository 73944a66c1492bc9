"""Meters, plans and credit units as stored: plain values under the domain's own names."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from shared.adapters.dynamodb.coupon_items import read_coupon
from shared.adapters.dynamodb.rule_items import (
    EARNING_PREFIX,
    REWARD_PREFIX,
    read_earning_rule,
    read_reward_rule,
    rule_sort_key,
)
from shared.domain.catalogue import (
    AddOn,
    Allowance,
    Catalogue,
    CreditUnit,
    IncludedCredits,
    Meter,
    PackCredits,
    Plan,
    Rate,
    UnitValue,
)
from shared.domain.conversion_rules import AllowanceUsedUp, ConvertsTo, CreditsBelow, SpendOver
from shared.domain.costs import CostRate, MeterCosts
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.events import utc_text, utc_time
from shared.domain.prices import price_of, price_values
from shared.domain.publishing import Entry
from shared.domain.reward_rules import RewardRule

Body = Mapping[str, Any]

# Kinds of entries of which every version is kept, and what their sort keys begin with.
VERSIONED: Mapping[type, str] = {Plan: "PLAN", AddOn: "ADDON", Coupon: "COUPON"}


def sort_key(entry: Entry) -> str:
    """Where the entry stands in the catalogue's partition; every plan version has its own."""
    match entry:
        case Meter():
            return f"METER#{entry.key}"
        case Plan() | AddOn() | Coupon():
            return f"{VERSIONED[type(entry)]}#{entry.key}#{entry.version:06d}"
        case CreditUnit():
            return f"UNIT#{entry.key}"
        case MeterCosts():
            return f"COSTS#{entry.key}#{utc_text(entry.effective_from)}"
        case RewardRule() | EarningRule():
            return rule_sort_key(entry)


def entry_body(entry: Entry) -> dict[str, object]:
    """The entry as plain values; a price names its model."""
    body = asdict(entry)
    if isinstance(entry, Plan | MeterCosts):
        rates: Sequence[Rate | CostRate] = entry.rates
        for rate, stored in zip(rates, body["rates"], strict=True):
            if rate.price is not None:
                stored["price"] = price_values(rate.price)
    return body


def catalogue_of(version: int, bodies: Mapping[str, Body]) -> Catalogue:
    """The catalogue of the stored entries, given by sort key."""
    meters: dict[str, Meter] = {}
    plans: dict[str, tuple[Plan, ...]] = {}
    units: dict[str, CreditUnit] = {}
    add_ons: dict[str, tuple[AddOn, ...]] = {}
    costs: dict[str, tuple[MeterCosts, ...]] = {}
    coupons: dict[str, tuple[Coupon, ...]] = {}
    reward_rules: dict[str, RewardRule] = {}
    earning_rules: dict[str, EarningRule] = {}
    for stored_key, body in sorted(bodies.items()):
        key = body["key"]
        if stored_key.startswith("METER#"):
            meters[key] = _meter(body)
        elif stored_key.startswith("PLAN#"):
            plans[key] = (*plans.get(key, ()), _plan(body))
        elif stored_key.startswith("ADDON#"):
            add_ons[key] = (*add_ons.get(key, ()), _add_on(body))
        elif stored_key.startswith("COUPON#"):
            coupons[key] = (*coupons.get(key, ()), read_coupon(body))
        elif stored_key.startswith("COSTS#"):
            costs[key] = (*costs.get(key, ()), _costs(body))
        elif stored_key.startswith(REWARD_PREFIX):
            reward_rules[key] = read_reward_rule(body)
        elif stored_key.startswith(EARNING_PREFIX):
            earning_rules[key] = read_earning_rule(body)
        else:
            units[key] = _unit(body)
    rules = (reward_rules, earning_rules)
    return Catalogue(version, meters, plans, units, add_ons, costs, *rules, coupons=coupons)


def _meter(body: Body) -> Meter:
    archived_since = body.get("archived_since")
    return Meter(
        key=body["key"],
        event_type=body["event_type"],
        aggregation=body["aggregation"],
        value=body.get("value"),
        dimensions=tuple(body["dimensions"]),
        filter={name: tuple(values) for name, values in body["filter"].items()},
        since=int(body["since"]),
        archived_since=None if archived_since is None else int(archived_since),
    )


def _plan(body: Body) -> Plan:
    return Plan(
        key=body["key"],
        version=int(body["version"]),
        name=body["name"],
        currency=body["currency"],
        interval=body["interval"],
        period=body["period"],
        fee_nanos=int(body["fee_nanos"]),
        minimum_nanos=int(body.get("minimum_nanos", 0)),
        allowances=tuple(Allowance(a["meter"], a["quantity"]) for a in body["allowances"]),
        credits=tuple(_included_credits(c) for c in body["credits"]),
        rates=tuple(_rate(rate) for rate in body["rates"]),
        features={name: _feature(value) for name, value in body["features"].items()},
        default=body["default"],
        on_exhausted=body["on_exhausted"],
        trial_days=int(body.get("trial_days", 0)),
        bill_trial_usage=body.get("bill_trial_usage", False),
        converts_to=_converts_to(body["converts_to"]) if body.get("converts_to") else None,
    )


def _add_on(body: Body) -> AddOn:
    return AddOn(
        key=body["key"],
        version=int(body["version"]),
        name=body["name"],
        currency=body["currency"],
        price_nanos=int(body["price_nanos"]),
        allowances=tuple(Allowance(a["meter"], a["quantity"]) for a in body["allowances"]),
        credits=tuple(PackCredits(c["unit"], int(c["amount_nanos"])) for c in body["credits"]),
        expires=body["expires"],
        interval=body.get("interval"),
    )


def _feature(value: Any) -> bool | int:
    return value if isinstance(value, bool) else int(value)


def _included_credits(body: Body) -> IncludedCredits:
    return IncludedCredits(
        unit=body["unit"],
        amount_nanos=int(body["amount_nanos"]),
        expires=body["expires"],
        rollover_max_nanos=int(body["rollover_max_nanos"]),
        rollover_min_nanos=int(body.get("rollover_min_nanos", 0)),
        refill=body.get("refill", False),
    )


def _converts_to(body: Body) -> ConvertsTo:
    used, below, spend = (
        body.get(rule) for rule in ("allowance_used_up", "credits_below", "spend_over")
    )
    return ConvertsTo(
        plan=body["plan"],
        allowance_used_up=used and AllowanceUsedUp(used["meter"], used["grace"]),
        credits_below=below
        and CreditsBelow(below["unit"], int(below["nanos"]), int(below["grace_nanos"])),
        spend_over=spend and SpendOver(spend["unit"], int(spend["nanos"])),
        asks=body["asks"],
        open_days=int(body["open_days"]),
    )


def _rate(body: Body) -> Rate:
    price = None if body["price"] is None else price_of(body["price"])
    averaged = body.get("averaged", False)
    return Rate(body["meter"], price, body["unit"], body["where"], averaged)


def _costs(body: Body) -> MeterCosts:
    rates = tuple(CostRate(price_of(rate["price"]), rate["where"]) for rate in body["rates"])
    return MeterCosts(body["key"], body["currency"], rates, utc_time(body["effective_from"]))


def _unit(body: Body) -> CreditUnit:
    values = tuple(
        UnitValue(utc_time(v["effective_at"]), v["currency"], v["value"]) for v in body["values"]
    )
    return CreditUnit(body["key"], body["name"], int(body["decimals"]), values)
