"""Repairing: what the stream lost is applied as the stream would have applied it.

Each transaction takes some of the missing events, in order of time, source and id, into the usage
hours and the account that lack them, under the versions that were read. Whoever comes second reads
again, and finds nothing missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account
from shared.domain.folding import Fold, Record, Step
from shared.domain.ledger import entry_between
from shared.domain.reconciliation import RECONCILE
from shared.domain.usage_hours import add_to_hours, hours_touched
from shared.services.changes import (
    Change,
    PutAudit,
    PutLateUsage,
    PutLedgerEntry,
    SaveAccount,
    SaveUsageHour,
)
from shared.services.journal import usage_cause
from shared.services.looks import Look, Missing
from shared.services.opening import opening_changes
from shared.services.store import BillingStore

ACTOR = "reconciliation"
# A transaction holds a hundred writes: usage hours and late events, beside account and ledger.
MAX_WRITES = 90
# Numbers of one repair's records follow each other; those of the next are higher.
NUMBERS_PER_VERSION = 1000


@dataclass(frozen=True, slots=True)
class Repairing:
    """Applies what a look found missing. `grace` is how long a period stays open after its end."""

    store: BillingStore
    grace: timedelta

    def repair(self, look: Look, now: datetime) -> tuple[int, list[str]]:
        """Commits one transaction; returns how many events it applied, and what it could not.

        Where the events come after the account's last period, it opens the next one instead.
        Raises: VersionConflictError if anything was written since the look.
        """
        account = look.account
        chosen = _some(look.missing.values(), account)
        now_seconds = int(now.timestamp())
        fold = Fold(RECONCILE, now_seconds, account, look.terms)
        fold.run([m.record for m in chosen if m.from_account])
        if fold.rejected:
            return 0, [f"event {r.event.key}: {error.detail}" for r, error in fold.rejected]
        step = fold.steps[0] if fold.steps else Step(account, _next(account))
        if step.opening is not None:
            grants = look.terms.grants.values()
            self.store.commit(opening_changes(step.before, step.opening, grants, self.grace))
            return 0, []
        passed = step.account.checkpoints.advanced(RECONCILE, _last(chosen), now_seconds)
        step = replace(step, account=replace(step.account, checkpoints=passed))
        self.store.commit(_changes(look, chosen, step, now))
        return len(chosen), []


def _some(missing: Iterable[Missing], account: Account) -> list[Missing]:
    """As many as one transaction can take, in order, numbered, and all before the next period."""
    ordered = sorted(missing, key=_order)
    chosen: list[Missing] = []
    writes = 0
    for number, each in enumerate(ordered, start=account.version * NUMBERS_PER_VERSION):
        writes += len(each.from_hours) + 1
        after = each.record.event.occurred_at >= account.current.end
        if chosen and (after or writes > MAX_WRITES):
            break
        record = Record(each.record.event, each.record.measurements, number)
        chosen.append(replace(each, record=record))
    return chosen


def _order(missing: Missing) -> tuple[datetime, str, str]:
    event = missing.record.event
    return event.occurred_at, event.source, event.id


def _next(account: Account) -> Account:
    """The next version of an account that lacks nothing: only usage hours lacked the events."""
    return replace(account, version=account.version + 1)


def _last(chosen: Sequence[Missing]) -> int:
    return chosen[-1].record.sequence


def _changes(look: Look, chosen: Sequence[Missing], step: Step, now: datetime) -> list[Change]:
    records = [Record(m.record.event, m.from_hours, m.record.sequence) for m in chosen]
    hours = add_to_hours(records, look.hours, RECONCILE, int(now.timestamp()))
    cause = {**usage_cause(step.before, step.account), "repaired": str(len(chosen))}
    entry = entry_between(step.before, step.account, now, "repair", cause)
    span = [m.record.event.occurred_at for m in chosen]
    audit = PutAudit(
        at=now,
        actor=ACTOR,
        action="repair",
        subject=look.account.customer,
        before={"version": step.before.version},
        after={
            "version": step.account.version,
            "events": [m.record.event.key for m in chosen],
            "usage_hours": len(hours_touched(records)),
            "from": min(span),
            "to": max(span),
        },
    )
    return [
        SaveAccount(step.account, step.before.version),
        PutLedgerEntry(entry),
        audit,
        *(SaveUsageHour(before, after) for before, after in hours),
        *(PutLateUsage(late) for late in step.late),
    ]
