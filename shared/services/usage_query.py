"""Usage by windows of time: of one customer, of several, of a segment or of all of them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from shared.domain.catalogue import Meter
from shared.domain.customers import Customer
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.periods import Period
from shared.domain.quarters import next_quarter
from shared.domain.usage_answers import CUSTOMER, Kept, Rows, Shape, usage_answer
from shared.domain.usage_days import UsageDay
from shared.domain.usage_windows import Window, on_quarter, usage_windows
from shared.services.audience import Budget, OverBudgetError
from shared.services.looks import IsOver
from shared.services.segments import SegmentStore, all_customers, named_segment
from shared.services.spread import Spread
from shared.services.standing import Books, Standing
from shared.services.usage_days import (
    READY_AHEAD,
    WORTH_ROLLING_UP,
    DayReads,
    weeks_to_make_ready,
)

MAX_SPAN = timedelta(days=3660)
MAX_ROWS = 10_000
MAX_CUSTOMERS = 1000
MAX_KEPT = 100_000  # items read for one answer: what a function reads well before its time is up
REQUEST_ITEMS = 10  # how many items take as long to read as a request that finds none
DEFAULT_SPAN = timedelta(days=30)
# One read: any calendar month is one, in whole UTC days as well.
READ_SPAN = timedelta(days=33)
READS_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """What is asked about a meter.

    No `customers` are all of them; `segment` keeps those that are in it. `end` None is now, `start`
    None 30 days before. The rest as in `Shape`.
    """

    meter: str
    customers: tuple[str, ...] = ()
    segment: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    window: Window = "total"
    timezone: str = "UTC"
    group_by: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    top: int | None = None
    rest: bool = False
    fill: bool = False


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer over [start, end)."""

    meter: Meter
    start: datetime
    end: datetime
    answer: Rows


@dataclass(frozen=True, slots=True)
class UsageQueries:
    """Answers questions about usage; `spread` makes several reads at a time.

    Of one customer, days that are long over are read as they were rolled up.
    """

    books: Books
    segments: SegmentStore
    spread: Spread
    days: DayReads

    def usage(self, question: UsageQuestion) -> Usage:
        """Answers from what metering keeps; its cost is that of the hours with usage asked about.

        Raises: NotFoundError for an unknown customer; InvalidError for an unknown meter, dimension
        or segment, bounds off the quarter hour or out of order, and questions that are too wide.
        """
        meter = self.meter(question.meter)
        customers, days = self._opened(meter, question)
        end = question.end or next_quarter(self._now(question, customers))
        start = question.start or end - DEFAULT_SPAN
        problems = [*_span_problems(start, end), *_shape_problems(meter, question)]
        if problems:
            raise InvalidError("The question breaks a rule at each place listed.", problems)
        windows = usage_windows(start, end, question.window, question.timezone, MAX_ROWS)
        check_rows(windows)
        shape = Shape(
            windows=windows,
            group_by=question.group_by,
            where=question.where,
            top=question.top,
            rest=question.rest,
            fill=question.fill,
        )
        asked = Period(start, end)
        if days and len(customers) == 1:
            kept: Iterable[Kept] = self._kept_in_days(meter, customers[0], asked, days)
        else:
            kept = self.kept(meter, customers, asked, Budget(MAX_KEPT))
        answer = usage_answer(meter, kept, shape, MAX_ROWS)
        check_rows([*answer.rows, *answer.rest])
        return Usage(meter, start, end, answer)

    def meter(self, key: str) -> Meter:
        """The meter.

        Raises: InvalidError.
        """
        # What a meter is never changes: only one that is not known yet needs a newer catalogue.
        catalogue = self.books.catalogue
        meter = catalogue.fresh().meters.get(key) or catalogue.newest().meters.get(key)
        if meter is None:
            raise InvalidError("No such meter.", [Problem("/meter", "unknown-meter")])
        return meter

    def _opened(
        self, meter: Meter, question: UsageQuestion
    ) -> tuple[list[Customer], Mapping[datetime, UsageDay]]:
        """Whom the question is about; of one customer named, also its settled days.

        Raises: NotFoundError, InvalidError.
        """
        if len(question.customers) != 1:
            return self.customers(question.customers, question.segment), {}
        end = question.end or self.books.clock.now()
        start = question.start or end - DEFAULT_SPAN
        looked_at = Period(start, end if end - start <= MAX_SPAN else start)
        [key] = question.customers
        customer, days = self.days.opening(key, meter.key, looked_at)
        if customer is None:
            raise NotFoundError("No such customer.")
        return self._in_segment([customer], question.segment), days

    def _now(self, question: UsageQuestion, customers: Sequence[Customer]) -> datetime:
        """The present of the one customer asked about, else the machine's."""
        if len(question.customers) == len(customers) == 1:
            return self.books.now(customers[0])
        return self.books.clock.now()

    def customers(self, keys: Sequence[str], segment_key: str | None) -> list[Customer]:
        """The customers named, or all without names; of these, those in the segment if one is.

        Raises: NotFoundError, InvalidError.
        """
        if keys:
            return self._in_segment(self.spread(self.books.customer, keys), segment_key)
        segment = named_segment(self.segments, segment_key) if segment_key else None
        found: list[Customer] = []
        for customer in all_customers(self.books.store):
            if segment is None or segment.holds(customer):
                found.append(customer)
            if len(found) > MAX_CUSTOMERS:
                pointer = "/segment" if segment else "/customer"
                raise InvalidError("Ask about fewer customers.", [Problem(pointer, "too-many")])
        return found

    def _in_segment(self, customers: Sequence[Customer], segment_key: str | None) -> list[Customer]:
        segment = named_segment(self.segments, segment_key) if segment_key else None
        return [each for each in customers if segment is None or segment.holds(each)]

    def kept(
        self, meter: Meter, customers: Sequence[Customer], asked: Period, budget: Budget
    ) -> Iterator[Kept]:
        """What was kept in the hours that `asked` touches; requests are paid before the first.

        Raises: InvalidError, while it is read as well.
        """
        spans = list(_spans(asked.start.replace(minute=0), asked.end))
        reads = [(customer.key, span) for customer in customers for span in spans]
        _spend(budget, len(reads) * REQUEST_ITEMS)
        return self._read_all(meter, reads, budget)

    def _kept_in_days(
        self,
        meter: Meter,
        customer: Customer,
        asked: Period,
        days: Mapping[datetime, UsageDay],
        *,
        roll_up_from: int | None = WORTH_ROLLING_UP,
    ) -> Sequence[Kept]:
        """What was kept in the days that `asked` touches.

        On a test clock no day is long over: its customer deletes it, and begins anew.
        Raises: InvalidError.
        """

        budget = Budget(MAX_KEPT)

        def by_hour(stretch: Period) -> Sequence[Kept]:
            return list(self.kept(meter, [customer], stretch, budget))

        if customer.test_clock is not None:
            roll_up_from = None
        kept = self.days.kept(asked, days, by_hour, roll_up_from=roll_up_from)
        copied = (len(day.kept) for day in days.values() if day.kept is not None)
        _spend(budget, sum(copied))
        return kept

    def make_ready(self, meter_key: str, customer_key: str, out_of_time: IsOver) -> None:
        """Rolls up a busy customer's settled days before anybody asks about them.

        Raises: InvalidError for an unknown meter, and for more usage than an answer is made of.
        """
        meter = self.meter(meter_key)
        for week in weeks_to_make_ready(self.books.clock.now()):
            if out_of_time():
                return
            customer, days = self.days.opening(customer_key, meter.key, week, READY_AHEAD)
            if customer is not None:
                self._kept_in_days(meter, customer, week, days, roll_up_from=0)

    def _read_all(
        self, meter: Meter, reads: Sequence[tuple[str, Period]], budget: Budget
    ) -> Iterator[Kept]:
        for first in range(0, len(reads), READS_TOGETHER):
            together = reads[first : first + READS_TOGETHER]
            for kept in self.spread(lambda read: self._read(meter, *read), together):
                _spend(budget, len(kept))
                yield from kept

    def _read(self, meter: Meter, customer: str, span: Period) -> Sequence[Kept]:
        store = self.books.store
        if meter.aggregation == "unique_count":
            return list(store.values_between(meter.key, customer, span.start, span.end))
        return store.usage_between(meter.key, customer, span.start, span.end)


def _spend(budget: Budget, items: int) -> None:
    try:
        budget.spend(items)
    except OverBudgetError:
        raise InvalidError("Ask about less at a time.", [Problem("/from", "too-much")]) from None


def plan_meters(standing: Standing) -> list[Meter]:
    """The meters that the plan in force prices or includes some of: what a customer looks at."""
    plan = standing.plan
    keys = {rate.meter for rate in plan.rates} | {each.meter for each in plan.allowances}
    return [standing.catalogue.meters[key] for key in sorted(keys)]


def _spans(start: datetime, end: datetime) -> Iterator[Period]:
    while start < end:
        yield Period(start, min(start + READ_SPAN, end))
        start += READ_SPAN


def _span_problems(start: datetime, end: datetime) -> Iterator[Problem]:
    for name, bound in (("/from", start), ("/to", end)):
        if not on_quarter(bound):
            yield Problem(name, "not-on-quarter-hour")
    if start >= end:
        yield Problem("/to", "not-after-from")
    elif end - start > MAX_SPAN:
        yield Problem("/from", "too-wide")


def _shape_problems(meter: Meter, question: UsageQuestion) -> Iterator[Problem]:
    known = {*meter.dimensions, CUSTOMER}
    if not known.issuperset(question.group_by):
        yield Problem("/group_by", "unknown-dimension")
    if not set(meter.dimensions).issuperset(question.where):
        yield Problem("/filter", "unknown-dimension")
    if question.top is not None and not question.group_by:
        yield Problem("/group_by", "required-by-top")
    if question.rest and question.top is None:
        yield Problem("/top", "required-by-rest")


def check_rows(rows: Sequence[object]) -> None:
    """Refuses an answer of too many rows.

    Raises: InvalidError.
    """
    if len(rows) > MAX_ROWS:
        raise InvalidError(f"Ask for at most {MAX_ROWS} rows.", [Problem("/window", "too-many")])
