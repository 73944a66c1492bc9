"""Replays of draft plans on the wire."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field

from shared.domain.catalogue import Plan
from shared.domain.money import EXACT, format_money, from_nanos
from shared.services.audience import Question
from shared.services.replay import Compared, LeftOut, Outcome, Why
from shared.wire.common import DecimalText, Slug, Time, WireModel
from shared.wire.plans import PlanBody
from shared.wire.usage import Customers

DRAFT = "(draft)"  # No published plan has such a key: slugs have no parentheses.


class ReplayBody(WireModel):
    """A draft plan, and over whose past it is replayed: the phases that begin in [`from`, `to`).

    Without `customers` it is all customers', of the `segment` if one is named, page by page.
    """

    plan: PlanBody
    customers: Customers = ()
    segment: Slug | None = None
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str, Field(max_length=2048)] | None = None

    def to_plan(self) -> Plan:
        """The draft."""
        return self.plan.to_plan(DRAFT)

    def to_question(self, cursor: str | None) -> Question:
        """Which customers, from where on."""
        return Question(self.customers, self.segment, self.limit, cursor)


class OutcomeView(WireModel):
    """What phases come to under a plan: `revenue` is all of it, `margin` revenue less cost.

    Usage is after the credits that the plan includes; `minimums` are what it falls short of them.
    """

    fees: str
    usage: str
    minimums: str
    revenue: str
    margin: DecimalText


class CostView(WireModel):
    """An exact cost in a currency."""

    currency: str
    amount: DecimalText


class ComparedView(WireModel):
    """One customer's phases, replayed under its own plans and under the draft.

    `difference` is what it would have paid more. `recounted`: the usage replayed is, event for
    event, what was billed. `costs` are in all currencies; only that of the plan's is in the margin.
    """

    customer: str
    phases: int
    start: Time
    end: Time
    recounted: bool
    before: OutcomeView
    after: OutcomeView
    difference: str
    costs: list[CostView]


class LeftOutView(WireModel):
    """A customer that was not replayed.

    `no-phase`: none begins in the time asked about. `other-interval`, `other-currency`: the draft
    could not have taken its plan's place. `too-much`: it has more usage than one answer may read;
    ask about a shorter time. `unratable`: its usage cannot be priced by one of the plans.
    """

    customer: str
    reason: Why


class TotalsView(WireModel):
    """All customers of the page together. Winners would have paid less, losers more."""

    before: OutcomeView
    after: OutcomeView
    difference: str
    winners: int
    losers: int


class ReplayView(WireModel):
    """A page of customers, those first who would have paid the least more; rows of pages add up."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    start: Annotated[Time, Field(serialization_alias="from")]
    end: Annotated[Time, Field(serialization_alias="to")]
    currency: str
    data: list[ComparedView]
    left_out: list[LeftOutView]
    totals: TotalsView
    next_cursor: str | None

    @classmethod
    def of(
        cls, body: ReplayBody, results: Sequence[Compared | LeftOut], next_cursor: str | None
    ) -> "ReplayView":
        """The page as it is shown."""
        currency = body.plan.currency
        found = [each for each in results if isinstance(each, Compared)]
        left_out = [each for each in results if isinstance(each, LeftOut)]
        found.sort(key=lambda each: (each.difference, each.customer))
        return cls(
            start=body.start,
            end=body.end,
            currency=currency,
            data=[_compared(each, currency) for each in found],
            left_out=[LeftOutView(customer=e.customer, reason=e.reason) for e in left_out],
            totals=_totals(found, currency),
            next_cursor=next_cursor,
        )


def _compared(compared: Compared, currency: str) -> ComparedView:
    cost = compared.costs.get(currency, Decimal(0))
    return ComparedView(
        customer=compared.customer,
        phases=compared.phases,
        start=compared.start,
        end=compared.end,
        recounted=compared.recounted,
        before=_outcome(compared.before, cost, currency),
        after=_outcome(compared.after, cost, currency),
        difference=format_money(compared.difference, currency),
        costs=[CostView(currency=c, amount=a) for c, a in sorted(compared.costs.items())],
    )


def _outcome(outcome: Outcome, cost: Decimal, currency: str) -> OutcomeView:
    return OutcomeView(
        fees=format_money(outcome.fees, currency),
        usage=format_money(outcome.usage, currency),
        minimums=format_money(outcome.minimums, currency),
        revenue=format_money(outcome.revenue, currency),
        margin=EXACT.subtract(from_nanos(outcome.revenue), cost),
    )


def _totals(found: Sequence[Compared], currency: str) -> TotalsView:
    before, after, cost = Outcome(), Outcome(), Decimal(0)
    for each in found:
        before, after = before.plus(each.before), after.plus(each.after)
        cost = EXACT.add(cost, each.costs.get(currency, Decimal(0)))
    return TotalsView(
        before=_outcome(before, cost, currency),
        after=_outcome(after, cost, currency),
        difference=format_money(after.revenue - before.revenue, currency),
        winners=sum(each.difference < 0 for each in found),
        losers=sum(each.difference > 0 for each in found),
    )
