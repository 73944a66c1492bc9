"""Minimum commitments: what a billing period's usage falls short of them is charged at its end."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.accounts import Account, Phase
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.customers import Subscription
from shared.domain.invoices import Invoice, Line, overage_value
from shared.domain.money import (
    EXACT,
    format_money,
    from_nanos,
    is_currency,
    round_to_minor,
    to_nanos,
)
from shared.domain.periods import period_containing, prorate


def with_true_up(
    invoice: Invoice, account: Account, subscription: Subscription, catalogue: Catalogue
) -> Invoice:
    """A period's invoice with a line for what its usage falls short of its minimum, if it does.

    The phases on plans with a minimum are taken together, each with its share by the second. Late
    usage counts towards the minimum of the period that it is billed with; where corrections make it
    a credit in all, it counts for nothing, or the true-up would take that back.
    """
    phases = [p for p in account.phases if p.period == invoice.period]
    plans = [(phase, phase.plan_in(catalogue)) for phase in phases]
    committed = [(phase, plan) for phase, plan in plans if plan.minimum_nanos]
    if not committed:
        return invoice
    minimum = sum(
        prorate(plan.minimum_nanos, _seconds(phase), _whole_seconds(phases, plan, subscription))
        for phase, plan in committed
    )
    numbers = {phase.number for phase, _ in committed}
    lines = [
        _valued(line, catalogue, invoice.currency) if line.late or line.phase in numbers else line
        for line in invoice.lines
    ]
    counted = [
        (number, line)
        for number, line in enumerate(lines, 1)
        if (line.late or line.phase in numbers) and counts(line.kind, line.unit)
    ]
    spent = dict.fromkeys((False, True), 0)
    for _, line in counted:
        spent[line.late] += spend(line, invoice.currency)
    missing = minimum - spent[False] - max(0, spent[True])
    if missing <= 0:
        return invoice
    plan = committed[-1][1]
    true_up = Line(
        kind="minimum",
        description=f"True-up to the minimum of {format_money(minimum, invoice.currency)}",
        amount=round_to_minor(missing, invoice.currency),
        start=committed[0][0].start,
        end=committed[-1][0].end,
        plan=plan.key,
        plan_version=plan.version,
        unit=invoice.currency,
        unit_amount=missing,
        period=invoice.period,
        of=tuple(number for number, _ in counted),
        minimum=minimum,
    )
    return replace(invoice, lines=(*lines, true_up))


def counts(kind: str, unit: str) -> bool:
    """Whether a usage's line of this kind, in this unit, says what the usage is worth in money.

    What credits paid for counts: in money by the usage's price, in credits by their value.
    """
    return kind == "overage" or kind == ("usage" if is_currency(unit) else "credits_applied")


def spend(line: Line, currency: str) -> int:
    """What a counted line says that usage is worth, in nanos, rounded as an amount is."""
    if line.kind == "credits_applied":
        return worth(-line.unit_amount, line.unit_value or Decimal(0), currency)
    return line.amount


def worth(nanos: int, unit_value: Decimal, currency: str) -> int:
    """Credits in money, in nanos."""
    return round_to_minor(to_nanos(EXACT.multiply(from_nanos(nanos), unit_value)), currency)


def _valued(line: Line, catalogue: Catalogue, currency: str) -> Line:
    """The line of drawn credits with what one was worth; where it had no value, nothing."""
    if line.kind != "credits_applied" or is_currency(line.unit):
        return line
    unit = catalogue.units[line.unit]
    has_value = any(value.currency == currency for value in unit.values)
    value = overage_value(unit, line.start, currency) if has_value else Decimal(0)
    return replace(line, unit_value=value)


def _whole_seconds(phases: list[Phase], plan: Plan, subscription: Subscription) -> int:
    """How long the whole period is that the plan's minimum is for."""
    first, last = phases[0].start, phases[-1].end
    # A change of rhythm that ended the period moved the anchor; the period began at a boundary.
    anchor = subscription.anchor if subscription.anchor < last else first
    timezone = subscription.timezone
    start, end = period_containing(plan.interval, plan.period, anchor, timezone, first)
    return int((end - start).total_seconds())


def _seconds(phase: Phase) -> int:
    return int((phase.end - phase.start).total_seconds())
