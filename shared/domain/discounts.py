"""What takes something off an invoice: coupons, then the credit that earlier invoices left over."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from shared.domain.accounts import Account
from shared.domain.carrying import carry
from shared.domain.catalogue import Catalogue
from shared.domain.coupons import AppliedCoupon, Discount
from shared.domain.customers import Subscription
from shared.domain.invoices import Invoice, Line
from shared.domain.money import EXACT, format_quantity, from_nanos, round_to_minor, to_nanos

# What a plan costs. Packs are sold at their own price, and credit that is carried is money.
DISCOUNTED = ("fee", "proration", "usage", "credits_applied", "overage", "minimum", "discount")


def reduced(invoice: Invoice, terms: Subscription) -> tuple[Invoice, Subscription]:
    """The invoice less what the customer's coupons and credit take off, and the terms after it."""
    coupons = {applied.id: applied for applied in terms.coupons}
    # Percentages go first, so that what they take off does not depend on the amounts.
    in_turn = sorted(terms.coupons, key=lambda applied: applied.coupon.percentage is None)
    for applied in in_turn:
        invoice, coupons[applied.id] = _discount(invoice, applied)
    carried, credit = carry(invoice, terms.credit_nanos)
    return carried, replace(terms, credit_nanos=credit, coupons=tuple(coupons.values()))


def first_period(account: Account, catalogue: Catalogue) -> int:
    """The billing period that a coupon which is applied now is for first.

    It is the current one, unless its fee was charged already: then what is given back of that fee
    would be discounted, and the fee was not.
    """
    current = account.current.period
    # The fee is charged when the period before is closed, unless it was due at once.
    pending = account.phases[0].period < current
    fees = [
        phase.plan_in(catalogue).fee_nanos
        for phase in account.phases
        if phase.period == current and (phase.fee_invoiced or not pending)
    ]
    return current + 1 if any(fees) else current


@dataclass(frozen=True, slots=True)
class _Group:
    """Lines of one plan in one billing period, with their numbers."""

    period: int
    plan: str
    lines: tuple[tuple[int, Line], ...]

    @property
    def amount(self) -> int:
        return sum(line.amount for _, line in self.lines)

    @property
    def late(self) -> bool:
        return any(line.late for _, line in self.lines)


def _groups(lines: Sequence[Line]) -> Iterator[_Group]:
    found: dict[tuple[int, str], list[tuple[int, Line]]] = {}
    for number, line in enumerate(lines, 1):
        if line.kind in DISCOUNTED:
            found.setdefault((line.period, line.plan), []).append((number, line))
    for (period, plan), numbered in sorted(found.items(), key=lambda group: group[0][0]):
        yield _Group(period, plan, tuple(numbered))


def _discount(invoice: Invoice, applied: AppliedCoupon) -> tuple[Invoice, AppliedCoupon]:
    """The invoice with the coupon's lines, one for each period and plan, and what is left of it."""
    for group in _groups(invoice.lines):
        if not applied.coupon.prices(group.plan, invoice.currency):
            continue
        if not applied.covers(group.period):
            continue
        nanos = _off(invoice, applied, group)
        if not nanos or not (applied.started or nanos > 0):
            continue
        line = _line(invoice, applied, group, nanos)
        invoice = replace(invoice, lines=(*invoice.lines, line))
        applied = _after(applied, group.period, -line.amount)
    if invoice.kind == "period":
        # What is billed of a closed period is late usage, which only budgets pay for.
        open_ones = {p: n for p, n in applied.taken.items() if p == 0 or p > invoice.period}
        applied = replace(applied, taken=open_ones)
    return invoice, applied


def _off(invoice: Invoice, applied: AppliedCoupon, group: _Group) -> int:
    """What the coupon takes off, in nanos; below zero for its part of what is given back."""
    percentage = applied.coupon.percentage
    if percentage is not None:
        return to_nanos(EXACT.multiply(from_nanos(group.amount), percentage) / 100)
    if group.late and not applied.coupon.is_budget:
        return 0
    due = sum(line.amount for line in invoice.lines)
    return max(0, min(applied.left(group.period), group.amount, due))


def _after(applied: AppliedCoupon, period: int, amount: int) -> AppliedCoupon:
    first = applied.first if applied.started else period
    if applied.coupon.percentage is not None:
        return replace(applied, started=True, first=first)
    purse = applied.purse(period)
    taken = {**applied.taken, purse: applied.taken.get(purse, 0) + amount}
    return replace(applied, started=True, first=first, taken=taken)


def _line(invoice: Invoice, applied: AppliedCoupon, group: _Group, nanos: int) -> Line:
    coupon, last = applied.coupon, group.lines[-1][1]
    percentage = coupon.percentage
    off = "" if percentage is None else f", {format_quantity(percentage)} %"
    return Line(
        kind="discount",
        description=f"{coupon.name}{off}",
        amount=round_to_minor(-nanos, invoice.currency),
        start=min(line.start for _, line in group.lines),
        end=max(line.end for _, line in group.lines),
        plan=last.plan,
        plan_version=last.plan_version,
        unit=invoice.currency,
        unit_amount=-nanos,
        late=group.late,
        period=group.period,
        of=tuple(number for number, _ in group.lines),
        discount=Discount(applied.id, coupon, None if percentage else applied.left(group.period)),
    )
