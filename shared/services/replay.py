"""Replaying a draft plan over customers' past usage: revenue and margin before and after."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.accounts import Account, Phase
from shared.domain.catalogue import METERING_ONLY, Catalogue, Plan
from shared.domain.costing import Costing
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import InvalidError, MeterlineError, Problem
from shared.domain.prices import by_event
from shared.domain.publishing import fitted, plan_problems
from shared.domain.reconciliation import PhaseTotals, phases_of
from shared.domain.replaying import (
    Past,
    Replay,
    Replayed,
    past_phases,
    same_usage,
    true_ups,
    under_one_plan,
    with_draft,
)
from shared.domain.shares import Share
from shared.services.audience import Audience, Budget, Question
from shared.services.past_usage import PastUsage, Wanted
from shared.services.segments import SegmentStore
from shared.services.spread import Spread
from shared.services.standing import Books
from shared.services.store import Page

# All of a customer's, for as long as anybody compares plans over.
MAX_PHASES = 1000

Why = Literal["no-phase", "other-interval", "other-currency", "too-much", "unratable"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What phases come to under a plan, in nanos of the currency."""

    fees: int = 0
    usage: int = 0
    minimums: int = 0

    @property
    def revenue(self) -> int:
        """All of it."""
        return self.fees + self.usage + self.minimums

    def plus(self, other: "Outcome") -> "Outcome":
        """Both together."""
        return Outcome(
            self.fees + other.fees, self.usage + other.usage, self.minimums + other.minimums
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """A customer's phases over [start, end), replayed under its own plans and under the draft.

    `recounted`: the usage replayed is, event for event, what was billed. `costs` are exact, by
    currency, and the same under both.
    """

    customer: str
    phases: int
    start: datetime
    end: datetime
    recounted: bool
    before: Outcome
    after: Outcome
    costs: dict[str, Decimal] = field(default_factory=dict)

    @property
    def difference(self) -> int:
        """What the customer would have paid more, in nanos."""
        return self.after.revenue - self.before.revenue


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A customer that was not replayed, and why."""

    customer: str
    reason: Why


@dataclass(frozen=True, slots=True)
class Replays:
    """Replays drafts; nothing is changed."""

    books: Books
    segments: SegmentStore
    spread: Spread
    usage: PastUsage

    def compare(
        self, draft: Plan, question: Question, start: datetime, end: datetime
    ) -> Page[Compared | LeftOut]:
        """The next customers' phases that begin in [start, end), under their plans and the draft.

        Raises: NotFoundError; InvalidError for a draft that does not fit the catalogue.
        """
        catalogue = self.books.catalogue.newest()
        draft = fitted(catalogue, draft)
        problems = [Problem(f"/plan{p.pointer}", p.code) for p in plan_problems(catalogue, draft)]
        if problems:
            raise InvalidError("The plan does not fit the catalogue.", problems)
        one = _One(self.books, self.usage, with_draft(catalogue, draft), draft, start, end)
        audience: Audience[Compared | LeftOut] = Audience(
            books=self.books,
            segments=self.segments,
            spread=self.spread,
            work=one.compare,
            alone=lambda customer: LeftOut(customer.key, "too-much"),
        )
        return audience.ask(question)


@dataclass(frozen=True, slots=True)
class _One:
    """Replays one customer at a time."""

    books: Books
    usage: PastUsage
    catalogue: Catalogue
    draft: Plan
    start: datetime
    end: datetime

    def compare(self, customer: Customer, budget: Budget) -> Compared | LeftOut:
        store = self.books.store
        account, terms = store.account(customer.key), store.subscription(customer.key)
        closed = store.closed_phases(customer.key, MAX_PHASES)
        budget.spend(2 + len(closed))
        if account is None or terms is None:
            return LeftOut(customer.key, "no-phase")
        if len(closed) == MAX_PHASES and closed[-1].phase.start > self.start:
            return LeftOut(customer.key, "too-much")
        kept = sorted(phases_of(account, closed), key=lambda each: each.phase.number)
        phases = past_phases([each.phase for each in kept], terms, self.catalogue)
        chosen = [
            (past, each)
            for past, each in zip(phases, kept, strict=True)
            if self.start <= past.phase.start < self.end
        ]
        if not chosen:
            return LeftOut(customer.key, "no-phase")
        if why := self._incomparable(terms, [past for past, _ in chosen]):
            return LeftOut(customer.key, why)
        try:
            return self._replayed(account, terms, chosen, budget)
        except MeterlineError:
            return LeftOut(customer.key, "unratable")

    def _incomparable(self, terms: Subscription, phases: Sequence[Past]) -> Why | None:
        """Why the draft cannot take the place of the customer's plans, if so."""
        plans = [self.catalogue.plan(p.phase.plan, p.phase.plan_version) for p in phases]
        own = [plan for plan in plans if plan != METERING_ONLY]
        if any(plan.interval != self.draft.interval for plan in own):
            return "other-interval"
        if terms.currency not in (None, self.draft.currency):
            return "other-currency"
        others = (plan for plan in own if plan.bills)
        return "other-currency" if any(p.currency != self.draft.currency for p in others) else None

    def _replayed(
        self,
        account: Account,
        terms: Subscription,
        chosen: Sequence[tuple[Past, PhaseTotals]],
        budget: Budget,
    ) -> Compared:
        """Both replays, phase by phase; backfilled usage was billed by no plan, and would be now.

        Raises: RatingError.
        """
        own, drafted = Replay(terms, self.catalogue), Replay(terms, self.catalogue)
        before, taken, recounted = list[Replayed](), list[tuple[Past, list[Share]]](), True
        costing = Costing(self.catalogue)
        for past, actual in chosen:
            plan = self.catalogue.plan(past.phase.plan, past.phase.plan_version)
            shares = self._shares(account.customer, past.phase, plan, budget)
            for share in shares:
                costing.add(share)
            live = [share for share in shares if not share.backfilled]
            before.append(own.phase(past, plan, live))
            taken.append((past, shares))
            recounted = recounted and same_usage(before[-1].phase, actual.totals)
        after = [drafted.phase(past, self.draft, shares) for past, shares in under_one_plan(taken)]
        return Compared(
            customer=account.customer,
            phases=len(chosen),
            start=chosen[0][0].phase.start,
            end=chosen[-1][0].phase.end,
            recounted=recounted,
            before=self._outcome(before, terms),
            after=self._outcome(after, terms),
            costs=costing.costs,
        )

    def _outcome(self, phases: Sequence[Replayed], terms: Subscription) -> Outcome:
        return Outcome(
            fees=sum(each.fee for each in phases),
            usage=sum(each.usage for each in phases),
            minimums=true_ups(phases, terms, self.catalogue),
        )

    def _shares(self, customer: str, phase: Phase, plan: Plan, budget: Budget) -> list[Share]:
        cards = [*plan.rate_cards, *self.draft.rate_cards]
        meters = {card.meter for card in cards} | set(self.catalogue.costs)
        wanted = Wanted(
            meters=tuple(self.catalogue.meters[key] for key in sorted(meters)),
            by_event={card.meter for card in cards if by_event(card.price)},
            by_dimensions={card.meter for card in cards if card.where} | _narrow(self.catalogue),
        )
        return self.usage.of_phase(customer, phase, wanted, self.catalogue, budget)


def _narrow(catalogue: Catalogue) -> AbstractSet[str]:
    """The meters whose costs depend on dimension values."""
    return {
        key for key, dated in catalogue.costs.items() if any(each.by_dimensions for each in dated)
    }
