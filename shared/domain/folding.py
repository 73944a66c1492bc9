"""Folding a customer's stream records into its account, as a sequence of steps to write.

A step is one conditional write of the account. Steps are computed before the first of them is
written; a new period is opened exactly between the records that it falls between, so that the
outcome does not depend on how the stream was cut into batches.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.advancing import advance
from shared.domain.catalogue import Catalogue
from shared.domain.credits import Grant, Purse
from shared.domain.customers import Subscription
from shared.domain.errors import MeterlineError
from shared.domain.events import Measurement, UsageEvent, takes_value_back
from shared.domain.opening import Opening
from shared.domain.placing import Claim, claim_of, find_phase
from shared.domain.quarters import floor_quarter
from shared.domain.rating import (
    add_totals,
    charge_usage,
    counted_before,
    rate_card_index,
    subtract_totals,
)
from shared.domain.records import Record, unratable
from shared.domain.reservations import Reservation, settle_by_usage

# The extension attribute by which an event names the reservation that it settles.
RESERVATION = "reservation"
# Late records, claims and reservations take an item each in the account's transaction, which holds
# at most 100. One record can take as many more as a plan has rate cards, and two.
MAX_ITEMS_PER_STEP = 75


@dataclass(frozen=True, slots=True)
class LateUsage:
    """An event that came after its phase closed: billed with `period` under the phase's prices."""

    event: UsageEvent
    phase: int
    period: int


@dataclass(frozen=True, slots=True)
class Step:
    """One write of the account, from `before`: usage or an opening.

    With usage come late events, claims, and the reservations that it settles.
    """

    before: Account
    account: Account
    late: tuple[LateUsage, ...] = ()
    claims: tuple[Claim, ...] = ()
    settled: tuple[Reservation, ...] = ()
    opening: Opening | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What folding needs to know besides the account; all of it immutable for the batch.

    `claimed` are those of the batch's values that are counted already, `reservations` the open ones
    that its events name.
    """

    catalogue: Catalogue
    subscription: Subscription
    grants: Mapping[str, Grant]
    closed: tuple[ClosedPhase, ...] = ()
    claimed: AbstractSet[Claim] = frozenset()
    reservations: Mapping[str, Reservation] = field(default_factory=dict)


@dataclass(slots=True)
class Fold:
    """The running state of folding one batch of one shard into one account."""

    shard: str
    now_seconds: int
    read: Account
    terms: Terms
    account: Account = field(init=False)
    steps: list[Step] = field(default_factory=list)
    rejected: list[tuple[Record, MeterlineError]] = field(default_factory=list)
    _late: list[LateUsage] = field(default_factory=list)
    _claims: list[Claim] = field(default_factory=list)
    _settled: list[Reservation] = field(default_factory=list)
    _reservations: dict[str, Reservation] = field(default_factory=dict)
    _claimed: set[Claim] = field(default_factory=set)
    _pending: bool = False

    def __post_init__(self) -> None:
        self.account = self.read
        self._claimed |= self.terms.claimed
        self._reservations |= self.terms.reservations

    def run(self, records: Sequence[Record]) -> None:
        """Folds the records in stream order; those that cannot be rated end in `rejected`."""
        for record in records:
            if self.account.checkpoints.applied(self.shard, record.sequence):
                continue
            try:
                self._take(record)
            except MeterlineError as error:
                self.rejected.append((record, error))
            self._advance(record.sequence)
            if len(self._late) + len(self._claims) + len(self._settled) >= MAX_ITEMS_PER_STEP:
                self._flush()
        self._flush()

    def redrive(self, record: Record) -> None:
        """Takes a record that its shard passed long ago: the last step moves no checkpoint.

        Raises: MeterlineError if it still cannot be rated.
        """
        self._take(record)
        self._pending = True
        self._flush()

    def _take(self, record: Record) -> None:
        """Opens what the record's time needs open, and charges it.

        Raises: MeterlineError for a record that cannot be rated.
        """
        with unratable():
            self._open_until(record.event.occurred_at)
            self._apply(record)

    def _advance(self, sequence: int) -> None:
        checkpoints = self.account.checkpoints.advanced(self.shard, sequence, self.now_seconds)
        self.account = replace(self.account, checkpoints=checkpoints)
        self._pending = True

    def _flush(self) -> None:
        """Ends the current step of usage, if it holds any."""
        if self._pending:
            self._step(self.account)
            self._late, self._claims, self._settled, self._pending = [], [], [], False

    def _step(self, account: Account, opening: Opening | None = None) -> None:
        """Adds a step that takes the account to its next version."""
        before = self.steps[-1].account if self.steps else self.read
        self.account = replace(account, version=before.version + 1)
        beside = tuple(self._late), tuple(self._claims), tuple(self._settled)
        self.steps.append(Step(before, self.account, *beside, opening))

    def _open_until(self, at: datetime) -> None:
        """Takes what is due before the instant, such as opening periods, each a step of its own."""
        while at >= self.account.boundary:
            grants = tuple(self.terms.grants.values())
            terms = self.terms.subscription
            opening = advance(self.account, terms, self.terms.catalogue, grants)
            self._flush()
            self._step(opening.account, opening=opening)
            subscription = opening.subscription
            self.terms = replace(
                self.terms,
                subscription=replace(subscription, version=subscription.version + 1),
                grants={**self.terms.grants, **{g.id: g for g in opening.grants}},
            )

    def _apply(self, record: Record) -> None:
        """Charges the record's measurements to the phase that its own time picks."""
        at = record.event.occurred_at
        place = find_phase(self.account, self.terms.closed, at)
        phase, closed = place
        account, claims = self.account, []
        for measurement in record.measurements:
            claim = claim_of(phase, measurement, self.terms.catalogue)
            known = claim in self._claimed
            if claim is not None and not known:
                claims.append(claim)
            added = counted_before(measurement) if known else measurement
            account = charge(account, place, added, record.event, self.terms)
        if closed is not None and account is not self.account:
            period = self.account.phases[0].period
            self._late.append(LateUsage(record.event, phase.number, period))
        if closed is None and record.measurements:
            account = _reached(account, phase.number, max(at, phase.start))
        if any(map(takes_value_back, record.measurements)):
            account = noted_stale(account, floor_quarter(at), {record.event.key})
        self.account = self._settle(account, record.event)
        self._claims += claims
        self._claimed.update(claims)

    def _settle(self, after: Account, event: UsageEvent) -> Account:
        """The account without the reservation that the event names, if that is still open.

        Entries that correct the event name it as well; they may come first, and settle nothing.
        """
        if event.correction is not None:
            return after
        named = self._reservations.pop(event.extensions.get(RESERVATION, ""), None)
        if named is None:
            return after
        ended = settle_by_usage(self.account, after, named, event)
        self._settled += ended.reservations
        return ended.account


def _reached(account: Account, number: int, at: datetime) -> Account:
    """The account with the instant noted in an open phase, also for usage that no rate takes."""
    phases = (
        replace(phase, latest=max(at, phase.latest or at)) if phase.number == number else phase
        for phase in account.phases
    )
    return replace(account, phases=tuple(phases))


def noted_stale(account: Account, quarter: datetime, keys: AbstractSet[str]) -> Account:
    """The account with the note that what is left after these events is to be counted anew."""
    noted = account.stale.get(quarter, frozenset()) | keys
    return replace(account, stale={**account.stale, quarter: noted})


def charge(
    account: Account,
    place: tuple[Phase, ClosedPhase | None],
    measurement: Measurement,
    event: UsageEvent,
    terms: Terms,
) -> Account:
    """The account with one measurement charged to its open phase, or to a closed one's late.

    Usage from before the first phase draws what that phase was given: it counts as at its start.
    """
    phase, closed = place
    at = max(event.occurred_at, phase.start)
    plan = phase.plan_in(terms.catalogue)
    index = rate_card_index(plan, measurement)
    if index is None:
        return account
    rate = plan.rate_cards[index]
    purse = Purse(tuple(terms.grants.values()), account.grants)
    since = None
    if event.correction is not None and event.correction.role == "reversal":
        # What ends where the current phase begins may have been rolled over by its opening.
        since = max(event.correction.corrected_at, account.current.start)
    if closed is None:
        at_index = next(i for i, p in enumerate(account.phases) if p.number == phase.number)
        phase = account.phases[at_index]
        charge = charge_usage(rate, phase.totals[index], measurement, at, purse, reversed_at=since)
        phase = replace(phase, totals=_set(phase.totals, index, charge.totals))
        phases = (*account.phases[:at_index], phase, *account.phases[at_index + 1 :])
        return _drawn(replace(account, phases=phases), charge.purse, terms)
    late = account.late.get(phase.number) or tuple(Totals() for _ in closed.billed)
    before = add_totals(closed.billed[index], late[index])
    charge = charge_usage(rate, before, measurement, at, purse, reversed_at=since)
    added = subtract_totals(charge.totals, closed.billed[index])
    late = _set(late, index, added)
    return _drawn(replace(account, late={**account.late, phase.number: late}), charge.purse, terms)


def _drawn(account: Account, purse: Purse, terms: Terms) -> Account:
    """The account with what is left in the purse; spent grants may be open again."""
    held = [grant for left in purse.remaining.values() for grant in left]
    reopened = {g: terms.grants[g].validity for g in held if g not in account.open_grants}
    validity = {**account.validity, **reopened} if reopened else account.validity
    return replace(account, grants=purse.remaining, validity=validity)


def _set(totals: tuple[Totals, ...], index: int, value: Totals) -> tuple[Totals, ...]:
    return (*totals[:index], value, *totals[index + 1 :])
