"""Planted bugs in closing, late usage and invoices."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shared.domain import closing, folding, invoices, placing
from shared.domain.accounts import Account
from shared.domain.invoices import Invoice
from shared.services import aggregate, billing_run, finalizing
from shared.services.changes import PutClosedPhase, PutLateUsage
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.mutants.planting import Patch, mutant


@mutant
def late_line_forgotten() -> Sequence[Patch]:
    right = closing.period_invoice

    def wrong(account: Account, *arguments: Any, **options: Any) -> Invoice:
        return right(replace(account, late={}), *arguments, **options)

    return [(closing, "period_invoice", wrong)]


@mutant
def late_event_not_named() -> Sequence[Patch]:
    changes = aggregate.Aggregator._changes

    def wrong(self: Any, step: Any, terms: Any) -> Any:
        return [c for c in changes(self, step, terms) if not isinstance(c, PutLateUsage)]

    return [(aggregate.Aggregator, "_changes", wrong)]


@mutant
def late_usage_joins_the_open_period() -> Sequence[Patch]:
    def wrong(account: Account, closed: Any, at: Any) -> Any:
        for phase in reversed(account.phases):
            if at >= phase.start:
                return phase, None
        return account.phases[0], None

    return [(folding, "find_phase", wrong), (placing, "find_phase", wrong)]


@mutant
def late_usage_priced_from_zero() -> Sequence[Patch]:
    add = folding.add_totals

    def wrong(billed: Any, late: Any) -> Any:
        return replace(add(billed, late), amount=billed.amount)

    return [(folding, "add_totals", wrong)]


@mutant
def closed_phase_moved_on() -> Sequence[Patch]:
    """Late usage moves the frozen totals as well."""
    right = closing.close_period

    def wrong(*arguments: Any, **options: Any) -> Any:
        outcome = right(*arguments, **options)
        moved = tuple(replace(c, phase=replace(c.phase, totals=c.billed)) for c in outcome.closed)
        return replace(outcome, closed=moved)

    return [(billing_run, "close_period", wrong)]


@mutant
def period_finalized_twice() -> Sequence[Patch]:
    right = finalizing.finalize

    def wrong(store: Any, customer: Any, invoice: Invoice, now: Any) -> Any:
        store.commit([right(store, customer, replace(invoice, id=invoice.id + "x"), now)])
        return right(store, customer, invoice, now)

    return [(billing_run, "finalize", wrong)]


def _numbered(number: Callable[[int], int]) -> Patch:
    right = finalizing.finalize

    def wrong(*arguments: Any, **options: Any) -> Any:
        change = right(*arguments, **options)
        change.document["number"] = f"INV-{number(change.number):06d}"  # type: ignore[index]
        return change

    return billing_run, "finalize", wrong


@mutant
def invoice_number_reused() -> Sequence[Patch]:
    return [_numbered(lambda number: max(1, number - 1))]


@mutant
def invoice_number_skipped() -> Sequence[Patch]:
    return [_numbered(lambda number: number + 1)]


@mutant
def finalized_invoice_rewritten() -> Sequence[Patch]:
    """Closing a period corrects the customer's invoices of before."""
    make = MemoryBillingStore._make

    def wrong(self: MemoryBillingStore, change: Any) -> None:
        make(self, change)
        if isinstance(change, PutClosedPhase):
            for document_id in self.pointers.get(change.customer, {}).values():
                old = self.documents[document_id]
                self.documents[document_id] = {**old, "status": "corrected"}

    return [(MemoryBillingStore, "_make", wrong)]


@mutant
def line_rounded_down() -> Sequence[Patch]:
    def wrong(nanos: int, currency: str) -> int:
        step = 10 ** (9 - invoices_places(currency))
        return nanos // step * step

    return [(invoices, "round_to_minor", wrong)]


def invoices_places(currency: str) -> int:
    """Decimals of the currencies that seeds use."""
    return {"USD": 2, "JPY": 0, "BHD": 3}[currency]


@mutant
def total_rounded_from_exact_lines() -> Sequence[Patch]:
    """The total is the rounded sum, not the sum of what each line shows."""

    def wrong(self: Invoice) -> int:
        exact = sum(line.unit_amount for line in self.lines if line.unit == self.currency)
        return max(0, exact)

    return [(Invoice, "total", property(wrong))]


@mutant
def overage_at_the_newest_value() -> Sequence[Patch]:
    def wrong(unit: Any, _: Any, currency: str) -> Decimal:
        return [v for v in unit.values if v.currency == currency][-1].value

    return [(invoices, "overage_value", wrong)]
