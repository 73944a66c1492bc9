"""Prices on the wire, and the preview of what one comes to."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from shared.domain.invoice_document import price_document
from shared.domain.money import MINOR_PLACES, format_money, round_to_minor, to_nanos
from shared.domain.prices import ZERO, Price, price_of
from shared.domain.pricing import Component, Usage, explain, total, usage_of
from shared.wire.common import Bounds, DecimalText, Items, Quantity, WireModel, refuse

T = TypeVar("T")
AnyTier = TypeVar("AnyTier", "TierBody", "RateTierBody")

MAX_TIERS = 50
MAX_PREVIEW_EVENTS = 1000
# More than any unit costs, and small enough that no total leaves the digits that can be stored.
UnitPrice = Annotated[Decimal, Bounds(places=12, highest=Decimal(99_999_999))]
# In percent: 2.9 is 2.9 %.
Rate = Annotated[Decimal, Bounds(places=10, highest=Decimal(1_000_000))]
Discount = Annotated[Decimal, Bounds(places=10, highest=Decimal(100))]
WholeNumber = Annotated[Decimal, Bounds(places=0)]
# A member that was not given is not answered either.
IfGiven = Field(exclude_if=lambda value: value is None)


def _refuse_unsupported(_: object) -> None:
    raise refuse("unsupported")


# A member that is not supported yet is refused by name: ignoring it would change what is billed.
Unsupported = Annotated[
    None, PlainValidator(_refuse_unsupported), SkipJsonSchema(), Field(exclude=True)
]


def once(items: tuple[T, ...], key: Callable[[T], object], code: str) -> tuple[T, ...]:
    """The items, if no two have the same key."""
    if len({key(item) for item in items}) < len(items):
        raise refuse(code)
    return items


def known_currency(code: str) -> str:
    """An ISO 4217 code of a currency that invoices can be issued in."""
    if code not in MINOR_PLACES:
        raise refuse("unknown-currency")
    return code


Currency = Annotated[str, AfterValidator(known_currency)]


def _within(minimum: Decimal | None, maximum: Decimal | None, value: T) -> T:
    if minimum is not None and maximum is not None and minimum > maximum:
        raise refuse("minimum-above-maximum")
    return value


class _PriceBody(WireModel):
    """What any price may add: free units off the usage, then a discount in percent, a maximum and
    a minimum on the amount.
    """

    free_units: Annotated[Quantity | None, IfGiven] = None
    discount_percentage: Annotated[Discount | None, IfGiven] = None
    maximum_amount: Annotated[UnitPrice | None, IfGiven] = None
    minimum_amount: Annotated[UnitPrice | None, IfGiven] = None

    @field_validator("minimum_amount")
    @classmethod
    def _no_more_than_the_maximum(
        cls, minimum: Decimal | None, info: ValidationInfo
    ) -> Decimal | None:
        return _within(minimum, info.data.get("maximum_amount"), minimum)


class FlatPrice(_PriceBody):
    """One amount per period, whatever the usage."""

    model: Literal["flat"]
    amount: UnitPrice


class PerUnitPrice(_PriceBody):
    """Every unit at the same price."""

    model: Literal["per_unit"]
    unit_price: UnitPrice


class TierBody(WireModel):
    """Units above the tier before, up to and including `up_to`; null is the open last tier."""

    up_to: Quantity | None
    unit_price: UnitPrice
    flat_fee: UnitPrice = ZERO


class RateTierBody(WireModel):
    """A rate in percent of the units above the tier before, up to and including `up_to`."""

    up_to: Quantity | None
    rate: Rate
    flat_fee: UnitPrice = ZERO


def _cover_every_quantity_once(tiers: tuple[AnyTier, ...]) -> tuple[AnyTier, ...]:
    below = ZERO
    for tier in tiers[:-1]:
        if tier.up_to is None or tier.up_to < below:
            raise refuse("overlapping-tiers")
        if tier.up_to == below:
            raise refuse("zero-width-tier")
        below = tier.up_to
    if tiers[-1].up_to is not None:
        raise refuse("tier-gap")
    return tiers


Tiers = Annotated[
    Items[AnyTier],
    Field(min_length=1, max_length=MAX_TIERS),
    AfterValidator(_cover_every_quantity_once),
]


class GraduatedPrice(_PriceBody):
    """Each tier prices the units inside it."""

    model: Literal["graduated"]
    tiers: Tiers[TierBody]


class VolumePrice(_PriceBody):
    """The tier that the whole quantity falls in prices all of it."""

    model: Literal["volume"]
    tiers: Tiers[TierBody]


class PackagePrice(_PriceBody):
    """Whole packages of units; the last one counts however little of it is used."""

    model: Literal["package"]
    package_size: Annotated[Decimal, Bounds(places=9, lowest=Decimal("1e-9"))]
    package_price: UnitPrice


class PercentagePrice(_PriceBody):
    """A rate in percent ("2.9" is 2.9 %) of the quantity, and a fixed fee for each event.

    A minimum or a maximum per event prices each event by itself, and excludes what is free.
    """

    model: Literal["percentage"]
    rate: Rate
    fixed_fee: Annotated[UnitPrice | None, IfGiven] = None
    free_events: Annotated[WholeNumber | None, IfGiven] = None
    free_amount: Annotated[Quantity | None, IfGiven] = None
    min_per_event: Annotated[UnitPrice | None, IfGiven] = None
    max_per_event: Annotated[UnitPrice | None, IfGiven] = None

    @field_validator("min_per_event", "max_per_event")
    @classmethod
    def _nothing_is_free(cls, bound: Decimal | None, info: ValidationInfo) -> Decimal | None:
        free = (info.data.get(name) for name in ("free_units", "free_events", "free_amount"))
        if bound is not None and any(free):
            raise refuse("free-and-per-event")
        return bound

    @field_validator("max_per_event")
    @classmethod
    def _no_less_than_the_minimum(
        cls, maximum: Decimal | None, info: ValidationInfo
    ) -> Decimal | None:
        return _within(info.data.get("min_per_event"), maximum, maximum)


class GraduatedPercentagePrice(_PriceBody):
    """Each tier takes its rate, in percent, of the units inside it."""

    model: Literal["graduated_percentage"]
    tiers: Tiers[RateTierBody]


AnyPrice = (
    FlatPrice
    | PerUnitPrice
    | GraduatedPrice
    | VolumePrice
    | PackagePrice
    | PercentagePrice
    | GraduatedPercentagePrice
)
PriceBody = Annotated[AnyPrice, Field(discriminator="model")]
_PRICE: TypeAdapter[AnyPrice] = TypeAdapter(PriceBody)


def to_price(body: AnyPrice) -> Price:
    """The price as the domain has it: under the same names."""
    return price_of(body.model_dump())


def of_price(price: Price) -> AnyPrice:
    """The price as the wire has it: in the shape that invoices show it in."""
    return _PRICE.validate_python(price_document(price))


class PreviewEvent(WireModel):
    """One usage of the previewed quantity."""

    value: Quantity


class PreviewBody(WireModel):
    """A price and a quantity, as a whole or event by event; a currency to round to.

    A quantity is the usage of one event, and nothing the usage of none.
    """

    price: PriceBody
    quantity: Quantity | None = None
    events: Annotated[Items[PreviewEvent], Field(max_length=MAX_PREVIEW_EVENTS)] | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _one_way_of_saying_how_much(self) -> "PreviewBody":
        if (self.quantity is None) == (self.events is None):
            raise refuse("quantity-or-events")
        return self

    def usage(self, price: Price) -> Usage:
        """The totals of the previewed usage."""
        if self.quantity is not None:
            return usage_of(price, [self.quantity] if self.quantity else [])
        return usage_of(price, [event.value for event in self.events or ()])


class PreviewDetail(WireModel):
    """What one part of the price comes to.

    A tier's number (from 1; null where the price has none) stands with its units and its amount,
    the tier's flat fee included. `fixed_fee` is for so many events; `free_units` cost nothing; the
    other components change the amount so far.
    """

    tier: int | None
    component: Component
    units: DecimalText
    amount: DecimalText


class PreviewAnswer(WireModel):
    """The exact amount, and rounded to the currency's minor unit where a currency was named."""

    amount: DecimalText
    rounded: str | None
    details: Sequence[PreviewDetail]

    @classmethod
    def of(cls, body: PreviewBody) -> "PreviewAnswer":
        """The preview of the price."""
        price = to_price(body.price)
        shares = explain(price, body.usage(price))
        amount = total(shares)
        rounded = None
        if body.currency is not None:
            nanos = round_to_minor(to_nanos(amount), body.currency)
            rounded = format_money(nanos, body.currency)
        details = [
            PreviewDetail(tier=s.tier, component=s.component, units=s.units, amount=s.amount)
            for s in shares
        ]
        return cls(amount=amount, rounded=rounded, details=details)
