"""How many customers there are, by plan, state and segment, and what became of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

from shared.domain.accounts import Phase
from shared.domain.customers import Customer
from shared.domain.errors import InvalidError, Problem, UnavailableError
from shared.domain.headcount import Measure, counted
from shared.domain.segments import Segment
from shared.services.audience import Audience, Budget, OverBudgetError
from shared.services.reports import Asked
from shared.services.segments import SegmentStore
from shared.services.spread import Spread
from shared.services.standing import Books
from shared.services.store import Page

CountBy = Literal["plan", "state", "segment"]
MAX_PHASES = 1000
MAX_SEGMENTS = 1000
# The profile, the account, the terms, and what is read to catch up with the present.
STANDING_ITEMS = 8


class CountKey(NamedTuple):
    """What is counted, and the values of what was grouped by."""

    group: tuple[str, ...]
    measure: Measure


@dataclass(frozen=True, slots=True)
class Headcount:
    """Counts a page of customers; the rows of all pages add up to those of all customers."""

    books: Books
    segments: SegmentStore
    spread: Spread

    def count(self, asked: Asked, group_by: Sequence[CountBy]) -> Page[Counter[CountKey]]:
        """What each customer counts for in the time asked about; windows are not.

        Raises: NotFoundError, InvalidError.
        """
        asked.windows()
        grouped = "segment" in group_by
        segments = self.segments.list(MAX_SEGMENTS, None).items if grouped else ()

        def work(customer: Customer, budget: Budget) -> Counter[CountKey]:
            phases = self._phases(customer, budget)
            catalogue = self.books.catalogue.newest()
            found = Counter[CountKey]()
            for each in counted(phases, catalogue, asked.start, asked.end):
                known = {"plan": each.phase.plan, "state": each.phase.state}
                for segment in _segments(customer, segments):
                    values = {**known, "segment": segment}
                    found[CountKey(tuple(values[name] for name in group_by), each.measure)] += 1
            return found

        audience = Audience(self.books, self.segments, self.spread, work, _refuse)
        return audience.ask(asked.customers)

    def _phases(self, customer: Customer, budget: Budget) -> list[Phase]:
        """All phases, oldest first, up to the present.

        Raises: OverBudgetError.
        """
        budget.spend(STANDING_ITEMS)
        try:
            account = self.books.standing(customer.key).caught_up().account
        except UnavailableError:
            return []  # It has no account yet, so it is on no plan.
        # Read after the account: a phase that was closed in between is then there twice, told by
        # its number, and never missing.
        closed = self.books.store.closed_phases(customer.key, MAX_PHASES)
        budget.spend(len(closed))
        if len(closed) == MAX_PHASES:
            raise OverBudgetError
        known = {phase.number: phase for phase in [e.phase for e in closed] + [*account.phases]}
        return [known[number] for number in sorted(known)]


def _segments(customer: Customer, segments: Sequence[Segment]) -> list[str]:
    return [each.key for each in segments if each.holds(customer)] or [""]


def _refuse(customer: Customer) -> NoReturn:
    raise InvalidError(f"{customer.key} has too many phases.", [Problem("/customer", "too-much")])
