"""Prices: the models, the modifiers that any of them may add, and their plain form.

Everything is immutable and exact. Amounts are in major units of a currency or a credit unit with
at most 12 places; rates and discounts are in percent.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Modifiers:
    """What any price may add, applied in this order.

    `free_units` come off the usage before it is priced; the discount (in percent), the maximum and
    the minimum then change the amount. A minimum is due at zero usage, too.
    """

    free_units: Decimal = ZERO
    discount_percentage: Decimal = ZERO
    maximum_amount: Decimal | None = None
    minimum_amount: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Flat(Modifiers):
    """One amount per period, whatever the usage."""

    amount: Decimal


@dataclass(frozen=True, slots=True)
class PerUnit(Modifiers):
    """Quantity times one unit price."""

    unit_price: Decimal


@dataclass(frozen=True, slots=True)
class Tier:
    """Units in (previous bound, up_to]; `up_to` None is the open last tier."""

    up_to: Decimal | None
    unit_price: Decimal
    flat_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class Graduated(Modifiers):
    """Each tier prices the units inside it; the first tier's flat fee is due at zero usage."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Volume(Modifiers):
    """The tier that the whole quantity falls in prices all of it."""

    tiers: tuple[Tier, ...]


@dataclass(frozen=True, slots=True)
class Package(Modifiers):
    """Whole packages of `package_size` units, the last one however little of it is used."""

    package_size: Decimal
    package_price: Decimal


@dataclass(frozen=True, slots=True)
class Percentage(Modifiers):
    """A rate (in percent) of the quantity beyond `free_amount`, and a fee for each event beyond
    `free_events`.

    With a minimum or a maximum per event it is a sum over single events, each rounded to the nano:
    it then has neither free events, free amount nor free units.
    """

    rate: Decimal
    fixed_fee: Decimal = ZERO
    free_events: Decimal = ZERO
    free_amount: Decimal = ZERO
    min_per_event: Decimal | None = None
    max_per_event: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RateTier:
    """A rate (in percent) of the units in (previous bound, up_to]."""

    up_to: Decimal | None
    rate: Decimal
    flat_fee: Decimal = ZERO


@dataclass(frozen=True, slots=True)
class GraduatedPercentage(Modifiers):
    """Each tier takes its rate of the units inside it; flat fees as in `Graduated`."""

    tiers: tuple[RateTier, ...]


Price = Flat | PerUnit | Graduated | Volume | Package | Percentage | GraduatedPercentage

_MODELS: Mapping[str, Callable[..., Price]] = {
    "flat": Flat,
    "per_unit": PerUnit,
    "graduated": Graduated,
    "volume": Volume,
    "package": Package,
    "percentage": Percentage,
    "graduated_percentage": GraduatedPercentage,
}
AMOUNTS = {
    "amount",
    "unit_price",
    "flat_fee",
    "fixed_fee",
    "package_price",
    "min_per_event",
    "max_per_event",
    "minimum_amount",
    "maximum_amount",
}
_NAMES = {model: name for name, model in _MODELS.items()}


def by_event(price: Price | None) -> bool:
    """Whether the price is a sum over single events, and not a function of totals."""
    if not isinstance(price, Percentage):
        return False
    return price.min_per_event is not None or price.max_per_event is not None


def can_fall(price: Price | None, *, averaged: bool = False) -> bool:
    """Whether more usage may cost less: a cheaper tier prices all units again, an average falls."""
    return price is not None and (averaged or isinstance(price, Volume))


def tiers_of(price: Price | None) -> Sequence[Tier | RateTier]:
    """The price's tiers; none where the model has none."""
    return price.tiers if isinstance(price, Graduated | Volume | GraduatedPercentage) else ()


def amounts_of(price: Price | None) -> Iterator[Decimal]:
    """Every amount of money in the price: of a unit, of a package, of a fee, of a bound."""
    if price is None:
        return
    for part in (price, *tiers_of(price)):
        given = {field.name: getattr(part, field.name) for field in fields(part)}
        yield from (given[name] for name in AMOUNTS & set(given) if given[name] is not None)


def price_values(price: Price) -> dict[str, Any]:
    """The price as plain values under its public names; what is at its default is left out."""
    values: dict[str, Any] = {"model": _NAMES[type(price)]}
    for field in fields(price):
        value = getattr(price, field.name)
        if field.name == "tiers":
            values["tiers"] = [{f.name: getattr(t, f.name) for f in fields(t)} for t in value]
        elif value != field.default:
            values[field.name] = value
    return values


def price_of(values: Mapping[str, Any]) -> Price:
    """The price that `price_values` wrote; decimals may be text.

    Raises: LookupError, TypeError or ArithmeticError where the values are no price.
    """
    name = values["model"]
    tier: Callable[..., Tier | RateTier] = RateTier if name == "graduated_percentage" else Tier
    given: dict[str, Any] = {}
    for key, value in values.items():
        if key == "tiers":
            given["tiers"] = tuple(tier(**_decimals(each)) for each in value)
        elif key != "model":
            given |= _decimals({key: value})
    return _MODELS[name](**given)


def _decimals(values: Mapping[str, Any]) -> dict[str, Decimal | None]:
    return {key: None if value is None else Decimal(value) for key, value in values.items()}
