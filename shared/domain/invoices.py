"""Invoices: lines computed from frozen totals, rounded once each, summed.

The same function makes the real-time upcoming invoice and the final one: an invoice is a function
of the account, the catalogue and the terms of the next period, never of when it is looked at.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.catalogue import Catalogue, CreditUnit, Meter, Plan
from shared.domain.coupons import Discount
from shared.domain.errors import RatingError
from shared.domain.events import canonical_json
from shared.domain.money import (
    EXACT,
    from_nanos,
    is_currency,
    round_to_minor,
    to_nanos,
)
from shared.domain.prices import Price, by_event

LineKind = Literal[
    "fee",
    "proration",
    "usage",
    "credits_applied",
    "overage",
    "minimum",
    "discount",
    "add_on",
    "carried_forward",
    "brought_forward",
]
InvoiceKind = Literal["start", "change", "period", "add_on"]
InvoiceStatus = Literal["draft", "finalized"]
# Invoices of test clocks have numbers of their own.
TEST_SERIES = "TEST-"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which events of its phase a usage line counts, to be told without the catalogue.

    `until` is the catalogue version from which stamped events are not among them: the meter was
    archived, or the line was made. `where_not` are the rate cards that take usage before this one.
    """

    meter: Meter
    until: int
    where_not: tuple[Mapping[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """One line. `amount` is in nanos of the invoice's currency, rounded to its minor unit.

    For fees, `quantity` is the number of seats. For usage, it is all usage, `included` the part
    that allowances took, and `unit_amount` the exact amount in nanos of `unit` (a currency or a
    credit unit). `count`, `quantity` and `checksum` are frozen: the events behind the line, told by
    `scope`, can be recounted against them. `before` is what was billed of the same totals earlier,
    on a line of late usage. `event_amounts` is there where the price is by event: the sum of what
    each came to, in nanos. `period` is the billing period that the line is of, whichever invoice it
    is on. `of` are the numbers of the earlier lines that a line is computed from: a true-up from
    them and the prorated `minimum` in nanos, a `discount` from what they come to.
    """

    kind: LineKind
    description: str
    amount: int
    start: datetime
    end: datetime
    plan: str
    plan_version: int
    unit: str
    unit_amount: int
    late: bool = False
    phase: int | None = None
    meter: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    price: Price | None = None
    count: int = 0
    quantity: Decimal = Decimal(0)
    included: Decimal = Decimal(0)
    checksum: int = 0
    event_amounts: int | None = None
    scope: Scope | None = None
    before: Totals | None = None
    unit_value: Decimal | None = None
    period: int = 0
    of: tuple[int, ...] = ()
    minimum: int | None = None
    discount: Discount | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """A draft until it is finalized, which gives it its number; from then on it never changes."""

    id: str
    customer: str
    kind: InvoiceKind
    period: int
    start: datetime
    end: datetime
    currency: str
    lines: tuple[Line, ...]
    status: InvoiceStatus = "draft"
    number: str | None = None
    finalized_at: datetime | None = None

    @property
    def total(self) -> int:
        """The sum of the lines; what is below zero is carried forward."""
        return max(0, sum(line.amount for line in self.lines))


def invoice_id(customer: str, kind: InvoiceKind, reference: str) -> str:
    """One id, for ever, for a customer's invoice of a kind about a period or a change."""
    identity = canonical_json([customer, kind, reference])
    return "inv_" + hashlib.sha256(identity.encode()).hexdigest()[:24]


def period_invoice(
    account: Account,
    period: int,
    closed: Sequence[ClosedPhase],
    *,
    catalogue: Catalogue,
    next_fee: Line | None,
    currency: str,
) -> Invoice:
    """The invoice of a billing period: its usage, late usage of closed ones, the next fee.

    Late usage is on the invoice of the oldest open period, which is the next to be finalized.
    """
    phases = [p for p in account.phases if p.period == period]
    lines: list[Line] = []
    for phase in phases:
        lines += phase_lines(phase, phase.totals, catalogue)
    by_number = {c.phase.number: c for c in closed}
    late_totals = account.late if period == account.phases[0].period else {}
    for number, totals in sorted(late_totals.items()):
        late = phase_lines(by_number[number].phase, totals, catalogue, by_number[number].billed)
        lines += [
            replace(line, late=True, description=f"{line.description} (late)") for line in late
        ]
    if next_fee is not None:
        lines.append(next_fee)
    return Invoice(
        id=invoice_id(account.customer, "period", str(period)),
        customer=account.customer,
        kind="period",
        period=period,
        start=phases[0].start,
        end=phases[-1].end,
        currency=currency,
        lines=tuple(lines),
    )


def phase_lines(
    phase: Phase,
    totals: Sequence[Totals],
    catalogue: Catalogue,
    billed: Sequence[Totals] = (),
) -> list[Line]:
    """The lines of a phase's rate cards: usage, the credits applied, the overage of credits.

    `billed` are the totals that late usage continues.
    """
    plan = phase.plan_in(catalogue)
    lines: list[Line] = []
    for index, total in enumerate(totals):
        if total != Totals():
            before = billed[index] if billed else None
            lines += _rate_lines(phase, plan, index, total, before=before, catalogue=catalogue)
    return lines


def _scope(plan: Plan, index: int, catalogue: Catalogue) -> Scope:
    """Which events the plan's rate card takes."""
    meter = catalogue.meters[plan.rate_cards[index].meter]
    made = catalogue.version + 1
    earlier = [rate.where for rate in plan.rate_cards[:index] if rate.meter == meter.key]
    return Scope(meter, min(meter.archived_since or made, made), tuple(earlier))


def _rate_lines(
    phase: Phase,
    plan: Plan,
    index: int,
    total: Totals,
    *,
    before: Totals | None,
    catalogue: Catalogue,
) -> Iterable[Line]:
    rate = plan.rate_cards[index]
    in_currency = is_currency(rate.unit)
    names = ", ".join(f"{k} {v}" for k, v in sorted(rate.where.items()))
    label = f"{rate.meter} ({names})" if names else rate.meter
    usage = Line(
        kind="usage",
        description=label,
        amount=round_to_minor(total.amount, plan.currency) if in_currency else 0,
        start=phase.start,
        end=phase.end,
        plan=plan.key,
        plan_version=plan.version,
        unit=rate.unit,
        unit_amount=total.amount,
        phase=phase.number,
        meter=rate.meter,
        where=tuple(sorted(rate.where.items())),
        price=rate.price,
        count=total.count,
        quantity=total.value,
        included=total.covered,
        checksum=total.checksum,
        event_amounts=total.event_amounts if by_event(rate.price) else None,
        scope=_scope(plan, index, catalogue),
        before=before,
        period=phase.period,
    )
    yield usage
    bare = replace(
        usage,
        price=None,
        count=0,
        quantity=Decimal(0),
        included=Decimal(0),
        checksum=0,
        event_amounts=None,
        scope=None,
        before=None,
    )
    if total.drawn:
        credit = -round_to_minor(total.drawn, plan.currency) if in_currency else 0
        yield replace(
            bare,
            kind="credits_applied",
            description=f"{label}: credits applied",
            amount=credit,
            unit_amount=-total.drawn,
        )
    if total.overage and not in_currency:
        yield _overage_line(bare, plan, catalogue.units[rate.unit], total.overage, label)


def _overage_line(bare: Line, plan: Plan, unit: CreditUnit, overage: int, label: str) -> Line:
    """Credits that no grant covered, at the unit's value when the phase began."""
    value = Decimal(0)
    if plan.on_exhausted == "bill":
        value = overage_value(unit, bare.start, plan.currency)
    exact = to_nanos(EXACT.multiply(from_nanos(overage), value))
    return replace(
        bare,
        kind="overage",
        description=f"{label}: overage",
        amount=round_to_minor(exact, plan.currency),
        unit_amount=overage,
        unit_value=value,
    )


def overage_value(unit: CreditUnit, at: datetime, currency: str) -> Decimal:
    """One credit's worth at the instant; before the first dated value, that first value.

    Raises: RatingError if the unit has no value in the currency.
    """
    value = unit.value_at(at, currency)
    if value is not None:
        return value
    dated = [v for v in unit.values if v.currency == currency]
    if not dated:
        raise RatingError(f"credit unit {unit.key} has no value in {currency}")
    return dated[0].value
