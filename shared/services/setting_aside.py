"""Setting aside: a record that cannot be applied goes to quarantine, and the batch goes on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.accounts import Account
from shared.domain.credits import Grant
from shared.domain.errors import MeterlineError
from shared.domain.events import UsageEvent
from shared.domain.folding import RESERVATION, Terms
from shared.domain.hour_writes import Metering, hours_touched
from shared.domain.records import Record
from shared.domain.reservations import Reservation
from shared.domain.usage_hours import HourKey, UsageHour, fenced
from shared.services.changes import PutQuarantine, SaveAccount, SaveUsageHour
from shared.services.store import BillingStore

# What `not_applied` of a quarantined record may hold besides "account".
EVERY_METER = "usage:*"


def usage_of(meter: str) -> str:
    """The name of a meter's usage hour in `not_applied`."""
    return f"usage:{meter}"


@dataclass(frozen=True, slots=True)
class StreamRecord:
    """One record of the usage-events stream: a stored event, or a barrier (event None).

    `raw` is the stored item as JSON text; `error` says why it could not be read as an event.
    """

    sequence: int
    customer: str
    key: str
    event: UsageEvent | None = None
    barrier: str | None = None
    raw: str = ""
    error: MeterlineError | None = None


class NothingToReverseError(MeterlineError):
    """A reversal of what is itself in quarantine: that has to be redriven first."""

    code = "reverses-quarantined"


def groundless(
    store: BillingStore, customer: str, events: Sequence[UsageEvent]
) -> Mapping[str, MeterlineError]:
    """Those of the events, by key, that reverse what is in quarantine, with why."""
    reversals = {e.reversed_key: e.key for e in events if e.reversed_key is not None}
    if not reversals:
        return {}
    ever = store.quarantined(customer, reversals)
    records = (store.quarantined_record(customer, key) for key in ever)
    detail = "what it takes back is in quarantine: redrive that first"
    return {
        reversals[kept.event_key]: NothingToReverseError(detail)
        for kept in records
        if kept is not None and kept.redriven_at is None
    }


def grants_for(
    store: BillingStore, account: Account, events: Iterable[UsageEvent]
) -> Mapping[str, Grant]:
    """The grants that the events may draw; where they reverse, also those that may take back."""
    if any(event.reversed_key is not None for event in events):
        return {grant.id: grant for grant in store.all_grants(account.customer)}
    return store.grants(account.customer, account.open_grants)


def reservations_for(
    store: BillingStore, customer: str, events: Iterable[UsageEvent]
) -> Mapping[str, Reservation]:
    """The open reservations that the events name."""
    named = (event.extensions.get(RESERVATION) for event in events)
    ids = {each for each in named if each}
    found = store.reservations(customer, ids) if ids else {}
    return {key: each for key, each in found.items() if each.status == "open"}


@dataclass(slots=True)
class Attempt:
    """What one attempt at a customer's records starts from."""

    account: Account
    terms: Terms
    metering: Metering
    records: list[Record]
    rejected: list[tuple[StreamRecord, MeterlineError]]


def set_aside(
    store: BillingStore, shard: str, attempt: Attempt, now: datetime
) -> Iterator[StreamRecord]:
    """Quarantines what cannot be applied, before any write passes it; yields each that it did.

    The hours that lack a record are fenced in the same transaction: an earlier attempt's write
    that is still under way cannot apply it behind the verdict.
    """
    account, hours = attempt.account, dict(attempt.metering.hours)
    for record, error in attempt.rejected:
        marked = replace(account, version=account.version + 1, quarantined_at=now)
        lacking = _lacking_hours(shard, record, attempt, hours)
        kept = PutQuarantine(
            customer=account.customer,
            event_key=record.key,
            shard=shard,
            sequence=record.sequence,
            reason=error.code,
            detail=error.detail,
            not_applied=_not_applied(record, attempt, lacking),
            quarantined_at=now,
            record=record.raw,
        )
        fences = [SaveUsageHour(h, fenced(h, int(now.timestamp()))) for h in lacking]
        store.commit([SaveAccount(marked, account.version), kept, *fences])
        account = marked
        hours |= {fence.after.key: fence.after for fence in fences}
        yield record


def _lacking_hours(
    shard: str, record: StreamRecord, attempt: Attempt, hours: Mapping[HourKey, UsageHour]
) -> list[UsageHour]:
    """The usage hours, as they are now, that the record belongs to and that have not passed it."""
    same = (r for r in attempt.records if r.sequence == record.sequence)
    keys = sorted(hours_touched(same, attempt.metering), key=lambda key: key.meter)
    touched = (hours.get(key, UsageHour(key)) for key in keys)
    return [hour for hour in touched if not hour.checkpoints.applied(shard, record.sequence)]


def _not_applied(
    record: StreamRecord, attempt: Attempt, lacking: Sequence[UsageHour]
) -> tuple[str, ...]:
    """Which writes lack the record: the account, or it would be passed over, and hours by meter.

    Of a record whose measurements are not known, no hour has it.
    """
    if record.key not in {readable.event.key for readable in attempt.records}:
        return "account", EVERY_METER
    return ("account", *(usage_of(hour.key.meter) for hour in lacking))
