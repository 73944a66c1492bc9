"""Redriving: a record that was set aside is applied after all, once, when its cause is gone.

Later records of its shard have passed it, so no checkpoint says whether it was applied: its own
quarantine item does. The transaction that marks it redriven applies what was not applied, under
the versions that were read, so whoever comes second finds it marked.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import ClosedPhase
from shared.domain.errors import (
    ConflictError,
    MeterlineError,
    NotFoundError,
    UnavailableError,
    VersionConflictError,
)
from shared.domain.folding import Fold, Step, Terms
from shared.domain.hour_writes import Metering, hours_touched, redrive_to_hours
from shared.domain.ledger import entry_between
from shared.domain.placing import claims_of, needs_closed_phases
from shared.domain.records import Record, measured
from shared.domain.usage_hours import REDRIVE
from shared.services.aggregate import MAX_ATTEMPTS, beside
from shared.services.changes import (
    Change,
    ExplainQuarantine,
    MarkRedriven,
    PutAudit,
    PutLedgerEntry,
    SaveAccount,
    SaveUsageHour,
)
from shared.services.clock import customer_time
from shared.services.event_list import EventIndex
from shared.services.journal import usage_cause
from shared.services.metering import metering_of
from shared.services.opening import opening_changes
from shared.services.setting_aside import (
    EVERY_METER,
    grants_for,
    groundless,
    reservations_for,
    usage_of,
)
from shared.services.store import (
    CLOSED_PHASES_READ,
    BillingStore,
    CatalogueSource,
    Clock,
    Footing,
    QuarantinedRecord,
)


class NotApplicableError(ConflictError):
    """The record still cannot be applied: it stays in quarantine, and says why (409)."""

    code = "not-applicable"


@dataclass(frozen=True, slots=True)
class Redriven:
    """The record as it is now; `now_applied` False if an earlier redrive had applied it."""

    record: QuarantinedRecord
    now_applied: bool


@dataclass(frozen=True, slots=True)
class Redrive:
    """Redrives quarantined records; nothing of it depends on the stream.

    `revalue` counts anew what is left of a customer's values when events were taken back.
    """

    store: BillingStore
    events: EventIndex
    catalogue: CatalogueSource
    clock: Clock
    grace: timedelta
    revalue: Callable[[str], bool]

    def redrive(self, customer: str, event_key: str, actor: str) -> Redriven:
        """Applies the record unless it was redriven before; a repeat finds it so.

        Raises: NotFoundError if it was never set aside; NotApplicableError if it still cannot be
        applied; UnavailableError after too many lost races.
        """
        for _ in range(MAX_ATTEMPTS):
            kept = self.store.quarantined_record(customer, event_key)
            if kept is None:
                raise NotFoundError("No such record in quarantine.")
            if kept.redriven_at is not None:
                return Redriven(kept, now_applied=False)
            now = self.clock.now()
            try:
                self._apply(kept, actor, now)
            except VersionConflictError:
                continue
            with suppress(VersionConflictError):
                # What comes to nothing is still noted as stale, for whoever comes next.
                self.revalue(customer)
            return Redriven(replace(kept, redriven_at=now), now_applied=True)
        raise UnavailableError(f"gave up after {MAX_ATTEMPTS} lost races")

    def _apply(self, kept: QuarantinedRecord, actor: str, now: datetime) -> None:
        """One attempt: openings that come first, each a commit of its own, then the record."""
        try:
            record = self._record(kept)
            footing, fold = self._folded(record, now)
        except (VersionConflictError, UnavailableError):
            raise
        except MeterlineError as error:
            why = ExplainQuarantine(kept.customer, kept.event_key, error.code, error.detail)
            self.store.commit([why])
            raise NotApplicableError(f"{error.code}: {error.detail}") from error
        grants = fold.terms.grants.values()
        *openings, step = fold.steps
        for each in openings:
            if each.opening is not None:
                issued_at = customer_time(self.store, now, each.before)
                self.store.commit(
                    opening_changes(
                        self.store, each.before, each.opening, grants, self.grace, now=issued_at
                    )
                )
        unmetered = replace(
            record,
            measurements=tuple(
                m
                for m in record.measurements
                if EVERY_METER in kept.not_applied or usage_of(m.meter) in kept.not_applied
            ),
        )
        metering = metering_of(self.store, kept.customer, [record], footing.hours)
        hours = redrive_to_hours(unmetered, metering, int(now.timestamp()))
        self.store.commit(
            [
                MarkRedriven(kept.customer, kept.event_key, now),
                *(_account_changes(step, kept, now) if "account" in kept.not_applied else ()),
                *(SaveUsageHour(write.before, write.after, write.values) for write in hours),
                _audit(kept, actor, now),
            ]
        )

    def _record(self, kept: QuarantinedRecord) -> Record:
        """The raw event, read again by the code that runs now, and what its meters read."""
        event = self.events.get(kept.customer, kept.event_key)
        if event is None:
            raise NotFoundError("there is no raw event of this identity")
        for error in groundless(self.store, kept.customer, [event]).values():
            raise error
        return measured(event, 0, self.catalogue.newest())

    def _folded(self, record: Record, now: datetime) -> tuple[Footing, Fold]:
        """Everything the record needs, read consistently, and the steps that apply it."""
        event = record.event
        footing = self.store.footing(event.customer, hours_touched([record], Metering({})))
        account, subscription = footing.account, footing.subscription
        if account is None or subscription is None:
            raise UnavailableError("the customer has no account yet")
        closed: Sequence[ClosedPhase] = ()
        if needs_closed_phases(account, event.occurred_at):
            closed = self.store.closed_phases(event.customer, CLOSED_PHASES_READ)
        grants = grants_for(self.store, account, [event])
        # Read last: it then holds every plan version that the account names.
        catalogue = self.catalogue.newest()
        claims = claims_of([record], account, closed, catalogue)
        claimed = self.store.claimed(event.customer, claims) if claims else frozenset()
        reservations = reservations_for(self.store, event.customer, [event])
        terms = Terms(catalogue, subscription, grants, tuple(closed), claimed, reservations)
        fold = Fold(REDRIVE, int(now.timestamp()), account, terms)
        fold.redrive(record)
        return footing, fold


def _account_changes(step: Step, kept: QuarantinedRecord, now: datetime) -> list[Change]:
    """The account with the record, and the ledger entry that names it."""
    cause = {**usage_cause(step.before, step.account), "redriven": kept.event_key}
    return [
        SaveAccount(step.account, step.before.version),
        PutLedgerEntry(entry_between(step.before, step.account, now, "usage", cause)),
        *beside(step),
    ]


def _audit(kept: QuarantinedRecord, actor: str, now: datetime) -> PutAudit:
    return PutAudit(
        at=now,
        actor=actor,
        action="redrive",
        subject=f"{kept.customer}/{kept.event_key}",
        before={"reason": kept.reason, "not_applied": list(kept.not_applied)},
        after={"redriven_at": now},
    )
