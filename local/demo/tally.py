"""What the demo must come to, worked out from its events by arithmetic of its own.

Nothing here is shared with the system that it checks: exact fractions instead of integers and
decimals, whole stages instead of records, the catalogue as its file says it. Within a stage the
order in which events are applied is unknown, so only figures that do not depend on it are
expected: where several rates draw the same credits, what all of them drew together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from typing import Any

from local.demo.arithmetic import CENT, NANO, ZERO, price_of, rounded
from local.demo.scenario import Customer, Event, Scenario

CREDIT = "spark"


@dataclass(slots=True)
class Pool:
    """Something that usage draws: included units of a meter, or credits."""

    unit: str
    left: Fraction
    order: tuple[int, bool]  # priority, then what expires before what does not
    expires_at: datetime | None = None


@dataclass(slots=True)
class Card:
    """One rate of a plan and what was used under it."""

    meter: str
    where: dict[str, str]
    unit: str
    price: Mapping[str, Any] | None
    count: int = 0
    value: Fraction = ZERO
    covered: Fraction = ZERO
    amount: Fraction = ZERO

    def less(self, before: "Card") -> "Card":
        """What was used after `before`."""
        return replace(
            self,
            count=self.count - before.count,
            value=self.value - before.value,
            covered=self.covered - before.covered,
            amount=self.amount - before.amount,
        )


@dataclass(slots=True)
class Term:
    """A customer's time on a plan within one period. `drawn` counts credits."""

    plan: str
    start: datetime
    end: datetime
    cards: list[Card]
    drawn: Fraction = ZERO

    @property
    def owed(self) -> Fraction:
        """Credits that all usage cost."""
        return sum((c.amount for c in self.cards if c.unit == CREDIT), ZERO)

    def copy(self) -> "Term":
        """The term as it stands, untouched by later usage."""
        return replace(self, cards=[replace(card) for card in self.cards])


@dataclass(frozen=True, slots=True)
class Line:
    """A line of usage, or a fee where `meter` is empty. `exact` is in the unit."""

    plan: str
    meter: str
    where: str
    late: bool
    unit: str
    count: int
    quantity: Fraction
    included: Fraction
    exact: Fraction
    amount: Fraction


@dataclass(frozen=True, slots=True)
class ExpectedInvoice:
    """The lines but those of credits; and of credits what all lines together drew and overdrew.

    `overage_value` is what the plan bills for one credit.
    """

    kind: str
    lines: tuple[Line, ...]
    drawn: Fraction = ZERO
    overage: Fraction = ZERO
    overage_value: Fraction = ZERO


@dataclass(slots=True)
class Account:
    """One customer's figures, moved forward stage by stage.

    `ended` is the term of the period before, `billed` the same as its invoice froze it.
    """

    catalogue: Mapping[str, Any]
    customer: Customer
    period_start: datetime
    period_end: datetime
    usage: dict[tuple[str, str], Fraction] = field(default_factory=dict)  # by meter and model
    pools: list[Pool] = field(default_factory=list)
    term: Term = field(init=False)
    ended: Term | None = None
    billed: Term | None = None
    invoices: list[ExpectedInvoice] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Signs up on the free plan, changes to the wanted one at once, and buys credits."""
        customer = self.customer
        rest, whole = (
            int((self.period_end - start).total_seconds())
            for start in (customer.joins_at, self.period_start)
        )
        share = Fraction(rest, whole)
        for plan in dict.fromkeys(("free", customer.plan)):
            self._give(plan, self.period_end, share)
        self.term = self._start(customer.joins_at, self.period_end)
        if fee := self._fee(share):
            self.invoices.append(ExpectedInvoice("change", (fee,)))
        if purchase := customer.purchase:
            self.pools.append(Pool(CREDIT, Fraction(purchase.amount), (purchase.priority, True)))

    @property
    def credits_drawn(self) -> Fraction:
        """Credits drawn in all."""
        return self.term.drawn + (self.ended.drawn if self.ended else ZERO)

    @property
    def balance(self) -> Fraction:
        """Credits left in the period in force."""
        live = (p for p in self.pools if p.expires_at in (None, self.term.end))
        return sum((p.left for p in live if p.unit == CREDIT), ZERO)

    def use(self, events: Iterable[Event]) -> None:
        """Takes one stage's events of this customer, which must be of one period."""
        events = list(events)
        past = [e for e in events if e.occurred_at < self.term.start]
        if past and (self.ended is None or len(past) < len(events)):
            raise ValueError("a stage mixes periods: which usage draws what would be undefined")
        term = self.ended if past and self.ended else self.term
        before = term.owed
        for event in events:
            self._count(term, event)
        for card in term.cards:
            card.amount = price_of(card.price, card.value - card.covered)
        # Overage stays overage: only what came on top may draw what is there now.
        term.drawn += self._take(CREDIT, term.owed - before, term)

    def open_next(self, end: datetime) -> None:
        """The period ends; the next one gives what the plan includes."""
        self.ended = self.term
        self._give(self.customer.plan, end, Fraction(1))
        self.term = self._start(self.period_end, end)

    def close(self) -> None:
        """The grace period is over: the invoice is issued and what expired is gone."""
        invoice = self.upcoming()
        free = "converts_to" in self.catalogue["plans"][self.customer.plan]
        if any(line.amount for line in invoice.lines) if free else invoice.lines:
            self.invoices.append(invoice)
        if self.ended:
            self.billed = self.ended.copy()
        self.pools = [p for p in self.pools if p.expires_at in (None, self.term.end)]

    def upcoming(self) -> ExpectedInvoice:
        """The invoice of the oldest period that is not closed, as it stands."""
        term = self.ended if self.ended and not self.billed else self.term
        lines = [_line(term.plan, card) for card in term.cards if card.count or card.amount]
        drawn, owed = term.drawn, term.owed
        if self.ended and self.billed:
            pairs = zip(self.ended.cards, self.billed.cards, strict=True)
            late = [after.less(before) for after, before in pairs]
            lines += [_line(term.plan, c, late=True) for c in late if c.count or c.amount]
            drawn += self.ended.drawn - self.billed.drawn
            owed += self.ended.owed - self.billed.owed
        if fee := self._fee(Fraction(1)):
            lines.append(fee)
        value = Fraction(0)
        if self.catalogue["plans"][term.plan]["on_exhausted"] == "bill":
            value = Fraction(self.catalogue["credit_units"][CREDIT]["values"][0]["value"])
        return ExpectedInvoice("period", tuple(lines), drawn, owed - drawn, value)

    def _give(self, plan: str, end: datetime, share: Fraction) -> None:
        terms = self.catalogue["plans"][plan]
        given = [(a["meter"], a["quantity"]) for a in terms.get("allowances", ())]
        given += [(c["unit"], c["amount"]) for c in terms.get("credits", ())]
        for unit, amount in given:
            part = rounded(Fraction(amount) * share, NANO)
            self.pools.append(Pool(unit, part, (100, False), end))

    def _start(self, start: datetime, end: datetime) -> Term:
        plan = self.catalogue["plans"][self.customer.plan]
        cards = [
            Card(rate["meter"], rate.get("where", {}), rate.get("unit", "USD"), rate["price"])
            for rate in plan.get("rates", ())
        ]
        priced = {c.meter for c in cards if not c.where}
        included = dict.fromkeys(a["meter"] for a in plan.get("allowances", ()))
        cards += [Card(meter, {}, "USD", None) for meter in included if meter not in priced]
        for card in cards:
            card.amount = price_of(card.price, ZERO)
        return Term(self.customer.plan, start, end, cards)

    def _fee(self, share: Fraction) -> Line | None:
        plan = self.customer.plan
        fee = Fraction(self.catalogue["plans"][plan].get("fee", 0))
        exact = rounded(fee * share, NANO)
        amount = rounded(exact, CENT)
        return Line(plan, "", "", False, "USD", 0, ZERO, ZERO, exact, amount) if fee else None

    def _count(self, term: Term, event: Event) -> None:
        for key, meter in self.catalogue["meters"].items():
            if meter["event_type"] != event.type:
                continue
            quantity = Fraction(event.data[meter["value"]]) if "value" in meter else Fraction(1)
            group = {name: str(event.data[name]) for name in meter.get("dimensions", ())}
            place = (key, group.get("model", ""))
            self.usage[place] = self.usage.get(place, ZERO) + quantity
            matching = (c for c in term.cards if c.meter == key and _fits(c.where, group))
            if card := next(matching, None):
                card.count += 1
                card.value += quantity
                card.covered += self._take(key, quantity, term)

    def _take(self, unit: str, wanted: Fraction, term: Term) -> Fraction:
        """Draws what is active during the term, in the declared order."""
        active = (p for p in self.pools if p.unit == unit and p.expires_at in (None, term.end))
        taken = ZERO
        for pool in sorted(active, key=lambda p: p.order):
            part = min(pool.left, wanted - taken)
            pool.left -= part
            taken += part
        return taken


def _fits(where: Mapping[str, str], group: Mapping[str, str]) -> bool:
    return all(group.get(name) == value for name, value in where.items())


def _line(plan: str, card: Card, *, late: bool = False) -> Line:
    where = ", ".join(f"{name} {value}" for name, value in sorted(card.where.items()))
    amount = ZERO if card.unit == CREDIT else rounded(card.amount, CENT)
    measured = (card.count, card.value, card.covered, card.amount)
    return Line(plan, card.meter, where, late, card.unit, *measured, amount)


@dataclass(slots=True)
class Tally:
    """All customers' accounts, by customer."""

    accounts: dict[str, Account]

    @classmethod
    def of(cls, scenario: Scenario, catalogue: Mapping[str, Any]) -> "Tally":
        """The tally before the first event."""
        start, end = scenario.period_start, scenario.period_end
        return cls({c.key: Account(catalogue, c, start, end) for c in scenario.customers})

    def use(self, events: Sequence[Event]) -> None:
        """Takes a stage's events."""
        own: dict[str, list[Event]] = {}
        for event in events:
            own.setdefault(event.customer, []).append(event)
        for customer, theirs in own.items():
            self.accounts[customer].use(theirs)
