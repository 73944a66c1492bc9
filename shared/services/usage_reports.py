"""What each meter comes to, of everyone or a segment, by customer, plan, segment or dimension."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.accounts import Phase
from shared.domain.catalogue import Catalogue, Meter
from shared.domain.customers import Customer
from shared.domain.errors import InvalidError, Problem
from shared.domain.periods import Period
from shared.domain.segments import Segment
from shared.domain.usage_answers import CUSTOMER, AnswerRow, Labels, Shape, usage_answer
from shared.services.audience import Budget, OverBudgetError
from shared.services.past_plans import phases_since, plan_at
from shared.services.reports import Asked
from shared.services.usage_query import MAX_KEPT, MAX_ROWS, UsageQueries, check_rows

MAX_SEGMENTS = 1000
LABELS = (CUSTOMER, "plan", "segment")


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One group of a meter's usage in one window."""

    meter: Meter
    row: AnswerRow


@dataclass(frozen=True, slots=True)
class UsageReport:
    """Rows by meter, time and group, and how many customers were asked about."""

    customers: int
    rows: Sequence[MeterRow]


@dataclass(frozen=True, slots=True)
class UsageReports:
    """Reports on several meters at a time.

    They are one answer and no pages of customers: the greatest, the latest or the distinct values
    of two pages do not add up.
    """

    queries: UsageQueries

    def report(
        self, asked: Asked, meter_keys: Sequence[str], group_by: tuple[str, ...]
    ) -> UsageReport:
        """The usage of the meters named, or of all that know what is grouped by.

        Raises: NotFoundError for an unknown customer; InvalidError for an unknown meter, dimension
        or segment, for bounds as of every report, and for more than one answer may read or tell.
        """
        windows = asked.windows()
        meters = self._meters(meter_keys, group_by)
        whom = asked.customers
        customers = self.queries.customers(whom.customers, whom.segment)
        budget = Budget(MAX_KEPT)
        span = Period(asked.start, asked.end)
        # Each pays for its requests before any is made.
        kept = [self.queries.kept(meter, customers, span, budget) for meter in meters]
        shape = Shape(windows, group_by, labels=self._labels(customers, asked, group_by, budget))
        rows: list[MeterRow] = []
        for meter, items in zip(meters, kept, strict=True):
            answer = usage_answer(meter, items, shape, MAX_ROWS)
            rows += [MeterRow(meter, row) for row in answer.rows]
            check_rows(rows)
        return UsageReport(len(customers), rows)

    def _meters(self, keys: Sequence[str], group_by: Iterable[str]) -> list[Meter]:
        named = [self.queries.meter(key) for key in keys]
        every = self._catalogue().meters.values()
        known = [m for m in named or every if {*m.dimensions, *LABELS}.issuperset(group_by)]
        if len(known) < len(named) or not known:
            problem = Problem("/group_by", "unknown-dimension")
            raise InvalidError("A meter is not kept by what is grouped by.", [problem])
        return sorted(known, key=lambda meter: meter.key)

    def _catalogue(self) -> Catalogue:
        return self.queries.books.catalogue.newest()

    def _labels(
        self, customers: Sequence[Customer], asked: Asked, group_by: Iterable[str], budget: Budget
    ) -> Labels:
        segments: Sequence[Segment] = ()
        if "segment" in group_by:
            segments = self.queries.segments.list(MAX_SEGMENTS, None).items
        within = {each.key: _segments(each, segments) for each in customers}
        by_plan = "plan" in group_by
        phases = self._phases(customers, asked.start, budget) if by_plan else {}

        def labels(customer: str, at: datetime) -> Sequence[Mapping[str, str]]:
            plan = plan_at(phases.get(customer, ()), at)
            return [
                {CUSTOMER: customer, "plan": plan, "segment": segment}
                for segment in within[customer]
            ]

        return labels

    def _phases(
        self, customers: Sequence[Customer], start: datetime, budget: Budget
    ) -> Mapping[str, Sequence[Phase]]:
        def read(customer: Customer) -> Sequence[Phase]:
            return phases_since(self.queries.books.store, customer, start, budget)

        try:
            found = self.queries.spread(read, customers)
        except OverBudgetError:
            problem = Problem("/customer", "too-much")
            raise InvalidError("Ask about fewer customers.", [problem]) from None
        return {each.key: phases for each, phases in zip(customers, found, strict=True)}


def _segments(customer: Customer, segments: Sequence[Segment]) -> list[str]:
    return [each.key for each in segments if each.holds(customer)] or [""]
