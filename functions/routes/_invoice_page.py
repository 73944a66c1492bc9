"""An invoice as a page that a person can read and print."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

# The page is text and one style; nothing is loaded, run or framed.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Invoice {number}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .4rem .6rem; border-bottom: 1px solid #ccc }}
.amount {{ text-align: right; font-variant-numeric: tabular-nums }}
</style>
</head>
<body>
<h1>Invoice {number}</h1>
<p>Customer {customer}<br>Period {start} to {end}<br>{status} {finalized_at}</p>
<table>
<thead><tr><th>Description</th><th>Service period</th><th class="amount">Quantity</th>
<th class="amount">{currency}</th></tr></thead>
<tbody>
{lines}
</tbody>
<tfoot><tr><th colspan="3">Total</th><th class="amount">{total}</th></tr></tfoot>
</table>
</body>
</html>
"""


def invoice_page(document: Mapping[str, Any]) -> str:
    """The page of an invoice document; every value is escaped."""
    texts = {
        name: document[name] or ""
        for name in ("number", "customer", "status", "finalized_at", "currency", "total")
    }
    escaped = {name: escape(str(text)) for name, text in texts.items()}
    start, end = _span(document["period"])
    lines = "\n".join(map(_row, document["lines"]))
    return _PAGE.format(**escaped, start=start, end=end, lines=lines)


def _row(line: Mapping[str, Any]) -> str:
    start, end = _span(line["service_period"])
    cells: Iterable[str] = (
        f"<td>{escape(line['description'])}</td>",
        f"<td>{start} to {end}</td>",
        f'<td class="amount">{escape(_quantity(line))}</td>',
        f'<td class="amount">{escape(line["amount"])}</td>',
    )
    return f"<tr>{''.join(cells)}</tr>"


def _quantity(line: Mapping[str, Any]) -> str:
    """How much the line is for: usage, and credits with what one of them is worth."""
    if line["type"] == "usage":
        return str(line["quantity"])
    if line["type"] == "overage":
        return f"{line['unit_amount']} {line['unit']} × {line['unit_value']}"
    return f"{line['unit_amount']} {line['unit']}" if line["type"] == "credits_applied" else ""


def _span(period: Mapping[str, str]) -> tuple[str, str]:
    return escape(period["start"]), escape(period["end"])
