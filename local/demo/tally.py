"""What the demo must come to, worked out from its events by arithmetic of its own.

This shares nothing with the system that it checks: exact fractions instead of integers and
decimals, whole stages instead of records, and the catalogue read from its file. Within a stage the
order in which events are applied is unknown, so only figures that do not depend on it are
expected: where several rates draw the same credits, what all of them drew together.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import Any

from local.demo.scenario import Customer, Event, Scenario

NANO = Fraction(1, 10**9)
CENT = Fraction(1, 100)
ZERO = Fraction(0)


def rounded(amount: Fraction, step: Fraction) -> Fraction:
    """To a multiple of the step, half away from zero."""
    steps = (abs(amount) / step + Fraction(1, 2)).__floor__()
    return steps * step if amount >= 0 else -steps * step


def price_of(price: Mapping[str, Any] | None, quantity: Fraction) -> Fraction:
    """The price of a total quantity, rounded to the nano."""
    if price is None:
        return ZERO
    if price["model"] == "per_unit":
        return rounded(quantity * Fraction(price["unit_price"]), NANO)
    amount, below = ZERO, ZERO
    for i, tier in enumerate(price["tiers"]):
        if i and quantity <= below:
            break
        bound = None if tier["up_to"] is None else Fraction(tier["up_to"])
        top = quantity if bound is None else min(quantity, bound)
        amount += (top - below) * Fraction(tier["unit_price"]) + Fraction(tier.get("flat_fee", 0))
        below = top
    return rounded(amount, NANO)


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


@dataclass(frozen=True, slots=True)
class Line:
    """A line of usage, or a fee where `meter` is empty."""

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
    """The lines but those of credits; and of credits what all lines together drew and overdrew."""

    kind: str
    lines: tuple[Line, ...]
    drawn: Fraction = ZERO
    overage: Fraction = ZERO
    overage_value: Fraction = ZERO  # of one credit, on this plan


@dataclass(slots=True)
class Term:
    """A customer's time on a plan within one period."""

    plan: str
    start: datetime
    end: datetime
    cards: list[Card]
    drawn: Fraction = ZERO  # credits

    def owed(self) -> Fraction:
        """Credits that usage cost."""
        return sum((c.amount for c in self.cards if c.unit == CREDIT), ZERO)


CREDIT = "spark"


@dataclass(slots=True)
class Account:
    """One customer's figures, moved forward stage by stage."""

    catalogue: Mapping[str, Any]
    customer: Customer
    period_start: datetime
    period_end: datetime
    next_end: datetime
    usage: dict[tuple[str, str], Fraction] = field(default_factory=dict)  # by meter and model
    pools: list[Pool] = field(default_factory=list)
    term: Term = field(init=False)  # of the period in force
    ended: Term | None = None  # of the period before
    billed: list[Card] | None = None  # its cards when it was closed
    ended_drawn: Fraction = ZERO  # its credits when it was closed
    credits_drawn: Fraction = ZERO  # in all
    invoices: list[ExpectedInvoice] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Signs up on the free plan, changes to the wanted one at once, and buys credits."""
        whole = (self.period_end - self.period_start).total_seconds()
        rest = (self.period_end - self.customer.joins_at).total_seconds()
        share = Fraction(int(rest), int(whole))
        plans = ["free"] if self.customer.plan == "free" else ["free", self.customer.plan]
        for plan in plans:
            self._give(plan, self.period_end, share)
        self.term = self._start(plans[-1], self.customer.joins_at, self.period_end)
        if fee := self._fee(plans[-1], share):
            self.invoices.append(ExpectedInvoice("change", (fee,)))
        if purchase := self.customer.purchase:
            self.pools.append(Pool(CREDIT, Fraction(purchase.amount), (purchase.priority, True)))

    def _give(self, plan: str, end: datetime, share: Fraction) -> None:
        terms = self.catalogue["plans"][plan]
        for allowance in terms.get("allowances", ()):
            units = rounded(Fraction(allowance["quantity"]) * share, NANO)
            self.pools.append(Pool(allowance["meter"], units, (100, False), end))
        for credits_given in terms.get("credits", ()):
            amount = rounded(Fraction(credits_given["amount"]) * share, NANO)
            self.pools.append(Pool(credits_given["unit"], amount, (100, False), end))

    def _start(self, plan: str, start: datetime, end: datetime) -> Term:
        terms = self.catalogue["plans"][plan]
        currency = terms["currency"]
        cards = [
            Card(r["meter"], r.get("where", {}), r.get("unit", currency), r["price"])
            for r in terms.get("rates", ())
        ]
        priced = {c.meter for c in cards if not c.where}
        included = dict.fromkeys(a["meter"] for a in terms.get("allowances", ()))
        cards += [Card(meter, {}, currency, None) for meter in included if meter not in priced]
        for card in cards:
            card.amount = price_of(card.price, ZERO)
        return Term(plan, start, end, cards)

    def _fee(self, plan: str, share: Fraction) -> Line | None:
        fee = Fraction(self.catalogue["plans"][plan].get("fee", 0))
        exact = rounded(fee * share, NANO)
        if not fee:
            return None
        return Line(plan, "", "", False, "USD", 0, ZERO, ZERO, exact, rounded(exact, CENT))

    def use(self, events: Iterable[Event]) -> None:
        """Takes one stage's events of this customer, all of them of one period."""
        events = list(events)
        if not events:
            return
        past = [e for e in events if e.occurred_at < self.term.start]
        if past and len(past) < len(events):
            raise ValueError("a stage mixes two periods: what draws which credits is undefined")
        term = self.ended if past and self.ended else self.term
        for event in events:
            self._count(term, event)
        self._draw(term)

    def _count(self, term: Term, event: Event) -> None:
        for key, meter in self.catalogue["meters"].items():
            if meter["event_type"] != event.type:
                continue
            quantity = Fraction(event.data[meter["value"]]) if "value" in meter else Fraction(1)
            group = {name: str(event.data[name]) for name in meter.get("dimensions", ())}
            place = (key, group.get("model", ""))
            self.usage[place] = self.usage.get(place, ZERO) + quantity
            for card in term.cards:
                if card.meter == key and card.where.items() <= group.items():
                    card.count += 1
                    card.value += quantity
                    card.covered += self._take(key, quantity, term)
                    break

    def _draw(self, term: Term) -> None:
        """Rates the totals and draws credits for what they cost more than before."""
        for card in term.cards:
            card.amount = price_of(card.price, card.value - card.covered)
        # Overage stays overage: only what came on top may draw what is there now.
        drawn = self._take(CREDIT, term.owed() - self._settled_owed(term), term)
        term.drawn += drawn
        self.credits_drawn += drawn
        self._owed_before[id(term)] = term.owed()

    _owed_before: dict[int, Fraction] = field(default_factory=dict)

    def _settled_owed(self, term: Term) -> Fraction:
        return self._owed_before.get(id(term), ZERO)

    def _take(self, unit: str, wanted: Fraction, term: Term) -> Fraction:
        """Draws what is active during the term, in the declared order."""
        taken = ZERO
        for pool in sorted((p for p in self.pools if p.unit == unit), key=lambda p: p.order):
            if pool.expires_at in (None, term.end):
                part = min(pool.left, wanted - taken)
                pool.left -= part
                taken += part
        return taken

    def open_next(self) -> None:
        """The period ends; the next one gives what the plan includes."""
        self.ended = self.term
        self._give(self.customer.plan, self.next_end, Fraction(1))
        self.term = self._start(self.customer.plan, self.period_end, self.next_end)

    def close(self) -> None:
        """The grace period is over: the invoice is issued and what expired is gone."""
        invoice = self.upcoming()
        if invoice.lines:
            self.invoices.append(invoice)
        term = self.ended or self.term
        self.billed = [_copy(card) for card in term.cards]
        self.ended_drawn = term.drawn
        self.pools = [p for p in self.pools if p.expires_at != term.end]

    def upcoming(self) -> ExpectedInvoice:
        """The invoice of the oldest period that is not closed, as it stands."""
        closed = self.billed is not None
        term = self.term if closed or self.ended is None else self.ended
        lines = [_line(term.plan, card) for card in term.cards if card.count or card.amount]
        drawn, owed = term.drawn, term.owed()
        if closed and self.ended and self.billed is not None:
            late = [_difference(*pair) for pair in zip(self.ended.cards, self.billed, strict=True)]
            lines += [_line(term.plan, c, late=True) for c in late if c.count or c.amount]
            drawn += self.ended.drawn - self.ended_drawn
            owed += sum((c.amount for c in late if c.unit == CREDIT), ZERO)
        if fee := self._fee(self.customer.plan, Fraction(1)):
            lines.append(fee)
        billed = self.catalogue["plans"][term.plan]["on_exhausted"] == "bill"
        value = Fraction(self.catalogue["credit_units"][CREDIT]["values"][0]["value"])
        return ExpectedInvoice(
            "period", tuple(lines), drawn, owed - drawn, value if billed else ZERO
        )

    def balance(self) -> Fraction:
        """Credits left in the period in force."""
        live = (p for p in self.pools if p.expires_at in (None, self.term.end))
        return sum((p.left for p in live if p.unit == CREDIT), ZERO)


def _copy(card: Card) -> Card:
    copied = Card(card.meter, card.where, card.unit, card.price)
    copied.count, copied.value = card.count, card.value
    copied.covered, copied.amount = card.covered, card.amount
    return copied


def _difference(after: Card, before: Card) -> Card:
    late = Card(after.meter, after.where, after.unit, after.price)
    late.count, late.value = after.count - before.count, after.value - before.value
    late.covered, late.amount = after.covered - before.covered, after.amount - before.amount
    return late


def _line(plan: str, card: Card, *, late: bool = False) -> Line:
    where = ", ".join(f"{name} {value}" for name, value in sorted(card.where.items()))
    amount = ZERO if card.unit == CREDIT else rounded(card.amount, CENT)
    return Line(
        plan,
        card.meter,
        where,
        late,
        card.unit,
        card.count,
        card.value,
        card.covered,
        card.amount,
        amount,
    )


@dataclass(slots=True)
class Tally:
    """All customers' accounts."""

    accounts: dict[str, Account]

    def use(self, events: Sequence[Event]) -> None:
        """Takes a stage's events."""
        by_customer: dict[str, list[Event]] = {}
        for event in events:
            by_customer.setdefault(event.customer, []).append(event)
        for customer, own in by_customer.items():
            self.accounts[customer].use(own)


def tally_of(scenario: Scenario, catalogue: Mapping[str, Any]) -> Tally:
    """The tally before the first event."""
    next_end = scenario.period_end.replace(day=28) + 4 * (scenario.period_end - scenario.period_end)
    return Tally({})
