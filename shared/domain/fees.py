"""Fees: charged in advance for a span of a plan, and credited where it is cut short."""

from dataclasses import dataclass
from decimal import Decimal

from shared.domain.catalogue import Plan
from shared.domain.invoices import Line, LineKind
from shared.domain.money import round_to_minor
from shared.domain.periods import Span


@dataclass(frozen=True, slots=True)
class Fee:
    """A plan's fee for a span, in advance, for a number of seats.

    `period` is the billing period that it is of. `nanos` may be negative: a proration's credit.
    """

    plan: Plan
    span: Span
    period: int
    nanos: int
    quantity: int = 1
    kind: LineKind = "fee"
    description: str = ""

    def line(self) -> Line:
        """The invoice line of the fee."""
        return Line(
            kind=self.kind,
            description=self.description or f"{self.plan.name} fee",
            amount=round_to_minor(self.nanos, self.plan.currency),
            start=self.span.start,
            end=self.span.end,
            plan=self.plan.key,
            plan_version=self.plan.version,
            unit=self.plan.currency,
            unit_amount=self.nanos,
            quantity=Decimal(self.quantity),
            period=self.period,
        )


def period_fee(plan: Plan, span: Span, period: int, quantity: int) -> Fee | None:
    """The fee in force for the span, prorated by the second; None for a plan without one."""
    if not plan.fee_nanos:
        return None
    return Fee(plan, span, period, span.share(plan.fee_nanos), quantity)
