"""Add-ons on the wire: packs of allowances or credits, and buying them."""

from decimal import Decimal
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from shared.domain.catalogue import AddOn, Allowance, Interval, PackCredits
from shared.domain.money import from_nanos, to_nanos
from shared.services.buying import BoughtPack
from shared.wire.common import Bounds, DecimalText, Identifier, Items, Slug, WireModel, refuse
from shared.wire.credits import Amount, GrantView
from shared.wire.plans import Expiry, money
from shared.wire.prices import Currency, once

MAX_CONTENTS = 5
MAX_PACKS = 10_000


class PackAllowanceBody(WireModel):
    """Units of a meter that one pack includes."""

    meter: Slug
    quantity: Amount


class PackCreditsBody(WireModel):
    """Credits that one pack holds."""

    unit: Identifier
    amount: Amount


class AddOnBody(WireModel):
    """A pack: what it holds, for how long from its purchase on, and its price.

    With an `interval` it recurs with each billing period of that length: then it is over with the
    period. Without one it holds for ever, unless `expires` says otherwise.
    """

    name: Identifier
    currency: Currency = "USD"
    price: Annotated[Decimal, Bounds(places=3)]
    allowances: Annotated[Items[PackAllowanceBody], Field(max_length=MAX_CONTENTS)] = ()
    credits: Annotated[Items[PackCreditsBody], Field(max_length=MAX_CONTENTS)] = Field(
        default=(), validate_default=True
    )
    interval: Interval | None = None
    expires: Expiry | None = Field(default=None, validate_default=True)

    @field_validator("expires")
    @classmethod
    def _recurring_expire_with_the_period(cls, expires: str | None, info: ValidationInfo) -> str:
        recurs = info.data.get("interval") is not None
        if recurs and expires not in (None, "period_end"):
            raise refuse("recurring-expires-with-the-period")
        return expires or ("period_end" if recurs else "never")

    @field_validator("price")
    @classmethod
    def _price_in_minor_units(cls, price: Decimal, info: ValidationInfo) -> Decimal:
        currency = info.data.get("currency")
        return price if currency is None else money(price, currency)

    @field_validator("allowances")
    @classmethod
    def _each_meter_once(
        cls, found: tuple[PackAllowanceBody, ...]
    ) -> tuple[PackAllowanceBody, ...]:
        return once(found, lambda allowance: allowance.meter, "duplicate-meter")

    @field_validator("credits")
    @classmethod
    def _something_once(
        cls, found: tuple[PackCreditsBody, ...], info: ValidationInfo
    ) -> tuple[PackCreditsBody, ...]:
        if not found and info.data.get("allowances") == ():
            raise refuse("empty-pack")
        return once(found, lambda pack: pack.unit, "duplicate-unit")

    def to_add_on(self, key: str) -> AddOn:
        """The add-on; its version is not known yet."""
        return AddOn(
            key=key,
            version=0,
            name=self.name,
            currency=self.currency,
            price_nanos=to_nanos(self.price),
            allowances=tuple(Allowance(a.meter, a.quantity) for a in self.allowances),
            credits=tuple(PackCredits(c.unit, to_nanos(c.amount)) for c in self.credits),
            expires=self.expires or "never",
            interval=self.interval,
        )


class AddOnAnswer(AddOnBody):
    """One published version of an add-on."""

    key: str
    version: int

    @classmethod
    def of(cls, add_on: AddOn) -> "AddOnAnswer":
        """The add-on as the wire has it."""
        return cls(
            key=add_on.key,
            version=add_on.version,
            name=add_on.name,
            currency=add_on.currency,
            price=from_nanos(add_on.price_nanos),
            allowances=tuple(
                PackAllowanceBody(meter=a.meter, quantity=a.quantity) for a in add_on.allowances
            ),
            credits=tuple(
                PackCreditsBody(unit=c.unit, amount=from_nanos(c.amount_nanos))
                for c in add_on.credits
            ),
            expires=add_on.expires,
            interval=add_on.interval,
        )


class PurchaseBody(WireModel):
    """So many packs of an add-on's newest version."""

    add_on: Slug
    quantity: Annotated[int, Field(ge=1, le=MAX_PACKS)] = 1


class PurchaseView(WireModel):
    """What was bought: its grants, and the id of its invoice, null if it costs nothing."""

    add_on: str
    version: int
    quantity: int
    price: DecimalText
    currency: str
    grants: list[GrantView]
    invoice: str | None

    @classmethod
    def of(cls, bought: BoughtPack) -> "PurchaseView":
        """The purchase as it is shown."""
        add_on = bought.add_on
        return cls(
            add_on=add_on.key,
            version=add_on.version,
            quantity=bought.quantity,
            price=from_nanos(add_on.price_nanos * bought.quantity),
            currency=add_on.currency,
            grants=[GrantView.of(held) for held in bought.grants],
            invoice=bought.invoice,
        )
