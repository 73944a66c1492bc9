"""Segments as people keep them, and the customers that are in one."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Protocol

from shared.domain.customers import Customer
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.segments import Segment
from shared.services.changes import PutAudit
from shared.services.store import BillingStore, Page

# One request lists no more pages of customers than this in search of a segment's next ones.
MAX_PAGES_LOOKED_AT = 10
CUSTOMERS_PER_PAGE = 1000


class SegmentStore(Protocol):
    """Where segments are kept. Reads are consistent, and a change comes with its audit entry."""

    def get(self, key: str) -> Segment | None:
        """The segment, or None."""

    def list(self, limit: int, cursor: str | None) -> Page[Segment]:
        """Segments by key."""

    def put(self, segment: Segment, audit: PutAudit) -> None:
        """Makes the segment, or replaces it."""

    def delete(self, key: str, audit: PutAudit) -> None:
        """Removes the segment; one that is not there stays so."""


def existing_segment(segments: SegmentStore, key: str) -> Segment:
    """The segment.

    Raises: NotFoundError.
    """
    segment = segments.get(key)
    if segment is None:
        raise NotFoundError("No such segment.")
    return segment


def named_segment(segments: SegmentStore, key: str) -> Segment:
    """The segment that a question names.

    Raises: InvalidError that points at `segment`.
    """
    segment = segments.get(key)
    if segment is None:
        raise InvalidError("No such segment.", [Problem("/segment", "unknown-segment")])
    return segment


def put_segment(segments: SegmentStore, segment: Segment, actor: str, now: datetime) -> Segment:
    """Makes or replaces the segment; one that is there already as it is asked for stays."""
    stored = segments.get(segment.key)
    if stored != segment:
        before = asdict(stored) if stored else {}
        after = asdict(segment)
        audit = PutAudit(now, actor, "segment.put", segment.key, before, after)
        segments.put(segment, audit)
    return segment


def delete_segment(segments: SegmentStore, key: str, actor: str, now: datetime) -> None:
    """Removes the segment; done twice it changes nothing."""
    stored = segments.get(key)
    if stored is not None:
        audit = PutAudit(now, actor, "segment.delete", key, asdict(stored))
        segments.delete(key, audit)


def customers_page(
    store: BillingStore, segment: Segment | None, limit: int, cursor: str | None
) -> Page[Customer]:
    """Customers by key, those of the segment where one is given.

    A page of a segment may hold fewer than `limit`, even none, and still have a cursor.
    """
    page = store.customers(limit, cursor)
    if segment is None:
        return page
    for _ in range(MAX_PAGES_LOOKED_AT - 1):
        if page.cursor is None or any(map(segment.holds, page.items)):
            break
        page = store.customers(limit, page.cursor)
    return Page(tuple(filter(segment.holds, page.items)), page.cursor)


def all_customers(store: BillingStore) -> Iterator[Customer]:
    """Every customer by key: a read unit for about 15 of them, a request for about 1,000."""
    cursor: str | None = None
    while True:
        page = store.customers(CUSTOMERS_PER_PAGE, cursor)
        yield from page.items
        cursor = page.cursor
        if cursor is None:
            return
