"""Usage by windows of time, for one customer or all of them together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.catalogue import Meter
from shared.domain.errors import InvalidError, Problem
from shared.domain.usage_hours import UsageHour
from shared.domain.usage_windows import (
    QUARTER,
    UsageRow,
    Window,
    on_quarter,
    usage_rows,
    usage_windows,
)
from shared.services.standing import Books

MAX_SPAN = timedelta(days=3660)
MAX_ROWS = 10_000
MAX_CUSTOMERS = 1000
CUSTOMERS_PER_PAGE = 100
DEFAULT_SPAN = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class UsageQuestion:
    """`end` None is now, `start` None is 30 days before; `customer` None asks for all together."""

    meter: str
    customer: str | None
    start: datetime | None
    end: datetime | None
    window: Window
    timezone: str
    group_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Usage:
    """The answer over [start, end)."""

    meter: Meter
    start: datetime
    end: datetime
    rows: tuple[UsageRow, ...]


def usage(books: Books, question: UsageQuestion) -> Usage:
    """Answers from the usage hours.

    Raises: NotFoundError for an unknown customer; InvalidError for an unknown meter or dimension,
    bounds off the quarter hour or out of order, and questions that are too wide.
    """
    meter = books.catalogue.newest().meters.get(question.meter)
    if meter is None:
        raise InvalidError("No such meter.", [Problem("/meter", "unknown-meter")])
    now = _now(books, question.customer)
    end = question.end or _next_quarter(now)
    start = question.start or end - DEFAULT_SPAN
    problems = [*_span_problems(start, end), *_group_problems(meter, question.group_by)]
    if problems:
        raise InvalidError("The question breaks a rule at each place listed.", problems)
    windows = usage_windows(start, end, question.window, question.timezone, MAX_ROWS)
    _check_rows(windows)
    hours = _hours(books, meter.key, question.customer, start, end)
    rows = usage_rows(meter, hours, windows, question.group_by)
    _check_rows(rows)
    return Usage(meter, start, end, tuple(rows))


def _now(books: Books, customer: str | None) -> datetime:
    return books.clock.now() if customer is None else books.now(books.customer(customer))


def _next_quarter(now: datetime) -> datetime:
    floor = now.replace(minute=now.minute - now.minute % 15, second=0, microsecond=0)
    return floor + QUARTER


def _span_problems(start: datetime, end: datetime) -> Iterator[Problem]:
    for name, bound in (("/from", start), ("/to", end)):
        if not on_quarter(bound):
            yield Problem(name, "not-on-quarter-hour")
    if start >= end:
        yield Problem("/to", "not-after-from")
    elif end - start > MAX_SPAN:
        yield Problem("/from", "too-wide")


def _check_rows(rows: Sequence[object]) -> None:
    if len(rows) > MAX_ROWS:
        raise InvalidError(f"Ask for at most {MAX_ROWS} rows.", [Problem("/window", "too-many")])


def _group_problems(meter: Meter, group_by: Sequence[str]) -> list[Problem]:
    known = all(name in meter.dimensions for name in group_by)
    distinct = len(set(group_by)) == len(group_by)
    return [] if known and distinct else [Problem("/group_by", "unknown-dimension")]


def _hours(
    books: Books, meter: str, customer: str | None, start: datetime, end: datetime
) -> Iterator[UsageHour]:
    """The usage hours that [start, end) touches."""
    first = start.replace(minute=0)
    customers = [customer] if customer is not None else _all_customers(books)
    for key in customers:
        yield from books.store.usage_between(meter, key, first, end)


def _all_customers(books: Books) -> list[str]:
    keys: list[str] = []
    cursor: str | None = None
    while len(keys) <= MAX_CUSTOMERS:
        page = books.store.customers(CUSTOMERS_PER_PAGE, cursor)
        keys += [customer.key for customer in page.items]
        cursor = page.cursor
        if cursor is None:
            return keys
    raise InvalidError("Too many customers: name one.", [Problem("/customer", "required")])
