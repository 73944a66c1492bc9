"""Reports about customers, page by page, within what one answer may read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from shared.domain.customers import Customer
from shared.services.segments import SegmentStore, customers_page, named_segment
from shared.services.spread import Spread
from shared.services.standing import Books
from shared.services.store import Page

Result = TypeVar("Result")

# Items that one answer reads: what a function reads well before its time is up.
MAX_READ = 100_000
CUSTOMERS_TOGETHER = 16


class OverBudgetError(Exception):
    """There is more to read than one answer may."""


@dataclass(slots=True)
class Budget:
    """How many items may still be read. Threads may share it: an item more or less is nothing."""

    left: int = MAX_READ

    def spend(self, items: int) -> None:
        """Takes off what was read.

        Raises: OverBudgetError.
        """
        self.left -= items
        if self.left < 0:
            raise OverBudgetError


Work = Callable[[Customer, Budget], Result]


@dataclass(frozen=True, slots=True)
class Question:
    """Which customers: those named, those of a segment, or all; and which page of them."""

    customers: tuple[str, ...] = ()
    segment: str | None = None
    limit: int = 100
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Audience(Generic[Result]):
    """Asks about each customer of a page; `alone` answers for one that no page has room for."""

    books: Books
    segments: SegmentStore
    spread: Spread
    work: Work[Result]
    alone: Callable[[Customer], Result]

    def ask(self, question: Question) -> Page[Result]:
        """The results of the next customers by key, as many as there is room for, one at least.

        Raises: NotFoundError for an unknown customer; InvalidError for an unknown segment.
        """
        results: list[Result] = []
        cursor, budget, together = question.cursor, Budget(), CUSTOMERS_TOGETHER
        while len(results) < question.limit:
            page = self._next(question, min(together, question.limit - len(results)), cursor)
            try:
                results += self._results(page.items, budget)
            except OverBudgetError:
                if results:
                    break
                if together > 1:
                    together, budget = 1, Budget()
                    continue
                results += map(self.alone, page.items)
            cursor = page.cursor
            if cursor is None or budget.left < 0:
                break
        return Page(tuple(results), cursor)

    def _results(self, customers: Sequence[Customer], budget: Budget) -> Sequence[Result]:
        return self.spread(lambda customer: self.work(customer, budget), customers)

    def _next(self, question: Question, limit: int, cursor: str | None) -> Page[Customer]:
        segment = named_segment(self.segments, question.segment) if question.segment else None
        if not question.customers:
            return customers_page(self.books.store, segment, limit, cursor)
        first = int(cursor or 0)
        last = first + limit
        found = self.spread(self.books.customer, question.customers[first:last])
        items = tuple(each for each in found if segment is None or segment.holds(each))
        return Page(items, str(last) if last < len(question.customers) else None)
