"""Repairing: what the stream lost is applied as the stream would have applied it.

Each transaction takes some of the missing events, in order of time, source and id, into the usage
hours and the account that lack them, under the versions that were read. Whoever comes second reads
again, and finds nothing missing.
"""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count

from shared.domain.accounts import Account
from shared.domain.distinct import ValueKey
from shared.domain.events import keeps_value, takes_value_back
from shared.domain.folding import MAX_ITEMS_PER_STEP, Fold, Step, noted_stale
from shared.domain.hour_writes import HourWrite, add_to_hours
from shared.domain.ledger import entry_between
from shared.domain.placing import claims_of
from shared.domain.quarters import floor_quarter
from shared.domain.reconciliation import RECONCILE
from shared.domain.records import Record
from shared.services.aggregate import beside
from shared.services.changes import (
    Change,
    PutAudit,
    PutLedgerEntry,
    SaveAccount,
    SaveUsageHour,
)
from shared.services.clock import customer_time
from shared.services.journal import usage_cause
from shared.services.looks import Look, Missing
from shared.services.metering import metering_of
from shared.services.opening import opening_changes
from shared.services.setting_aside import grants_for
from shared.services.store import BillingStore

ACTOR = "reconciliation"
# A transaction holds a hundred writes: usage hours, values, claims and late events, beside account
# and ledger. No more than a step of folding, so that one step takes them all.
MAX_WRITES = MAX_ITEMS_PER_STEP
# Numbers of one repair's records follow each other; those of the next are higher.
NUMBERS_PER_VERSION = 1000


@dataclass(frozen=True, slots=True)
class Repairing:
    """Applies what a look found missing. `grace` is how long a period stays open after its end."""

    store: BillingStore
    grace: timedelta

    def repair(self, look: Look, now: datetime) -> tuple[int, list[str]]:
        """Commits one transaction; returns how many events it applied, and what it could not.

        The look then stands after it, with what is still missing. Where the events come after the
        account's last period, it opens the next one instead, and the look is over.
        Raises: VersionConflictError if anything was written since the look.
        """
        account = look.account
        chosen = _some(look.missing.values(), account)
        now_seconds = int(now.timestamp())
        records = [m.record for m in chosen if m.from_account]
        claims = claims_of(records, account, look.terms.closed, look.terms.catalogue)
        claimed = self.store.claimed(account.customer, claims) if claims else frozenset()
        grants = grants_for(self.store, account, [r.event for r in records])
        terms = replace(look.terms, claimed=claimed, grants=grants)
        fold = Fold(RECONCILE, now_seconds, account, terms)
        fold.run(records)
        if fold.rejected:
            return 0, [f"event {r.event.key}: {error.detail}" for r, error in fold.rejected]
        step = fold.steps[0] if fold.steps else Step(account, _next(account))
        if step.opening is not None:
            issued_at = customer_time(self.store, now, account)
            changes = opening_changes(
                self.store, step.before, step.opening, grants.values(), self.grace, now=issued_at
            )
            self.store.commit(changes)
            return 0, []
        passed = step.account.checkpoints.advanced(RECONCILE, _last(chosen), now_seconds)
        after = replace(step.account, checkpoints=passed)
        for each in chosen:
            if _counts_anew(each, look.corrected):
                event = each.record.event
                after = noted_stale(after, floor_quarter(event.occurred_at), {event.key})
        step = replace(step, account=after)
        hours = self._hours(look, chosen, now_seconds)
        self.store.commit(_changes(chosen, step, hours, now))
        look.account = step.account
        look.hours |= {write.after.key: write.after for write in hours}
        for each in chosen:
            del look.missing[each.record.event.key]
        return len(chosen), []

    def note(self, look: Look, now: datetime) -> None:
        """Notes on the account what is to be counted anew, if anything; the look stands after it.

        Raises: VersionConflictError if anything was written since the look.
        """
        if not look.anew:
            return
        before = look.account
        after = _next(before)
        for quarter, keys in look.anew.items():
            after = noted_stale(after, quarter, keys)
        cause = {**usage_cause(before, after), "repaired": "0"}
        entry = PutLedgerEntry(entry_between(before, after, now, "repair", cause))
        self.store.commit([SaveAccount(after, before.version), entry])
        look.account = after
        look.anew.clear()

    def _hours(self, look: Look, chosen: Sequence[Missing], now_seconds: int) -> list[HourWrite]:
        """One write for each usage hour that lacks any of the events.

        Hours of a day can bring the same value, which a transaction writes once: with the first.
        """
        records = [Record(m.record.event, m.from_hours, m.record.sequence) for m in chosen]
        metering = metering_of(self.store, look.account.customer, records, look.hours)
        writes = add_to_hours(records, metering, RECONCILE, now_seconds)
        values: dict[ValueKey, frozenset[int]] = {}
        for [write] in writes:
            for key, quarters in write.values.items():
                values[key] = values.get(key, frozenset()) | quarters
        return [
            replace(write, values={} if number else values) for number, [write] in enumerate(writes)
        ]


def _some(missing: Iterable[Missing], account: Account) -> list[Missing]:
    """As many as one transaction can take, numbered, in order, and all before the next period.

    They are taken as they were named: what is left of a run is then a run, which the next look can
    name again.
    """
    named = list(missing)
    before = [m for m in named if m.record.event.occurred_at < account.current.end]
    taken: list[Missing] = []
    writes = 0
    for each in before or named:
        writes += _writes(each)
        if taken and writes > MAX_WRITES:
            break
        taken.append(each)
    numbers = count(account.version * NUMBERS_PER_VERSION)
    return [
        replace(m, record=replace(m.record, sequence=number))
        for m, number in zip(sorted(taken, key=_order), numbers, strict=False)
    ]


def _counts_anew(missing: Missing, corrected: AbstractSet[str]) -> bool:
    """Whether it takes a value back, or adds one that may have been taken back before it came."""
    record = missing.record
    again = record.event.corrected_key in corrected
    return any(keeps_value(m) if again else takes_value_back(m) for m in record.measurements)


def _writes(missing: Missing) -> int:
    """How many items the event takes at most: hours, their values and claims, itself if late."""
    distinct = sum(m.distinct is not None for m in missing.record.measurements)
    return len(missing.from_hours) + 2 * distinct + 1


def _order(missing: Missing) -> tuple[datetime, str, str]:
    event = missing.record.event
    return event.occurred_at, event.source, event.id


def _next(account: Account) -> Account:
    """The next version of an account that lacks no event itself."""
    return replace(account, version=account.version + 1)


def _last(chosen: Sequence[Missing]) -> int:
    return chosen[-1].record.sequence


def _changes(
    chosen: Sequence[Missing], step: Step, hours: Sequence[HourWrite], now: datetime
) -> list[Change]:
    cause = {**usage_cause(step.before, step.account), "repaired": str(len(chosen))}
    entry = entry_between(step.before, step.account, now, "repair", cause)
    span = [m.record.event.occurred_at for m in chosen]
    audit = PutAudit(
        at=now,
        actor=ACTOR,
        action="repair",
        subject=step.account.customer,
        before={"version": step.before.version},
        after={
            "version": step.account.version,
            "events": [m.record.event.key for m in chosen],
            "usage_hours": len(hours),
            "from": min(span),
            "to": max(span),
        },
    )
    return [
        SaveAccount(step.account, step.before.version),
        PutLedgerEntry(entry),
        audit,
        *(SaveUsageHour(write.before, write.after, write.values) for write in hours),
        *beside(step),
    ]
