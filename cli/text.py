"""Plain text for people: tables and invoices."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the last one to the right where it holds numbers."""
    cells = [list(headings), *[[printable(cell) for cell in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headings))]
    numbers = all(NUMBER.fullmatch(row[-1]) for row in cells[1:] if row[-1])
    lines = []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        if numbers:
            padded[-1] = row[-1].rjust(widths[-1])
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)


def invoice_text(invoice: Mapping[str, Any]) -> str:
    """The invoice as a person would check it: what was used, what it cost, what credits paid."""
    title = f"Invoice {invoice['number'] or '(upcoming)'}"
    period = f"{invoice['period']['start'][:10]} to {invoice['period']['end'][:10]}"
    heading = f"{title}   {invoice['customer']}   {period}   {invoice['status']}"
    rows = [
        [
            str(line["n"]),
            line["description"],
            line.get("quantity", ""),
            line.get("included", ""),
            f"{line['unit_amount']} {line['unit']}",
            line["amount"],
        ]
        for line in invoice["lines"]
    ]
    rows.append(["", "Total", "", "", invoice["currency"], invoice["total"]])
    headings = ["", "description", "quantity", "included", "exact", invoice["currency"]]
    return f"{printable(heading)}\n{table(headings, rows)}"


def printable(text: object) -> str:
    """Text that cannot steer a terminal: whatever is not printable is shown as a question mark."""
    return "".join(c if c.isprintable() else "?" for c in str(text))
