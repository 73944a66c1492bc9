"""Prices on the wire, and the preview of what one comes to."""

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    TypeAdapter,
    field_validator,
    model_validator,
)
from pydantic.json_schema import SkipJsonSchema

from shared.domain.catalogue import Graduated, PerUnit, Price, Tier
from shared.domain.invoice_document import price_document
from shared.domain.money import MINOR_PLACES, format_money, round_to_minor, to_nanos
from shared.domain.pricing import explain, total
from shared.wire.common import Bounds, DecimalText, Items, Quantity, WireModel, refuse

T = TypeVar("T")

MAX_TIERS = 50
MAX_PREVIEW_EVENTS = 1000
# More than any unit costs, and small enough that no total leaves the digits that can be stored.
UnitPrice = Annotated[Decimal, Bounds(places=12, highest=Decimal(99_999_999))]


def _refuse_unsupported(_: object) -> None:
    raise refuse("unsupported")


# A member that is not supported yet is refused by name: ignoring it would change what is billed.
Unsupported = Annotated[
    None, PlainValidator(_refuse_unsupported), SkipJsonSchema(), Field(exclude=True)
]
UNSUPPORTED_MODELS = ("flat", "volume", "package", "percentage", "graduated_percentage")
UNSUPPORTED_AGGREGATIONS = ("unique_count",)


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


class _PriceBody(WireModel):
    minimum_amount: Unsupported = None
    maximum_amount: Unsupported = None
    free_units: Unsupported = None
    discount_percentage: Unsupported = None


class PerUnitPrice(_PriceBody):
    """Every unit at the same price."""

    model: Literal["per_unit"]
    unit_price: UnitPrice


class TierBody(WireModel):
    """Units above the tier before, up to and including `up_to`; null is the open last tier."""

    up_to: Annotated[Decimal, Bounds(places=9)] | None
    unit_price: UnitPrice
    flat_fee: UnitPrice = Decimal(0)


class GraduatedPrice(_PriceBody):
    """Each tier prices the units inside it."""

    model: Literal["graduated"]
    tiers: Annotated[Items[TierBody], Field(min_length=1, max_length=MAX_TIERS)]

    @field_validator("tiers")
    @classmethod
    def _cover_every_quantity_once(cls, tiers: tuple[TierBody, ...]) -> tuple[TierBody, ...]:
        below = Decimal(0)
        for tier in tiers[:-1]:
            if tier.up_to is None or tier.up_to < below:
                raise refuse("overlapping-tiers")
            if tier.up_to == below:
                raise refuse("zero-width-tier")
            below = tier.up_to
        if tiers[-1].up_to is not None:
            raise refuse("tier-gap")
        return tiers


def _refuse_unsupported_model(value: Any) -> Any:
    if isinstance(value, dict) and value.get("model") in UNSUPPORTED_MODELS:
        raise refuse("unsupported")
    return value


PriceBody = Annotated[
    Annotated[PerUnitPrice | GraduatedPrice, Field(discriminator="model")],
    BeforeValidator(_refuse_unsupported_model),
]
_PRICE: TypeAdapter[PerUnitPrice | GraduatedPrice] = TypeAdapter(PriceBody)


def to_price(body: PerUnitPrice | GraduatedPrice) -> Price:
    """The price as the domain has it."""
    match body:
        case PerUnitPrice():
            return PerUnit(body.unit_price)
        case GraduatedPrice():
            return Graduated(tuple(Tier(t.up_to, t.unit_price, t.flat_fee) for t in body.tiers))


def of_price(price: Price) -> PerUnitPrice | GraduatedPrice:
    """The price as the wire has it: in the shape that invoices show it in."""
    return _PRICE.validate_python(price_document(price))


class PreviewEvent(WireModel):
    """One usage of the previewed quantity."""

    value: Quantity


class PreviewBody(WireModel):
    """A price and a quantity, as a whole or event by event; a currency to round to."""

    price: PriceBody
    quantity: Quantity | None = None
    events: Annotated[Items[PreviewEvent], Field(max_length=MAX_PREVIEW_EVENTS)] | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _one_way_of_saying_how_much(self) -> "PreviewBody":
        if (self.quantity is None) == (self.events is None):
            raise refuse("quantity-or-events")
        return self


class PreviewDetail(WireModel):
    """What one tier (from 1; null where the price has none) comes to, its flat fee included."""

    tier: int | None
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
        quantity = body.quantity
        if quantity is None:
            quantity = sum((event.value for event in body.events or ()), Decimal(0))
        shares = explain(to_price(body.price), quantity)
        amount = total(shares)
        rounded = None
        if body.currency is not None:
            nanos = round_to_minor(to_nanos(amount), body.currency)
            rounded = format_money(nanos, body.currency)
        details = [PreviewDetail(tier=s.tier, units=s.units, amount=s.amount) for s in shares]
        return cls(amount=amount, rounded=rounded, details=details)
