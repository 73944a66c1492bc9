"""Which of a customer's usage is counted anew on request."""

from datetime import datetime, timedelta

from shared.domain.errors import InvalidError, Problem
from shared.domain.usage_hours import floor_hour

HOUR = timedelta(hours=1)
# What a request has the time for, and a transaction the room: each day has a record of its own.
MAX_SPAN = timedelta(days=31)


def recount_span(
    now: datetime, start: datetime | None, end: datetime | None
) -> tuple[datetime, datetime]:
    """Whole hours that hold [start, end); without an end up to now, without a start as many days
    before the end as may be counted at once.

    Raises: InvalidError.
    """
    end = end or now
    start = start or end - MAX_SPAN
    if end <= start:
        raise InvalidError("There is no time between.", [Problem("/to", "not-after-from")])
    if end - start > MAX_SPAN:
        detail = f"At most {MAX_SPAN.days} days are counted at once."
        raise InvalidError(detail, [Problem("/from", "too-wide")])
    return floor_hour(start), floor_hour(end - timedelta(microseconds=1)) + HOUR
