"""Credit that an invoice leaves over: it stays the customer's, and pays for later invoices."""

from dataclasses import replace

from shared.domain.invoices import Invoice, Line, LineKind


def carry(invoice: Invoice, credit: int) -> tuple[Invoice, int]:
    """The invoice with the line that carries credit from or to it, and the credit left after it.

    `credit` is what earlier invoices left over, in nanos of the currency. It takes off as much as
    the invoice comes to; an invoice below zero comes to nothing, and adds what it is below.
    """
    due = sum(line.amount for line in invoice.lines)
    if due < 0:
        line = _line(invoice, "carried_forward", "Credit carried forward", -due)
    elif used := min(due, credit):
        line = _line(invoice, "brought_forward", "Credit brought forward", -used)
    else:
        return invoice, credit
    return replace(invoice, lines=(*invoice.lines, line)), credit + line.amount


def _line(invoice: Invoice, kind: LineKind, description: str, amount: int) -> Line:
    last = invoice.lines[-1]
    return Line(
        kind=kind,
        description=description,
        amount=amount,
        start=invoice.start,
        end=invoice.end,
        plan=last.plan,
        plan_version=last.plan_version,
        unit=invoice.currency,
        unit_amount=amount,
    )
