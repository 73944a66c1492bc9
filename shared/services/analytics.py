"""What operators ask about their business: revenue, cost and margin, and the credits they owe."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NoReturn

from shared.domain.customers import Customer
from shared.domain.errors import InvalidError, Problem
from shared.domain.liability import Flow, GrantKind, flows, is_owed
from shared.domain.periods import Period
from shared.domain.segments import Segment
from shared.services.audience import Audience, Budget
from shared.services.ledger_moves import moves_since
from shared.services.margins import Margins
from shared.services.past_usage import PastUsage
from shared.services.reports import Asked, Report
from shared.services.segments import SegmentStore
from shared.services.spread import Spread
from shared.services.standing import Books
from shared.services.store import Page

MAX_SEGMENTS = 1000


@dataclass(slots=True)
class Owed:
    """Credits by the customer (empty where they are not grouped) and the kind of grant."""

    flows: dict[tuple[str, GrantKind], Flow] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Analytics:
    """Answers for a page of customers; the rows of all pages add up to those of all customers."""

    books: Books
    segments: SegmentStore
    spread: Spread
    usage: PastUsage

    def margin(self, asked: Asked, *, costs: bool = True) -> tuple[list[Period], Page[Report]]:
        """The windows; what each customer brought in and, with `costs`, what its usage cost.

        Raises: NotFoundError, InvalidError.
        """
        windows = asked.windows()
        segments: Sequence[Segment] = ()
        if "segment" in asked.group_by:
            segments = self.segments.list(MAX_SEGMENTS, None).items
        catalogue = self.books.catalogue.newest()
        work = Margins(
            books=self.books,
            usage=self.usage,
            catalogue=catalogue,
            windows=windows,
            group_by=asked.group_by,
            segments=segments,
            costs=costs,
        )
        audience = Audience(self.books, self.segments, self.spread, work.report, _refuse)
        return windows, audience.ask(asked.customers)

    def credits(self, asked: Asked) -> Page[Owed]:
        """What became of each customer's credits.

        Raises: NotFoundError, InvalidError.
        """
        asked.windows()

        def owed(customer: Customer, budget: Budget) -> Owed:
            store = self.books.store
            grants = [grant for grant in store.all_grants(customer.key) if is_owed(grant)]
            budget.spend(1 + len(grants))
            if not grants:
                return Owed()
            known = moves_since(store, customer, asked.start, budget)
            of = customer.key if "customer" in asked.group_by else ""
            found = flows(grants, known.held, known.moves, asked.start, asked.end)
            return Owed({(of, kind): flow for kind, flow in found.items()})

        audience = Audience(self.books, self.segments, self.spread, owed, _refuse)
        return audience.ask(asked.customers)


def _refuse(_: Customer) -> NoReturn:
    raise InvalidError("Ask about a shorter time.", [Problem("/from", "too-much")])
