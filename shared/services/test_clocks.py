"""Test clocks: customers that live on a time of their own, so that a month passes in seconds."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Protocol

from shared.domain.closing import next_due
from shared.domain.errors import (
    ConflictError,
    NotFoundError,
    UnavailableError,
    VersionConflictError,
)
from shared.services.billing_run import BillingRun, due_token, wait_for_barriers
from shared.services.store import BarrierStore, BillingStore

JOURNAL_WAIT_SECONDS = 20.0
JOURNAL_POLL_SECONDS = 0.2
JOURNAL_LOOKBACK = 100  # entries; the journal goes in order, so gaps are at its newest end


@dataclass(frozen=True, slots=True)
class TestClock:
    """A clock that stands at `now` until it is advanced."""

    __test__: ClassVar = False  # The field's own word; pytest must not collect it.

    id: str
    now: datetime


class ClockStore(Protocol):
    """Where test clocks are kept."""

    def create(self, clock: TestClock) -> None:
        """Puts a new clock."""

    def move(self, clock: TestClock) -> None:
        """Sets the clock's time.

        Raises: VersionConflictError if it is past that time already, or gone.
        """

    def delete(self, clock_id: str, customers: Sequence[str]) -> None:
        """Removes the clock and everything of its customers."""


@dataclass(frozen=True, slots=True)
class TestClocks:
    """Making, advancing and removing test clocks."""

    __test__: ClassVar = False

    store: BillingStore
    clocks: ClockStore
    barriers: BarrierStore
    billing_run: BillingRun
    sleep: Callable[[float], None]

    def create(self, now: datetime) -> TestClock:
        """A new clock that stands at `now`."""
        clock = TestClock("clk_" + secrets.token_hex(8), now)
        self.clocks.create(clock)
        return clock

    def get(self, clock_id: str) -> TestClock:
        """The clock.

        Raises: NotFoundError.
        """
        now = self.store.clock(clock_id)
        if now is None:
            raise NotFoundError("no such test clock")
        return TestClock(clock_id, now)

    def delete(self, clock_id: str) -> None:
        """Removes the clock with its customers.

        Raises: NotFoundError; UnavailableError while the streams have not delivered everything.
        """
        self.get(clock_id)
        members = self.store.clock_members(clock_id)
        # What is still in the streams would make the customer anew, off the clock.
        self._drain(members)
        self._wait_for_journal(members)
        self.clocks.delete(clock_id, members)

    def advance(self, clock_id: str, to: datetime, out_of_time: Callable[[], bool]) -> TestClock:
        """Moves the clock, running what falls due for its customers in due order at its own time.

        Returns when streams are drained and the ledger is journaled. Safe to repeat.

        Raises: NotFoundError; ConflictError for a time that is past; UnavailableError when it must
        be called again to go on, the clock standing at what it has reached.
        """
        clock = self.get(clock_id)
        if to < clock.now:
            raise ConflictError("a test clock only moves forward")
        members = self.store.clock_members(clock_id)
        self._drain(members)
        while (due := self._next_due(members)) and due[0] <= to:
            moment, customers = due
            if out_of_time():
                raise UnavailableError("not everything that is due has run yet: advance again")
            clock = self._move(clock_id, max(moment, clock.now))
            wait_for_barriers(
                self.barriers, [(c, due_token(moment)) for c in customers], self.sleep
            )
            for customer in customers:
                self.billing_run.bill(customer, moment)
        clock = self._move(clock_id, to)
        self._drain(members)
        self._wait_for_journal(members)
        return clock

    def _move(self, clock_id: str, to: datetime) -> TestClock:
        clock = TestClock(clock_id, to)
        try:
            self.clocks.move(clock)
        except VersionConflictError:
            raise ConflictError("the test clock was moved or removed meanwhile") from None
        return clock

    def _next_due(self, members: Sequence[str]) -> tuple[datetime, list[str]] | None:
        """The earliest moment at which something falls due, and for which customers."""
        moments: dict[datetime, list[str]] = {}
        for customer in members:
            account = self.store.account(customer)
            if account is None:
                continue
            grants = self.store.grants(customer, account.open_grants).values()
            moment = next_due(account, grants, self.billing_run.grace)
            moments.setdefault(moment, []).append(customer)
        return min(moments.items()) if moments else None

    def _drain(self, members: Sequence[str]) -> None:
        """Waits until every event stored so far is applied."""
        token = "advance-" + secrets.token_hex(8)
        wait_for_barriers(self.barriers, [(c, token) for c in members], self.sleep)

    def _wait_for_journal(self, members: Sequence[str]) -> None:
        """Waits until every version of each account has its ledger entry.

        Raises: UnavailableError if one has not in time.
        """
        waiting = list(members)
        waited = 0.0
        while waiting := [c for c in waiting if not self._journaled(c)]:
            if waited >= JOURNAL_WAIT_SECONDS:
                raise UnavailableError("the ledger is not journaled yet")
            self.sleep(JOURNAL_POLL_SECONDS)
            waited += JOURNAL_POLL_SECONDS

    def _journaled(self, customer: str) -> bool:
        account = self.store.account(customer)
        if account is None:
            return True
        # People's operations write their own entries, which may stand above a gap still to fill.
        version = account.version
        newest = self.store.ledger(customer, JOURNAL_LOOKBACK, None, newest_first=True).items
        for entry in newest:
            if entry.to_version != version:
                return False
            version = entry.from_version
        return version == 0 or len(newest) == JOURNAL_LOOKBACK
