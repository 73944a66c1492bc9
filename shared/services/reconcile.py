"""Reconciliation: the system checks its own numbers, repairs what was lost, stops what contradicts.

Raw events against usage hours, usage hours against account phases, balances against the ledger. An
hour is judged when all its events were received `settle` ago by the machine's clock, so nothing
that is only late in the stream is ever taken for lost; and once more when no event of it can come
in any more. Every pass goes on where the last one stopped.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account
from shared.domain.closing import next_due
from shared.domain.customers import Customer
from shared.domain.days import DAY
from shared.domain.errors import NotFoundError, UnavailableError, VersionConflictError
from shared.domain.events import time_text
from shared.domain.usage_hours import floor_hour
from shared.services.billing_run import due_token, wait_for_barriers
from shared.services.bookkeeping import Bookkeeping
from shared.services.clock import customer_now
from shared.services.customers import creation
from shared.services.holding import hold
from shared.services.ingest import MAX_AHEAD, MAX_LATENESS
from shared.services.looks import MAX_UNKNOWN, IsOver, Look, OutOfTimeError, Span
from shared.services.reconciliation import (
    RawEvents,
    Reconciliation,
    ReconciliationStore,
    days_with_events,
)
from shared.services.recounting import Recounting
from shared.services.repairing import ACTOR, Repairing
from shared.services.store import BarrierStore, BillingStore, CatalogueSource, Clock
from shared.services.usage_days import READY_FOR, busy_meters

MAX_ATTEMPTS = 100  # looks at one span; each that finds something repairs a part of it
MAX_STANDSTILLS = 20
STANDSTILL_SECONDS = 0.1
MAX_POSTPONED = 100
HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Pass:
    """What one pass over a customer came to; `finished` False asks for another.

    `busy` are the meters whose days are to be kept rolled up for questions: nothing that was found.
    """

    repaired: int = 0
    spanned: int = 0
    findings: list[str] = field(default_factory=list)
    finished: bool = True
    busy: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Reconciles customers. `settle` is how long after its receipt an event is judged by.

    `revalue` counts anew what is left of a customer's values when events were taken back, and tells
    whether it could; `check_backfills` computes backfilled usage anew, and says how many events it
    lacked.
    """

    store: BillingStore
    notes: ReconciliationStore
    raw: RawEvents
    barriers: BarrierStore
    catalogue: CatalogueSource
    clock: Clock
    recounting: Recounting
    repairing: Repairing
    bookkeeping: Bookkeeping
    settle: timedelta
    sleep: Callable[[float], None]
    revalue: Callable[[str], bool]
    check_backfills: Callable[[Customer, Sequence[Span]], int] = lambda *_: 0

    def reconcile(
        self, key: str, out_of_time: IsOver = lambda: False, *, again: bool = False
    ) -> Pass:
        """One pass over everything of the customer that is due to be judged.

        With `again`, also over what was judged already and can still get late events. What there
        is no time for is left to another pass. Safe to repeat.
        Raises: NotFoundError for a customer without a profile or events; UnavailableError when the
        stream is behind or the customer is too busy: try again later.
        """
        now = self.clock.now()
        customer = self._customer(key, now)
        note = self.notes.reconciliation(key) or Reconciliation(key)
        result = Pass()
        note = self._hours(customer, note, result, now, out_of_time, again=again)
        if out_of_time():
            result.finished = False
        else:
            result.findings += self._revalued(key)
        account = self._account(key)
        result.findings += self._books(account)
        if again:
            note = replace(note, ledger_version=0)
        note, result.spanned, wrong = self.bookkeeping.ledger(note, account, now)
        result.findings += wrong
        findings = tuple(result.findings)
        clean = result.finished and not findings
        if findings or (clean and account.held is not None):
            hold(self.store, key, "; ".join(findings) or None, ACTOR, now)
        if clean:
            self._pass_lost_barrier(customer, note)
        clean_at = now if clean else note.clean_at
        self.notes.save(replace(note, checked_at=now, clean_at=clean_at, findings=findings))
        return result

    def release(self, key: str, actor: str) -> None:
        """Lets billing go on although numbers contradict, until the next pass finds them again.

        Raises: NotFoundError; UnavailableError.
        """
        if self.store.customer(key) is None:
            raise NotFoundError("No such customer.")
        hold(self.store, key, None, actor, self.clock.now())

    def _customer(self, key: str, now: datetime) -> Customer:
        """The profile; made anew if the stream lost the very events that would have made it."""
        known = self.store.customer(key)
        if known is not None:
            return known
        start, end = now - MAX_LATENESS - self.settle - DAY, now - self.settle
        for raw in self.raw.between(key, start, end):
            if raw.event is not None and raw.event.received_at < end:
                customer = Customer(key, created_at=raw.event.received_at)
                grace, catalogue = self.repairing.grace, self.catalogue.newest()
                self._drain(key)
                known = self.store.customer(key)
                if known is not None:
                    return known
                changes = creation(self.store, catalogue, customer, customer.created_at, grace)
                self.store.commit(changes)
                return customer
        raise NotFoundError("No such customer.")

    def _account(self, key: str) -> Account:
        account = self.store.account(key)
        if account is None:
            raise UnavailableError("the customer has no account yet")
        return account

    def _revalued(self, key: str) -> list[str]:
        """What was taken back and cannot be counted anew, when everything was delivered."""
        if not self._account(key).stale:
            return []
        self._drain(key)
        for _ in range(MAX_STANDSTILLS):
            with suppress(VersionConflictError):
                if self.revalue(key):
                    return []
            self.sleep(STANDSTILL_SECONDS)
        at = time_text(min(self._account(key).stale))
        return [f"usage at {at}: what is left of what was taken back cannot be told"]

    def _books(self, account: Account) -> list[str]:
        """What two readings find wrong: a void or a close may have come between two reads."""
        found = list(self.bookkeeping.books(account))
        if not found:
            return found
        seen_again = set(self.bookkeeping.books(self._account(account.customer)))
        return [finding for finding in found if finding in seen_again]

    def _hours(
        self,
        customer: Customer,
        note: Reconciliation,
        result: Pass,
        now: datetime,
        out_of_time: IsOver,
        *,
        again: bool,
    ) -> Reconciliation:
        """Judges what is due; the note moves on as far as everything was right."""
        there = customer_now(self.store, self.clock, customer)
        on_machine_clock = customer.test_clock is None
        # A test clock stands still: the hour that it stands in is judged as the others are.
        until = floor_hour(there - self.settle if on_machine_clock else there + HOUR)
        closed_until = until - MAX_LATENESS
        first = floor_hour(customer.created_at - MAX_UNKNOWN - MAX_LATENESS)
        judged, settled = note.judged_until or first, note.settled_until or first
        ahead = floor_hour(there + MAX_AHEAD) + HOUR
        theirs = (self.raw, customer.key)
        if again:
            days = [*days_with_events(*theirs, settled, ahead)]
        else:
            days = [*days_with_events(*theirs, settled, closed_until)]
            # What can get no more late events need not be judged twice.
            days += days_with_events(*theirs, max(judged, min(closed_until, until)), until)
        alone = [h for h in note.postponed if not any(start <= h < end for start, end in days)]
        todo = [*((hour, hour + HOUR) for hour in alone), *days]
        young: set[datetime] = set()
        items, read = Counter[str](), timedelta()
        while todo:
            look = self._judge(customer.key, todo, now, result, out_of_time)
            if look is None or result.findings:
                result.finished = False
                break
            result.repaired += self.check_backfills(customer, look.spans)
            young |= look.young
            items += look.items
            read += sum((end - start for start, end in look.spans), timedelta())
            todo = todo[len(look.spans) :]
        # What was not reached is left for the next pass.
        reached = next((start for start, _ in todo if start not in alone), ahead)
        young |= {start for start, _ in todo if start in alone}
        judged = max(judged, min(reached, until))
        settled = max(settled, min(reached, closed_until))
        busy = {meter: at for meter, at in note.busy.items() if at > now - READY_FOR}
        if on_machine_clock:  # On others no day is ever long over.
            busy |= dict.fromkeys(busy_meters(items, read), now)
        result.busy = tuple(sorted(busy))
        return _postponing(replace(note, busy=busy), young, judged, settled)

    def _judge(
        self, key: str, spans: Sequence[Span], now: datetime, result: Pass, is_over: IsOver
    ) -> Look | None:
        """Looks until everything is right or twice contradicts; the last look.

        None when time is up: what was repaired by then stays. Nothing is repaired or believed
        before the stream has delivered what it holds.
        Raises: UnavailableError.
        """
        look = self._look(key, spans, now, is_over)
        if look is None or look.right:
            return look
        spans = look.spans
        contradicted, standstills = bool(look.findings), 0
        self._drain(key)
        for _ in range(MAX_ATTEMPTS):
            look = self._look(key, spans, now, is_over)
            if look is None:
                return None
            if look.right or (look.findings and contradicted):
                break
            contradicted = bool(look.findings)
            if look.unsettled or contradicted:
                standstills += 1
                if standstills > MAX_STANDSTILLS:
                    raise UnavailableError("the customer is too busy to be repaired now")
                self.sleep(STANDSTILL_SECONDS)
                continue
            try:
                look.findings += self._repair(look, now, result)
            except VersionConflictError:
                continue
            if look.findings:
                break
        else:
            raise UnavailableError("there is more to repair: go on later")
        result.findings += dict.fromkeys(look.findings)
        return look

    def _repair(self, look: Look, now: datetime, result: Pass) -> list[str]:
        """Applies what is missing, one transaction after the other; what could not be applied.

        Raises: VersionConflictError if anything else was written since the look.
        """
        self.repairing.note(look, now)
        while look.missing:
            repaired, refused = self.repairing.repair(look, now)
            result.repaired += repaired
            if refused or not repaired:
                return refused
        return []

    def _look(self, key: str, spans: Sequence[Span], now: datetime, is_over: IsOver) -> Look | None:
        """A look, unless time is up."""
        with suppress(OutOfTimeError):
            return None if is_over() else self.recounting.look(key, spans, now - self.settle, now)
        return None

    def _drain(self, key: str) -> None:
        """Waits until the stream has delivered every event stored so far."""
        token = "reconcile-" + secrets.token_hex(8)
        wait_for_barriers(self.barriers, [(key, token)], self.sleep)

    def _pass_lost_barrier(self, customer: Customer, note: Reconciliation) -> None:
        """Lets a step go on whose barrier the stream lost with the events before it.

        All events from before the step have been judged, so there is nothing left to wait for.
        """
        key = customer.key
        terms = self.store.subscription(key)
        if terms is None or note.judged_until is None:
            return
        there = customer_now(self.store, self.clock, customer)
        judged = min(note.judged_until, there, *note.postponed)
        if terms.due_at > judged:
            return
        account = self._account(key)
        grants = self.store.grants(key, account.open_grants).values()
        moment = next_due(account, grants, self.repairing.grace)
        if moment <= judged and not self.barriers.has_passed(key, due_token(moment)):
            self.barriers.mark_passed(key, due_token(moment))


def _postponing(
    note: Reconciliation, young: Iterable[datetime], judged: datetime, settled: datetime
) -> Reconciliation:
    """The note of what was judged up to there, but for young hours."""
    kept = sorted(hour for hour in young if hour < judged)
    if len(kept) > MAX_POSTPONED:  # From the first one left out on, all is judged again.
        judged, kept = kept[MAX_POSTPONED], kept[:MAX_POSTPONED]
        settled = min(settled, judged)
    return replace(note, judged_until=judged, settled_until=settled, postponed=tuple(kept))
