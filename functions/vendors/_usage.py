"""Vendors' questions about usage, asked of our own answers."""

from collections.abc import Sequence
from dataclasses import replace

from functions._http import Answer
from functions._runtime import Runtime
from functions.routes._common import MAX_PAGE_BYTES, answer_bytes
from shared.domain.errors import InvalidError, Problem
from shared.domain.usage_answers import CUSTOMER, Rows
from shared.services.usage_query import DEFAULT_SPAN, Usage, UsageQuestion
from shared.wire.vendors.common import quarter_after


def usage_of(runtime: Runtime, question: UsageQuestion, customers: Sequence[str] | None) -> Usage:
    """The usage of these customers, or of all where None is given; unknown ones have none.

    Raises: InvalidError.
    """
    if customers is None:
        return runtime.usage_queries.usage(question)
    distinct = tuple(dict.fromkeys(customers))
    found = runtime.spread(runtime.books.store.customer, distinct)
    known = tuple(key for key, each in zip(distinct, found, strict=True) if each is not None)
    if known:
        return runtime.usage_queries.usage(replace(question, customers=known))
    # Without customers a question is about all of them, so this one is not asked.
    meter = runtime.catalogue.newest().meters[question.meter]
    end = question.end or quarter_after(runtime.clock.now())
    return Usage(meter, question.start or end - DEFAULT_SPAN, end, Rows(()))


def refuse_dimension_named_customer(runtime: Runtime, meter: str, pointer: str) -> None:
    """Rows by customer cannot be told from rows by a dimension of that name.

    Raises: InvalidError.
    """
    found = runtime.catalogue.newest().meters.get(meter)
    if found is not None and CUSTOMER in found.dimensions:
        raise InvalidError("The meter has a dimension `customer`.", [Problem(pointer, "ambiguous")])


def answer_that_fits(text: str, pointer: str, content_type: str = "application/json") -> Answer:
    """The text as an answer.

    Raises: InvalidError where one answer cannot hold it.
    """
    if answer_bytes(text) > MAX_PAGE_BYTES:
        raise InvalidError("The answer is too large.", [Problem(pointer, "too-large")])
    return Answer(text, content_type=content_type)
