"""The catalogue of one seed: fixed meters, credit units, and plans drawn from a generator."""

import random
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from shared.domain.catalogue import (
    Allowance,
    CreditUnit,
    IncludedCredits,
    Meter,
    Plan,
    Rate,
    UnitValue,
)
from shared.domain.money import MINOR_PLACES, NANOS_PER_UNIT
from shared.domain.prices import Graduated, PerUnit, Price, Tier

METERS = (
    Meter("calls", "chat", "count"),
    Meter("tokens", "chat", "sum", "tokens", ("model",)),
    Meter("paid", "chat", "count", None, ("region",), {"model": ("large", "medium")}),
    Meter("storage", "disk", "sum", "gb"),
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
    rates: list[Rate] = []
    for meter in rng.sample([m.key for m in RATED], rng.randint(1, len(RATED))):
        rates += _rates(rng, meter, currency)
    units = [currency, "sparks", "coins"]
    fields: dict[str, Any] = {
        "key": key,
        "version": 0,
        "name": key.title(),
        "currency": currency,
        "interval": interval,
        "period": rng.choice(("calendar", "anniversary")),
        "fee_nanos": rng.choice((0, 0, 999, 2000, 12345)) * minor,
        "allowances": tuple(
            Allowance(m.key, Decimal(rng.choice(("3", "10.5", "40", "0.000000007"))))
            for m in RATED
            if rng.random() < 0.35
        ),
        "credits": tuple(_credits(rng, unit) for unit in rng.sample(units, rng.randint(0, 2))),
        "rates": tuple(rates),
        "default": default,
        "on_exhausted": rng.choice(("bill", "block")),
    }
    return Plan(**fields)


def _rates(rng: random.Random, meter: str, currency: str) -> list[Rate]:
    """Rate cards of one meter: narrow ones by model or region first, then one for the rest."""
    units = (currency, currency, "sparks", "coins")
    rates = []
    if meter == "tokens":
        rates += [
            Rate(meter, _price(rng), rng.choice(units), {"model": model})
            for model in rng.sample(MODELS, rng.randint(0, 2))
        ]
    if meter in ("paid", "peak", "models") and rng.random() < 0.5:
        rates.append(Rate(meter, _price(rng), rng.choice(units), {"region": "eu"}))
    if not rates or rng.random() < 0.8:
        rates.append(Rate(meter, _price(rng), rng.choice(units)))
    return rates


def _price(rng: random.Random) -> Price:
    def unit_price() -> Decimal:
        return Decimal(rng.choice(("0.01", "0.333333333333", "0.0000000007", "2", "0.125", "0")))

    if rng.random() < 0.5:
        return PerUnit(unit_price())
    bounds = sorted(rng.sample((2, 5, 10, 25, 60, 200), rng.randint(0, 3)))
    tiers = [
        Tier(up_to, unit_price(), Decimal(rng.choice(("0", "0", "1", "0.37"))))
        for up_to in (*map(Decimal, bounds), None)
    ]
    return Graduated(tuple(tiers))


def _credits(rng: random.Random, unit: str) -> IncludedCredits:
    amount = rng.choice((1, 5, 20, 300)) * NANOS_PER_UNIT
    cap = rng.choice((0, amount // 4, amount, amount * 2))
    expires = rng.choice(("period_end", "period_end", "period_end", "never", "P2D", "P9D"))
    return IncludedCredits(unit, amount, expires, cap if expires == "period_end" else 0)
