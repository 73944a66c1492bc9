"""Invoices on the wire.

An invoice is answered as the very document that was stored and hashed; the models here describe it.
"""

from typing import Any

from shared.domain.catalogue import Aggregation
from shared.domain.invoices import InvoiceKind, InvoiceStatus, LineKind
from shared.wire.common import DecimalText, Time, WireModel
from shared.wire.subscriptions import SpanView


class LineEventsView(WireModel):
    """The events behind a usage line, frozen: how many, their sum, and their checksum."""

    count: int
    sum: DecimalText
    checksum: str


class BilledEventsView(LineEventsView):
    """`amounts` is the sum of what single events cost, where the price is by event."""

    amounts: DecimalText | None = None


class StampsView(WireModel):
    """The catalogue versions stamped on the events that count: in [since, until)."""

    since: int
    until: int


class CountsView(WireModel):
    """Which events of the service period a line counts: what its meter reads of them.

    Usage that one of `where_not` matches is counted on an earlier line of the meter.
    """

    event_type: str
    aggregation: Aggregation
    value: str | None
    dimensions: list[str]
    filter: dict[str, list[str]]
    catalogue: StampsView
    where_not: list[dict[str, str]]


class BeforeView(BilledEventsView):
    """What was billed earlier of the totals that late usage continues."""

    included: DecimalText


class LineCouponView(WireModel):
    """The coupon of a discount line: a percentage, or what was `left` of an amount before it."""

    id: str
    key: str
    version: int
    percentage: DecimalText | None = None
    left: DecimalText | None = None


class InvoiceLineView(WireModel):
    """One line. `amount` is in the invoice's currency, `unit_amount` exact in `unit`.

    Of a fee, `quantity` is the number of seats. Of a usage line, it is all usage and `included`
    the part that allowances took; `price` is what it was billed at, in the catalogue's shape.
    A true-up (`minimum`) and a `discount` are computed from the earlier lines that `of` names, and
    are of one billing period, which is not always that of the invoice.
    """

    n: int
    type: LineKind
    description: str
    amount: DecimalText
    unit: str
    unit_amount: DecimalText
    service_period: SpanView
    plan: str
    plan_version: int
    late: bool
    phase: int | None = None
    meter: str | None = None
    where: dict[str, str] | None = None
    quantity: DecimalText | None = None
    included: DecimalText | None = None
    price: dict[str, Any] | None = None
    events: BilledEventsView | None = None
    counts: CountsView | None = None
    before: BeforeView | None = None
    unit_value: DecimalText | None = None
    of: list[int] | None = None
    period_number: int | None = None
    minimum: DecimalText | None = None
    coupon: LineCouponView | None = None


class InvoiceView(WireModel):
    """A draft, or a finalized invoice, which has a number and never changes.

    `total` is the sum of the lines; what is below zero is carried forward to the next invoice.
    `hash` is the SHA-256 of the canonical document without it.
    """

    id: str
    number: str | None
    customer: str
    kind: InvoiceKind
    status: InvoiceStatus
    period: SpanView
    period_number: int
    currency: str
    lines: list[InvoiceLineView]
    total: DecimalText
    finalized_at: Time | None
    hash: str | None = None


class UpcomingInvoiceView(InvoiceView):
    """The draft of the current period; `closing` are those of ended ones, oldest first.

    An ended period's draft is finalized when its grace is over.
    """

    closing: list[InvoiceView]
