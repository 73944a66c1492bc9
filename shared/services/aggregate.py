"""Aggregation: a batch of one shard's stream records into usage hours and accounts, each once.

Per customer, everything that can fail is computed before the first write. Every write is
conditional on what was read and carries the shard's position, so a batch may be delivered again,
cut differently, or stopped between any two writes: the totals come out the same.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from shared.domain.accounts import Account, ClosedPhase
from shared.domain.catalogue import Catalogue
from shared.domain.customers import Customer
from shared.domain.errors import (
    MeterlineError,
    RatingError,
    UnavailableError,
    VersionConflictError,
)
from shared.domain.folding import Fold, Step, Terms
from shared.domain.hour_writes import HourWrite, Metering, add_to_hours, hours_touched
from shared.domain.placing import claims_of, needs_closed_phases
from shared.domain.records import Record, measured
from shared.domain.usage_hours import floor_hour
from shared.services.changes import (
    Change,
    PutClaim,
    PutLateUsage,
    SaveAccount,
    SaveReservation,
    SaveUsageHour,
)
from shared.services.clock import customer_now
from shared.services.customers import creation
from shared.services.metering import metering_of
from shared.services.opening import opening_changes
from shared.services.setting_aside import (
    Attempt,
    StreamRecord,
    grants_for,
    groundless,
    reservations_for,
    set_aside,
)
from shared.services.spread import Spread, one_by_one
from shared.services.store import (
    CLOSED_PHASES_READ,
    BarrierStore,
    BillingStore,
    CatalogueSource,
    Clock,
)

MAX_ATTEMPTS = 12
REVALUE_PATIENCE = timedelta(seconds=10)


@dataclass(slots=True)
class Outcome:
    """What a batch came to. `failed_from` is the first sequence number to deliver again.

    `over_cap` are the usages whose dimension values were over the cap.
    """

    applied: int = 0
    over_cap: int = 0
    quarantined: int = 0
    conflicts: int = 0
    failed_from: int | None = None
    error: MeterlineError | None = None

    def add(self, other: "Outcome") -> None:
        """Adds what another part of the batch came to."""
        self.applied += other.applied
        self.over_cap += other.over_cap
        self.quarantined += other.quarantined
        self.conflicts += other.conflicts
        if other.failed_from is not None:
            self.failed_from = min(other.failed_from, self.failed_from or other.failed_from)
            self.error = other.error


@dataclass(frozen=True, slots=True)
class Aggregator:
    """Folds batches of stream records; `grace` is how long a period stays open after its end.

    `revalue` counts anew what is left of a customer's values when events were taken back, and tells
    whether it could.
    """

    store: BillingStore
    barriers: BarrierStore
    catalogue: CatalogueSource
    clock: Clock
    grace: timedelta
    revalue: Callable[[str], bool]
    spread: Spread = one_by_one

    def apply(self, shard: str, records: Sequence[StreamRecord]) -> Outcome:
        """Applies one shard's records, customer by customer, then passes its barriers."""
        outcome = Outcome()
        by_customer: dict[str, list[StreamRecord]] = {}
        for record in records:
            if record.barrier is None:
                by_customer.setdefault(record.customer, []).append(record)
        for theirs in self.spread(
            lambda of: self._customer_outcome(shard, *of), list(by_customer.items())
        ):
            outcome.add(theirs)
        for record in records:
            stopped = outcome.failed_from is not None and record.sequence > outcome.failed_from
            if record.barrier is not None and not stopped:
                self.barriers.mark_passed(record.customer, record.barrier)
        return outcome

    def _customer_outcome(
        self, shard: str, customer: str, records: Sequence[StreamRecord]
    ) -> Outcome:
        """What one customer's records came to; its failure is its own."""
        outcome = Outcome()
        try:
            self._apply_customer(shard, customer, records, outcome)
        except MeterlineError as error:
            outcome.error = error
            outcome.failed_from = min(record.sequence for record in records)
        return outcome

    def _apply_customer(
        self, shard: str, customer: str, records: Sequence[StreamRecord], outcome: Outcome
    ) -> None:
        """Reads, computes, writes; starts over when another writer was faster."""
        for _ in range(MAX_ATTEMPTS):
            try:
                if self._attempt(shard, customer, records, outcome):
                    return
            except VersionConflictError:
                outcome.conflicts += 1
        raise UnavailableError(f"gave up after {MAX_ATTEMPTS} lost races")

    def _attempt(
        self, shard: str, customer: str, records: Sequence[StreamRecord], outcome: Outcome
    ) -> bool:
        """One attempt; False asks for another, after a customer was made or records set aside."""
        catalogue = self._catalogue(records)
        state = self._read(shard, customer, records, catalogue)
        if state is None:
            return not self._create(customer, records, catalogue)
        now_seconds = int(self.clock.now().timestamp())
        fold = Fold(shard, now_seconds, state.account, state.terms)
        fold.run(state.records)
        by_key = {record.key: record for record in records}
        known = {record.key for record, _ in state.rejected}
        unratable = [(r, error) for r, error in fold.rejected if r.event.key not in known]
        state.rejected += [(by_key[r.event.key], error) for r, error in unratable]
        if state.rejected:
            # Only the newest catalogue may say that something does not exist.
            if self.catalogue.newest().version == catalogue.version:
                for _ in set_aside(self.store, shard, state, self.clock.now()):
                    outcome.quarantined += 1
            return False
        hours = add_to_hours(state.records, state.metering, shard, now_seconds)
        self.spread(self._save_hour, hours)
        for step in fold.steps:
            self.store.commit(self._changes(step, state.terms))
        # Counted before anything else may fail: who comes again finds nothing left to apply.
        outcome.applied += len(state.records)
        outcome.over_cap += _over_cap(state)
        self._revalue(fold.account, state.records)
        return True

    def _revalue(self, account: Account, records: Sequence[Record]) -> None:
        """Counts anew what was taken back, by these records or earlier ones.

        What is on its way to the index or through another shard is waited for, but not for long:
        whatever comes next in the same hour, the billing run or reconciliation tries again.
        Raises: UnavailableError while it is worth waiting.
        """
        if not account.stale:
            return
        touched = {floor_hour(record.event.occurred_at) for record in records}
        if touched.isdisjoint(map(floor_hour, account.stale)) or self.revalue(account.customer):
            return
        stale = {key for keys in account.stale.values() for key in keys}
        patience = self.clock.now() - REVALUE_PATIENCE
        if any(r.event.key in stale and r.event.received_at > patience for r in records):
            raise UnavailableError("what is left of what was taken back cannot be counted yet")

    def _save_hour(self, writes: Sequence[HourWrite]) -> None:
        """One hour's writes, each of which stands on the one before."""
        for write in writes:
            self.store.commit([SaveUsageHour(write.before, write.after, write.values)])

    def _catalogue(self, records: Sequence[StreamRecord]) -> Catalogue:
        """One that knows what ingest knew when it took the records in."""
        catalogue = self.catalogue.fresh()
        stamps = (r.event.catalogue_version for r in records if r.event)
        if max(stamps, default=0) > catalogue.version:
            return self.catalogue.newest()
        return catalogue

    def _create(self, customer: str, records: Sequence[StreamRecord], catalogue: Catalogue) -> bool:
        """Makes a customer first seen in an event, on the default plan since it was received."""
        received = [r.event.received_at for r in records if r.event]
        started_at = received[0] if received else self.clock.now()
        profile = Customer(customer, created_at=started_at)
        self.store.commit(creation(self.store, catalogue, profile, started_at, self.grace))
        return True

    def _read(
        self, shard: str, customer: str, records: Sequence[StreamRecord], catalogue: Catalogue
    ) -> Attempt | None:
        """Everything the customer's records need, read consistently, less what is set aside.

        None if the customer is not known yet.
        """
        readable, unreadable = _measured(records, catalogue)
        footing = self.store.footing(customer, hours_touched(readable, Metering({})))
        account, subscription = footing.account, footing.subscription
        if account is None:
            return None
        if subscription is None:
            raise UnavailableError("the account has no subscription")
        if account.quarantined_at is not None:
            # However long ago: a verdict outlives every promise of when a stream redelivers.
            aside = self.store.quarantined(customer, [r.key for r in records])
            readable = [r for r in readable if r.event.key not in aside]
            unreadable = [(r, error) for r, error in unreadable if r.key not in aside]
            waiting = groundless(self.store, customer, [r.event for r in readable])
            by_key = {r.key: r for r in records}
            unreadable += [(by_key[key], error) for key, error in waiting.items()]
        applied = account.checkpoints.applied
        rejected = [(r, error) for r, error in unreadable if not applied(shard, r.sequence)]
        closed: Sequence[ClosedPhase] = ()
        if any(needs_closed_phases(account, r.event.occurred_at) for r in readable):
            closed = self.store.closed_phases(customer, CLOSED_PHASES_READ)
        grants = grants_for(self.store, account, [r.event for r in readable])
        # Read after the account: a claim made since has moved its version on.
        claims = claims_of(readable, account, closed, catalogue)
        claimed = self.store.claimed(customer, claims) if claims else frozenset()
        # These, too: what settles one moves the account's version on.
        reservations = reservations_for(self.store, customer, [r.event for r in readable])
        terms = Terms(catalogue, subscription, grants, tuple(closed), claimed, reservations)
        metering = metering_of(self.store, customer, readable, footing.hours)
        return Attempt(account, terms, metering, readable, rejected)

    def _changes(self, step: Step, terms: Terms) -> list[Change]:
        """One step's commit: a lone account write, or a transaction around it."""
        if step.opening is not None:
            now = customer_now(self.store, self.clock, step.before)
            grants = terms.grants.values()
            return opening_changes(
                self.store, step.before, step.opening, grants, self.grace, now=now
            )
        return [SaveAccount(step.account, step.before.version), *beside(step)]


def beside(step: Step) -> list[Change]:
    """What a step of usage notes beside the account: late events, claims, settled reservations."""
    claims = (PutClaim(step.account.customer, claim) for claim in step.claims)
    settled = (SaveReservation(reservation, "open") for reservation in step.settled)
    return [*(PutLateUsage(late) for late in step.late), *claims, *settled]


def _over_cap(state: Attempt) -> int:
    """How many usages of the records are in no group of their own; without a register, none."""
    if not state.metering.registers:
        return 0
    places = (state.metering.place(r, m) for r in state.records for m in r.measurements)
    return sum(place.other for place in places)


def _measured(
    records: Sequence[StreamRecord], catalogue: Catalogue
) -> tuple[list[Record], list[tuple[StreamRecord, MeterlineError]]]:
    """The records with what their meters read, and those that cannot be what ingest stored."""
    readable: list[Record] = []
    unreadable: list[tuple[StreamRecord, MeterlineError]] = []
    for record in records:
        try:
            readable.append(_measure(record, catalogue))
        except MeterlineError as error:
            unreadable.append((record, error))
    return readable, unreadable


def _measure(record: StreamRecord, catalogue: Catalogue) -> Record:
    event = record.event
    if event is None:
        raise record.error or RatingError("the record is no event")
    return measured(event, record.sequence, catalogue)
