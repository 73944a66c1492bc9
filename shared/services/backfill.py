"""Backfill: a meter made today counts what was stored before it was made.

A meter's customers are listed, each is an order of its own, and an order that runs out of time goes
on as another. Every usage hour is computed from all its raw events and put as a whole, so that an
order may be carried out twice, or by two at once.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Protocol

from shared.domain.backfilling import Backfill
from shared.domain.catalogue import Meter
from shared.domain.customers import Customer
from shared.domain.days import DAY
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    Problem,
    UnavailableError,
    VersionConflictError,
)
from shared.domain.usage_hours import floor_hour
from shared.services.backfilled_usage import HOUR, BackfilledUsage
from shared.services.changes import PutAudit
from shared.services.clock import customer_now
from shared.services.ingest import MAX_AHEAD, MAX_LATENESS
from shared.services.store import BillingStore, CatalogueSource, Clock

# A request that saw the catalogue without the meter may store events for 30 seconds more.
WAIT_SECONDS = 90
CUSTOMERS_PER_PAGE = 500


class MeterArchivedError(ConflictError):
    """An archived meter counts no more, its history neither."""

    code = "meter-archived"


@dataclass(frozen=True, slots=True)
class Order:
    """A part of the work: without a customer, to list those after the cursor.

    With one, its usage from `at` on. `counted` is what earlier orders came to, in customers listed
    or events counted.
    """

    meter: str
    run: int
    customer: str | None = None
    at: datetime | None = None
    cursor: str | None = None
    counted: int = 0


class Orders(Protocol):
    """The queue."""

    def send(self, orders: Iterable[Order], delay_seconds: int = 0) -> int:
        """How many were sent.

        Raises: UnavailableError.
        """


@dataclass(frozen=True, slots=True)
class Backfills:
    """Orders backfills and carries them out."""

    store: BillingStore
    usage: BackfilledUsage
    orders: Orders
    catalogue: CatalogueSource
    clock: Clock

    def request(self, key: str, start: datetime | None, actor: str) -> Backfill:
        """Orders the meter's backfill, from the hour on; one that is under way goes on instead.

        A backfill never loses ground: of two starts the earlier counts.
        Raises: NotFoundError; MeterArchivedError; InvalidError for a start within an hour;
        UnavailableError, after which it is safe to ask again.
        """
        meter = self._meter(key)
        if _archived(meter):
            raise MeterArchivedError(f"meter {key} is archived")
        if start is not None and start != floor_hour(start):
            raise InvalidError("Start on a full hour (UTC).", [Problem("/from", "within-an-hour")])
        known = self.usage.progress.get(key)
        if known is not None:
            start = min(start, known.start) if start and known.start else None
        if known is None or known.finished or start != known.start:
            run = known.run + 1 if known else 1
            backfill = Backfill(key, run, start, self.clock.now(), actor)
            try:
                self.usage.progress.start(backfill, _audit(backfill))
            except VersionConflictError as error:
                raise UnavailableError("somebody else ordered it: ask again") from error
        else:
            backfill = known
        # Also for one that is known: its first order may have been lost before it was sent.
        self.orders.send([Order(key, backfill.run)], WAIT_SECONDS)
        return backfill

    def carry_out(self, order: Order, out_of_time: Callable[[], bool]) -> None:
        """Does what the order says as far as time allows, and orders the rest.

        Of a meter that is archived nothing more is counted, however many orders are left.
        Raises: UnavailableError: safe to repeat.
        """
        backfill = self.usage.progress.get(order.meter)
        if backfill is None or backfill.run != order.run:
            return  # Another run took over.
        if _archived(self._meter(order.meter)):
            return  # It is left as far as it is: whatever was put is of whole hours.
        if order.customer is None:
            self._list(order, backfill, out_of_time)
        else:
            self._count(order, order.customer, backfill, out_of_time)

    def _list(self, order: Order, backfill: Backfill, out_of_time: Callable[[], bool]) -> None:
        """One order for each customer there is."""
        cursor, listed = order.cursor, order.counted
        while True:
            page = self.store.customers(CUSTOMERS_PER_PAGE, cursor)
            firsts = ((c.key, _first_hour(c, backfill)) for c in page.items)
            self.orders.send(Order(order.meter, order.run, key, at) for key, at in firsts)
            cursor, listed = page.cursor, listed + len(page.items)
            if cursor is None:
                self.usage.progress.list_customers(order.meter, order.run, listed)
                return
            if out_of_time():
                self.orders.send([replace(order, cursor=cursor, counted=listed)])
                return

    def _count(
        self, order: Order, key: str, backfill: Backfill, out_of_time: Callable[[], bool]
    ) -> None:
        """The customer's usage, hour by hour that has events."""
        meter, customer = self._meter(order.meter), self.store.customer(key)
        at, counted = order.at, order.counted
        if customer is not None and at is not None:
            end = floor_hour(customer_now(self.store, self.clock, customer) + MAX_AHEAD) + HOUR
            events = self.usage.events(key, at, end)
            for hour, theirs in groupby(events, lambda event: floor_hour(event.occurred_at)):
                counted += self.usage.put(meter, theirs)
                at = hour + HOUR
                if _archived(self.catalogue.fresh().meters[order.meter]):
                    return
                if out_of_time():
                    self.orders.send([replace(order, at=at, counted=counted)])
                    return
        self.usage.progress.finish_customer(order.meter, backfill.run, key, counted)

    def _meter(self, key: str) -> Meter:
        meter = self.catalogue.newest().meters.get(key)
        if meter is None:
            raise NotFoundError(f"no meter {key}")
        return meter


def _archived(meter: Meter) -> bool:
    return meter.archived_since is not None


def _first_hour(customer: Customer, backfill: Backfill) -> datetime:
    """From when on the customer's usage is looked at: no event of it may be older."""
    first = floor_hour(customer.created_at - MAX_LATENESS - DAY)
    return max(first, backfill.start) if backfill.start else first


def _audit(backfill: Backfill) -> PutAudit:
    return PutAudit(
        at=backfill.requested_at,
        actor=backfill.actor,
        action="meter.backfill",
        subject=backfill.meter,
        after={"run": backfill.run, "from": backfill.start},
    )
