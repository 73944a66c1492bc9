"""The catalogue of one seed: fixed meters, credit units, and plans drawn from a generator."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.domain.catalogue import (
    AddOn,
    Allowance,
    CreditUnit,
    IncludedCredits,
    Meter,
    PackCredits,
    Plan,
    Rate,
    UnitValue,
)
from shared.domain.money import MINOR_PLACES, NANOS_PER_UNIT
from shared.domain.prices import (
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    Price,
    RateTier,
    Tier,
    Volume,
)

METERS = (
    Meter("calls", "chat", "count"),
    Meter("tokens", "chat", "sum", "tokens", ("model",)),
    Meter("paid", "chat", "count", None, ("region",), {"model": ("large", "medium")}),
    Meter("storage", "disk", "sum", "gb"),
    Meter("letters", "mail", "count"),
    Meter("bytes", "mail", "sum", "bytes", ("region",)),
    Meter("peak", "chat", "max", "tokens", ("region",)),
    Meter("models", "chat", "unique_count", "model", ("region",)),
    Meter("level", "disk", "latest", "gb"),
    Meter("least", "disk", "min", "gb"),
    Meter("mean", "disk", "average", "gb"),
    Meter("spread", "chat", "count", None, ("model", "region")),
)
RATED = tuple(meter for meter in METERS if meter.key not in ("level", "least", "mean", "spread"))
# So few groups of dimension values that some hours of `spread` have more.
MAX_GROUPS = 3
MODELS = ("large", "medium", "small")


def credit_units(currency: str) -> tuple[CreditUnit, ...]:
    """Two custom currencies; the worth of one changes with time."""
    early, later = datetime(2020, 1, 1, tzinfo=UTC), datetime(2026, 2, 10, tzinfo=UTC)
    values = (
        UnitValue(early, currency, Decimal("0.05")),
        UnitValue(later, currency, Decimal("0.073")),
    )
    return (
        CreditUnit("sparks", "Sparks", 2, values),
        CreditUnit("coins", "Coins", 0, (UnitValue(early, currency, Decimal("1.5")),)),
    )


def a_plan(rng: random.Random, key: str, currency: str, interval: str, *, default: bool) -> Plan:
    """A plan that a catalogue with these meters and units accepts."""
    places = MINOR_PLACES[currency]
    minor = NANOS_PER_UNIT // 10**places
    allowances = tuple(
        Allowance(m.key, Decimal(rng.choice(("3", "10.5", "40", "0.000000007"))))
        for m in RATED
        if rng.random() < 0.35
    )
    summed = {m.key for m in RATED if m.aggregation in ("count", "sum")}
    by_event = summed - {allowance.meter for allowance in allowances}
    rates: list[Rate] = []
    for meter in rng.sample([m.key for m in RATED], rng.randint(1, len(RATED))):
        rates += _rates(rng, meter, currency, by_event=meter in by_event)
    # A generator of its own: what else is drawn of a seed stays as it was.
    own = random.Random(repr(rates))
    minimum = own.choice((0, 0, 500, 20_000)) * minor
    if own.random() < 0.5:
        rates.append(Rate("mean", _price(own, falls=True, by_event=False), currency))
    units = [currency, "sparks", "coins"]
    fields: dict[str, Any] = {
        "key": key,
        "version": 0,
        "name": key.title(),
        "currency": currency,
        "interval": interval,
        "period": rng.choice(("calendar", "anniversary")),
        "fee_nanos": rng.choice((0, 0, 999, 2000, 12345)) * minor,
        "minimum_nanos": minimum,
        "allowances": allowances,
        "credits": tuple(_credits(rng, unit) for unit in rng.sample(units, rng.randint(0, 2))),
        "rates": tuple(rates),
        "default": default,
        "on_exhausted": rng.choice(("bill", "block")),
        "trial_days": rng.choice((0, 0, 0, 2, 9)),
        "bill_trial_usage": rng.random() < 0.3,
    }
    return Plan(**fields)


def an_add_on(rng: random.Random, key: str, currency: str) -> AddOn:
    """A pack that a catalogue with these meters and units accepts."""
    minor = NANOS_PER_UNIT // 10 ** MINOR_PLACES[currency]
    meters = rng.sample([m.key for m in RATED], rng.choice((0, 0, 1, 2)))
    units = rng.sample([currency, "sparks", "coins"], rng.choice((0, 1, 2)) if meters else 1)
    amounts = (NANOS_PER_UNIT, 7 * NANOS_PER_UNIT, 60 * NANOS_PER_UNIT)
    return AddOn(
        key=key,
        version=0,
        name=key.title(),
        currency=currency,
        price_nanos=rng.choice((0, 999, 1000, 12345)) * minor,
        allowances=tuple(Allowance(m, Decimal(rng.choice(("4", "25.5")))) for m in meters),
        credits=tuple(PackCredits(unit, rng.choice(amounts)) for unit in units),
        expires=rng.choice(("never", "period_end", "P2D", "P9D")),
    )


def _rates(rng: random.Random, meter: str, currency: str, *, by_event: bool) -> list[Rate]:
    """Rate cards of one meter: narrow ones by model or region first, then one for the rest.

    A price may be `by_event` where the meter is a sum without an allowance.
    """

    def rate(where: dict[str, str]) -> Rate:
        unit = rng.choice((currency, currency, "sparks", "coins"))
        return Rate(meter, _price(rng, falls=unit == currency, by_event=by_event), unit, where)

    rates = []
    if meter == "tokens":
        rates += [rate({"model": model}) for model in rng.sample(MODELS, rng.randint(0, 2))]
    if meter in ("paid", "peak", "models", "bytes") and rng.random() < 0.5:
        rates.append(rate({"region": "eu"}))
    if not rates or rng.random() < 0.8:
        rates.append(rate({}))
    return rates


UNIT_PRICES = ("0.01", "0.333333333333", "0.0000000007", "2", "0.125", "0")


def _price(rng: random.Random, *, falls: bool, by_event: bool) -> Price:
    """A price of any model; one that can fall, or is by event, only where plans take them."""
    modifiers = _modifiers(rng)
    models = ["per_unit", "per_unit", "graduated", "graduated", "flat", "package", "percentage"]
    models += ["graduated_percentage", *(["volume"] * 2 if falls else [])]
    models += ["by_event"] if by_event and "free_units" not in modifiers else []
    rate = Decimal(rng.choice(("1.5", "0.0000000001", "33.3333333333", "110")))
    fee = Decimal(rng.choice(("0", "0.3")))
    free = {"free_events": Decimal(rng.choice((0, 3))), "free_amount": Decimal(4)}
    bounds = {"min_per_event": Decimal("0.02"), "max_per_event": Decimal("0.9")}
    bounded = dict(rng.sample(sorted(bounds.items()), rng.randint(1, 2)))
    size = Decimal(rng.choice(("1", "2.5", "10", "0.000000003")))
    tiers = _tiers(rng)
    rate_tiers = tuple(RateTier(t.up_to, t.unit_price * 10, t.flat_fee) for t in tiers)
    prices: dict[str, Price] = {
        "per_unit": PerUnit(Decimal(rng.choice(UNIT_PRICES)), **modifiers),
        "graduated": Graduated(tiers, **modifiers),
        "volume": Volume(tiers, **modifiers),
        "flat": Flat(Decimal(rng.choice(("0", "0.5", "3.000000000001"))), **modifiers),
        "package": Package(size, Decimal(rng.choice(("0.01", "0.7", "2"))), **modifiers),
        "percentage": Percentage(rate, fee, **(free if fee else {}), **modifiers),
        "by_event": Percentage(rate, fee, **bounded, **modifiers),
        "graduated_percentage": GraduatedPercentage(rate_tiers, **modifiers),
    }
    return prices[rng.choice(models)]


def _tiers(rng: random.Random) -> tuple[Tier, ...]:
    # Totals come to stand at some of them: at all the models there are, at a single quantity.
    bounds = sorted(rng.sample((1, len(MODELS), 7, 25, 40, 200), rng.randint(0, 3)))
    return tuple(
        Tier(up_to, Decimal(rng.choice(UNIT_PRICES)), Decimal(rng.choice(("0", "0", "1", "0.37"))))
        for up_to in (*map(Decimal, bounds), None)
    )


def _modifiers(rng: random.Random) -> dict[str, Any]:
    """None mostly, else some of them."""
    chosen = {
        "free_units": Decimal(rng.choice(("2", "7.5"))),
        "discount_percentage": Decimal(rng.choice(("10", "33.3333333333"))),
        "maximum_amount": Decimal(rng.choice(("5", "40"))),
        "minimum_amount": Decimal(rng.choice(("0.5", "1.000000000001"))),
    }
    if rng.random() < 0.6:
        return {}
    return dict(rng.sample(sorted(chosen.items()), rng.randint(1, 4)))


def _credits(rng: random.Random, unit: str) -> IncludedCredits:
    amount = rng.choice((1, 5, 20, 300))
    # In whole units, as some have no decimals.
    cap = rng.choice((0, amount // 4, amount, amount * 2))
    expires = rng.choice(("period_end", "period_end", "period_end", "never", "P2D", "P9D"))
    cap_nanos = cap * NANOS_PER_UNIT if expires == "period_end" else 0
    return IncludedCredits(unit, amount * NANOS_PER_UNIT, expires, cap_nanos)
