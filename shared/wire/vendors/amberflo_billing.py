"""Amberflo's prepaid orders, wallet and invoices, made of our grants, balances and invoices."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, model_validator

from shared.domain.events import utc_time
from shared.domain.money import EXACT, from_nanos
from shared.services.granting import GrantOrder, HeldGrant
from shared.wire.common import CustomerKey, Identifier, QueryModel, refuse
from shared.wire.credits import Amount
from shared.wire.prices import Unsupported
from shared.wire.vendors.common import CamelModel, EpochSeconds, epoch_seconds

# There is one product there unless more are made; here a customer has one account.
PRODUCT = "1"
UNIT_PRICE_STEP = Decimal(1).scaleb(-12)
Document = Mapping[str, Any]


def _truth(value: object) -> object:
    """Booleans arrive as `True` from Python and `true` from elsewhere."""
    return (
        {"true": True, "false": False}.get(value.lower(), value)
        if isinstance(value, str)
        else (value)
    )


Flag = Annotated[bool, BeforeValidator(_truth)]
Product = Annotated[Literal["1"], Field(description="The one product.")]


class PrepaidOrder(CamelModel):
    """An amount that was paid in advance: a grant of the customer's currency.

    It is worth `originalWorth`, or its price. A start in the past is now. It does not recur, and
    nothing is charged for it here.
    """

    id: Identifier
    customer_id: CustomerKey
    product_id: Product = "1"
    start_time_in_seconds: EpochSeconds
    prepaid_offer_version: int = -1
    prepaid_price: Amount
    original_worth: Amount | None = None
    external_payment: bool = False
    recurrence_frequency: Unsupported = None

    def to_order(self, currency: str, now: datetime) -> GrantOrder:
        """The grant that is asked for."""
        worth = self.original_worth or self.prepaid_price
        basis = EXACT.divide(self.prepaid_price, worth).quantize(
            UNIT_PRICE_STEP, ROUND_HALF_UP, EXACT
        )
        start = self.start_time_in_seconds
        return GrantOrder(
            unit=currency,
            amount=worth,
            source="purchase",
            priority=100,
            effective_at=start if start > now else None,
            expires_at=None,
            cost_basis=basis,
            meters=(),
        )


class PrepaidQuery(QueryModel):
    """Whose prepaid orders."""

    customer_id: Annotated[CustomerKey, Field(alias="CustomerId")]
    product_id: Annotated[Product, Field(alias="ProductId")] = "1"


class WalletQuery(QueryModel):
    """Whose wallet."""

    customer_id: Annotated[CustomerKey, Field(alias="customerId")]
    product_id: Annotated[Product, Field(alias="productId")] = "1"


class InvoicesQuery(WalletQuery):
    """Whose invoices. They are always as they stand: nothing is cached, no payment is followed."""

    from_cache: Annotated[Flag, Field(alias="fromCache")] = False
    with_payment_status: Annotated[Flag, Field(alias="withPaymentStatus")] = False


class InvoiceQuery(InvoicesQuery):
    """One invoice: the latest, or the one of a plan whose period started on a day."""

    latest: Flag = False
    product_plan_id: Annotated[Identifier | None, Field(alias="productPlanId")] = None
    year: Annotated[int | None, Field(ge=1970, le=8999)] = None
    month: Annotated[int | None, Field(ge=1, le=12)] = None
    day: Annotated[int | None, Field(ge=1, le=31)] = None

    @model_validator(mode="after")
    def _check_one_is_meant(self) -> "InvoiceQuery":
        if not self.latest and None in (self.year, self.month, self.day):
            raise refuse("latest-or-a-day-required")
        return self

    def means(self, invoice: Document, timezone: str) -> bool:
        """Whether the invoice's period started on the day in the customer's timezone."""
        start = utc_time(invoice["period"]["start"]).astimezone(ZoneInfo(timezone))
        return (start.year, start.month, start.day) == (self.year, self.month, self.day)


def prepaid_answer(held: HeldGrant, order_id: str | None = None) -> dict[str, Any]:
    """A prepaid order as they answer one. Without the order's own id, it has the grant's."""
    grant = held.grant
    worth = from_nanos(grant.amount)
    price = EXACT.multiply(worth, grant.cost_basis) if grant.cost_basis is not None else worth
    return {
        "id": order_id or grant.id,
        "customerId": grant.customer,
        "productId": PRODUCT,
        "startTimeInSeconds": epoch_seconds(grant.effective_at),
        "endTimeInSeconds": epoch_seconds(grant.expires_at) if grant.expires_at else None,
        "prepaidOfferVersion": -1,
        "prepaidPrice": price.quantize(Decimal(1).scaleb(-9), ROUND_HALF_UP, EXACT),
        "originalWorth": worth,
        "remainingWorth": from_nanos(held.remaining),
        "externalPayment": True,
        "recurrenceFrequency": None,
        "grantId": grant.id,
    }


def wallet_answer(customer: str, currency: str, cards: Sequence[HeldGrant]) -> dict[str, Any]:
    """What a customer has paid in advance and not used."""
    return {
        "creditUnit": currency,
        "key": {"customerId": customer, "productId": PRODUCT},
        "prepaidCards": [prepaid_answer(card) for card in cards],
    }


def invoice_answer(
    invoice: Document, plan: str, status: str, timezone: str, prepaid_left: Decimal
) -> dict[str, Any]:
    """An invoice as they answer one. `status`: open, grace_period or price_locked."""
    start = utc_time(invoice["period"]["start"])
    local = start.astimezone(ZoneInfo(timezone))
    total = max(Decimal(0), Decimal(invoice["total"]))
    payment = "pre_payment" if status == "open" else "unknown" if total else "not_needed"
    return {
        "invoiceKey": {
            "customerId": invoice["customer"],
            "productId": PRODUCT,
            "productPlanId": plan,
            "year": local.year,
            "month": local.month,
            "day": local.day,
        },
        "invoiceId": invoice["id"],
        "invoiceNumber": invoice["number"],
        "invoiceStartTimeInSeconds": epoch_seconds(start),
        "invoiceEndTimeInSeconds": epoch_seconds(utc_time(invoice["period"]["end"])),
        "invoicePriceStatus": status,
        "paymentStatus": payment,
        "productItemInvoices": [
            _item(line) for line in invoice["lines"] if line["type"] == "usage"
        ],
        "totalBill": _bill(invoice, total),
        "availablePrepaidLeft": prepaid_left,
        "creditUnit": invoice["currency"],
    }


def _item(line: Document) -> dict[str, Any]:
    return {
        "meterApiName": line["counts"]["event_type"] if "counts" in line else line["meter"],
        "productItemName": line["description"],
        "quantity": Decimal(line["quantity"]),
        "included": Decimal(line["included"]),
        "unit": line["unit"],
        "totalPrice": Decimal(line["unit_amount"]),
    }


def _bill(invoice: Document, total: Decimal) -> dict[str, Any]:
    def sum_of(*types: str) -> Decimal:
        amounts = (Decimal(line["amount"]) for line in invoice["lines"] if line["type"] in types)
        return sum(amounts, Decimal(0))

    return {
        "itemPrice": sum_of("usage", "overage"),
        "fixPrice": sum_of("fee"),
        "prepaid": -sum_of("credits_applied"),
        "totalPrice": total,
    }
