"""The one public form of an invoice: what is shown, stored, hashed and handed out, byte by byte."""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.domain.accounts import Totals
from shared.domain.coupons import Discount
from shared.domain.events import canonical_json, time_text
from shared.domain.invoices import Invoice, Line, Scope
from shared.domain.money import EXACT, format_exact, format_money, format_quantity, mean
from shared.domain.prices import Price, price_values


def invoice_document(invoice: Invoice) -> dict[str, Any]:
    """The invoice as plain JSON values: amounts and quantities as decimal text."""
    return {
        "id": invoice.id,
        "number": invoice.number,
        "customer": invoice.customer,
        "kind": invoice.kind,
        "status": invoice.status,
        "period": {"start": time_text(invoice.start), "end": time_text(invoice.end)},
        "period_number": invoice.period,
        "currency": invoice.currency,
        "lines": [_line(n, line, invoice.currency) for n, line in enumerate(invoice.lines, 1)],
        "total": format_money(invoice.total, invoice.currency),
        "finalized_at": time_text(invoice.finalized_at) if invoice.finalized_at else None,
    }


def document_hash(document: Mapping[str, object]) -> str:
    """SHA-256 (hex) of the canonical document without its own `hash`: changes if anything does."""
    content = {key: value for key, value in document.items() if key != "hash"}
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def _line(number: int, line: Line, currency: str) -> dict[str, Any]:
    document: dict[str, Any] = {
        "n": number,
        "type": line.kind,
        "description": line.description,
        "amount": format_money(line.amount, currency),
        "unit": line.unit,
        "unit_amount": format_exact(line.unit_amount),
        "service_period": {"start": time_text(line.start), "end": time_text(line.end)},
        "plan": line.plan,
        "plan_version": line.plan_version,
        "late": line.late,
    }
    if line.meter is not None:
        document |= {"phase": line.phase, "meter": line.meter, "where": dict(line.where)}
    if line.kind in ("fee", "proration"):
        document["quantity"] = format_quantity(line.quantity)
    if line.kind == "usage":
        document |= {
            "quantity": format_quantity(_quantity(line)),
            "included": format_quantity(line.included),
            "price": price_document(line.price) if line.price else None,
            "events": _tally(line.count, line.quantity, line.checksum),
        }
        if line.event_amounts is not None:
            document["events"]["amounts"] = format_exact(line.event_amounts)
    if line.scope is not None:
        document["counts"] = _scope(line.scope)
    if line.before is not None:
        before = line.before
        included = {"included": format_quantity(before.covered)}
        document["before"] = _tally(before.count, before.value, before.checksum) | included
        if line.event_amounts is not None:
            document["before"]["amounts"] = format_exact(before.event_amounts)
    if line.unit_value is not None:
        document["unit_value"] = format_quantity(line.unit_value)
    return document | _derivation(line, currency)


def _quantity(line: Line) -> Decimal:
    """How much usage the line is for: of an average, what late usage changes it by."""
    if line.scope is None or line.scope.meter.aggregation != "average":
        return line.quantity
    before = line.before or Totals()
    value = EXACT.add(before.value, line.quantity)
    after = mean(value, before.count + line.count)
    return EXACT.subtract(after, mean(before.value, before.count))


def _derivation(line: Line, currency: str) -> dict[str, Any]:
    """What a line is computed from, if it is from earlier lines.

    A coupon takes off a percentage of them, or at most what was `left` of an amount.
    """
    if line.kind not in ("minimum", "discount"):
        return {}
    document: dict[str, Any] = {"of": list(line.of), "period_number": line.period}
    if line.minimum is not None:
        document["minimum"] = format_exact(line.minimum)
    if line.discount is not None:
        document["coupon"] = _coupon(line.discount, currency)
    return document


def _coupon(discount: Discount, currency: str) -> dict[str, Any]:
    coupon = discount.coupon
    document = {"id": discount.applied, "key": coupon.key, "version": coupon.version}
    if coupon.percentage is not None:
        return {**document, "percentage": format_quantity(coupon.percentage)}
    return {**document, "left": format_money(discount.left or 0, currency)}


def _tally(count: int, value: Decimal, checksum: int) -> dict[str, Any]:
    return {"count": count, "sum": format_quantity(value), "checksum": f"{checksum:016x}"}


def _scope(scope: Scope) -> dict[str, Any]:
    """What tells the events of a line: nothing else than this and the line itself is needed."""
    meter = scope.meter
    return {
        "event_type": meter.event_type,
        "aggregation": meter.aggregation,
        "value": meter.value,
        "dimensions": list(meter.dimensions),
        "filter": {name: list(values) for name, values in meter.filter.items()},
        "catalogue": {"since": meter.since, "until": scope.until},
        "where_not": [dict(where) for where in scope.where_not],
    }


def price_document(price: Price) -> dict[str, Any]:
    """The price in the catalogue's public shape: the snapshot that a line was billed at."""
    return _as_text(price_values(price))


def _as_text(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with their decimals as text, those inside tiers, too."""
    return {
        key: [_as_text(tier) for tier in value]
        if key == "tiers"
        else format_quantity(value)
        if isinstance(value, Decimal)
        else value
        for key, value in values.items()
    }
