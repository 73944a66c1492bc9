"""Billing one customer: everything that has fallen due, in due order, each step once.

Steps are keyed by what they close or open, so a run may fire never, twice or five times: the next
one catches up, and a repeated one finds nothing to do.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Literal

from shared.domain.accounts import Account
from shared.domain.advancing import advance
from shared.domain.closing import break_expired, close_period, next_due
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import NotFoundError, UnavailableError, VersionConflictError
from shared.domain.ledger import entry_between
from shared.services.changes import (
    Change,
    PutClosedPhase,
    PutLedgerEntry,
    SaveAccount,
    SaveSubscription,
)
from shared.services.finalizing import finalize
from shared.services.invoicing import late_phases
from shared.services.lapsing import lapse_changes, lapsed
from shared.services.opening import opening_changes, with_due
from shared.services.store import BarrierStore, BillingStore, CatalogueSource

MAX_STEPS = 400  # a year of daily periods to open and close in one go
MAX_LOST_RACES = 12
BARRIER_WAIT_SECONDS = 10.0
BARRIER_POLL_SECONDS = 0.2

Step = Literal["opened", "closed", "broke", "lapsed"]


class HeldError(UnavailableError):
    """Reconciliation found numbers that contradict each other: nothing of them is billed."""

    code = "billing-held"


@dataclass(frozen=True, slots=True)
class _Due:
    """What a step starts from, read consistently."""

    customer: Customer
    account: Account
    subscription: Subscription
    grants: Mapping[str, Grant]


@dataclass(frozen=True, slots=True)
class BillingRun:
    """Runs customers' due steps; `sleep` waits for the stream between looks at a barrier.

    `revalue` counts anew what is left of a customer's values when events were taken back.
    """

    store: BillingStore
    barriers: BarrierStore
    catalogue: CatalogueSource
    grace: timedelta
    sleep: Callable[[float], None]
    revalue: Callable[[str], bool]

    def bill(self, customer: str, now: datetime) -> list[Step]:
        """Every step of the customer that is due at `now`, in due order.

        Raises: NotFoundError for an unknown customer; UnavailableError when the stream has not
        delivered the customer's events yet, or too many races were lost: run it again later;
        HeldError when nothing may be closed until the customer's numbers agree.
        """
        steps: list[Step] = []
        lost = 0
        while len(steps) < MAX_STEPS:
            try:
                step = self._step(self._read(customer), now)
            except VersionConflictError:
                lost += 1
                if lost > MAX_LOST_RACES:
                    raise UnavailableError("lost too many races") from None
                continue
            if step is None:
                break
            steps.append(step)
        return steps

    def _read(self, key: str) -> _Due:
        customer = self.store.customer(key)
        account = self.store.account(key)
        if account is not None and account.stale and self.revalue(key):
            account = self.store.account(key)
        subscription = self.store.subscription(key)
        if customer is None or account is None or subscription is None:
            raise NotFoundError(f"no customer {key}")
        grants = self.store.grants(key, account.open_grants)
        return _Due(customer, account, subscription, grants)

    def _step(self, due: _Due, now: datetime) -> Step | None:
        """The step that falls due first, if it has; None when nothing is due."""
        account, grants = due.account, due.grants
        moment = next_due(account, grants.values(), self.grace)
        if moment > now:
            self._note_due(due, moment)
            return None
        ended = lapsed(self.store, account, moment)
        if ended is not None:
            self.store.commit(lapse_changes(account, ended, moment))
            return "lapsed"
        if account.boundary <= moment:
            self._open(due, now)
            return "opened"
        self._settle(account, moment)
        over = account.phases[0].period != account.current.period
        if over and account.oldest_period_end <= moment - self.grace:
            self._close(due, now)
            return "closed"
        self._break(due, moment)
        return "broke"

    def _note_due(self, due: _Due, moment: datetime) -> None:
        """Keeps the index by due time true, after steps that did not touch the terms."""
        if due.subscription.due_at != moment:
            self.store.commit([SaveSubscription(replace(due.subscription, due_at=moment))])

    def _open(self, due: _Due, now: datetime) -> None:
        grants = tuple(due.grants.values())
        catalogue = self.catalogue.newest()
        opening = advance(due.account, due.subscription, catalogue, grants)
        self.store.commit(
            opening_changes(self.store, due.account, opening, grants, self.grace, now=now)
        )

    def _settle(self, account: Account, moment: datetime) -> None:
        """Waits until the customer's events of before have come down the stream.

        Raises: UnavailableError if they are still on their way; HeldError while numbers contradict.
        """
        if account.held is not None:
            raise HeldError(f"billing is held: {account.held}")
        if account.stale:
            raise UnavailableError("what is left of what was taken back is to be counted first")
        wait_for_barriers(self.barriers, [(account.customer, due_token(moment))], self.sleep)

    def _close(self, due: _Due, now: datetime) -> None:
        """Freezes the oldest open period and finalizes its invoice, in one transaction."""
        catalogue = self.catalogue.newest()
        account = due.account
        closed = late_phases(self.store, account)
        terms = due.subscription
        closing = close_period(account, terms, catalogue, closed, due.grants, now=now)
        after = closing.account
        cause = {"period": str(account.phases[0].period)}
        changes: list[Change] = [
            SaveAccount(after, account.version),
            SaveSubscription(
                with_due(closing.subscription, after, due.grants.values(), self.grace)
            ),
            *(PutClosedPhase(account.customer, phase) for phase in closing.closed),
        ]
        if closing.invoice is not None:
            change = finalize(self.store, terms, closing.invoice, now)
            cause["invoice"] = str(change.document["number"])
            changes.append(change)
        changes.append(PutLedgerEntry(entry_between(account, after, now, "close", cause)))
        self.store.commit(changes)

    def _break(self, due: _Due, moment: datetime) -> None:
        """Posts the remainders of expired grants as breakage."""
        account = due.account
        after = break_expired(account, due.grants, moment, self.grace)
        if after is None:
            raise UnavailableError("nothing to break where something is due")
        entry = entry_between(account, after, moment, "breakage", {"reason": "expired"})
        terms = with_due(due.subscription, after, due.grants.values(), self.grace)
        saved = SaveAccount(after, account.version)
        self.store.commit([saved, SaveSubscription(terms), PutLedgerEntry(entry)])


def due_token(moment: datetime) -> str:
    """Names the barrier that must have come through before steps due at the moment are taken."""
    return f"due-{int(moment.timestamp())}"


def wait_for_barriers(
    barriers: BarrierStore, wanted: list[tuple[str, str]], sleep: Callable[[float], None]
) -> None:
    """Sends (customer, token) barriers and waits until all have come through.

    Raises: UnavailableError if one has not in time.
    """
    waiting = [pair for pair in wanted if not barriers.has_passed(*pair)]
    for customer, token in waiting:
        barriers.send(customer, token)
    waited = 0.0
    while waiting and waited < BARRIER_WAIT_SECONDS:
        sleep(BARRIER_POLL_SECONDS)
        waited += BARRIER_POLL_SECONDS
        waiting = [pair for pair in waiting if not barriers.has_passed(*pair)]
    if waiting:
        raise UnavailableError("the stream has not delivered every event yet")
