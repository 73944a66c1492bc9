"""What became of raw events: counted by which meters, billed on which invoice, or set aside."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import cast

from shared.domain.accounts import Account, ClosedPhase, Phase
from shared.domain.catalogue import Catalogue
from shared.domain.errors import MeterlineError
from shared.domain.events import UsageEvent
from shared.domain.invoices import invoice_id
from shared.domain.placing import find_phase
from shared.domain.proof import COUNTED, Document, Fate, UsageLine, usage_line
from shared.domain.rating import rate_card_index
from shared.domain.records import Record, measured
from shared.domain.uncounted import Uncounted, uncounted
from shared.services.store import CLOSED_PHASES_READ, BillingStore, QuarantinedRecord


@dataclass(frozen=True, slots=True)
class EventFate:
    """`meters` are those that count the event, `uncounted` why others of its type do not.

    `invoice` bills it, once its period is closed. `lines` are the invoice's lines that count it,
    and `aside` says why it is in quarantine.
    """

    fate: Fate = COUNTED
    meters: tuple[str, ...] = ()
    uncounted: Mapping[str, Uncounted] = field(default_factory=dict)
    invoice: str | None = None
    lines: tuple[int, ...] = ()
    aside: QuarantinedRecord | None = None


def event_fates(
    store: BillingStore, catalogue: Catalogue, customer: str, events: Sequence[UsageEvent]
) -> Mapping[str, EventFate]:
    """The fate of each of a customer's events, by event key.

    It takes a few reads, however many events there are: what a closed period counted is told from
    what did not come late, so an event that comes late looks billed while it is on its way.
    """
    account = store.account(customer)
    if account is None or not events:
        return {e.key: EventFate(uncounted=uncounted(e, catalogue)) for e in events}
    closed = tuple(store.closed_phases(customer, CLOSED_PHASES_READ))
    aside = _in_quarantine(store, customer, events)
    late = cache(lambda phase: store.late_usage(customer, phase))
    lines = cache(lambda invoice: _usage_lines(store, invoice))
    fates = {}
    for event in events:
        if kept := aside.get(event.key):
            fates[event.key] = EventFate(Fate(quarantined=True), aside=kept)
            continue
        became = _fate(event, catalogue, account, closed, late)
        if became.invoice:
            mine = (line for line in lines(became.invoice) if line.counts(became.fate))
            numbers = tuple(line.number for line in mine if line.measure(event) is not None)
            became = replace(became, lines=numbers)
        fates[event.key] = replace(became, uncounted=uncounted(event, catalogue))
    return fates


def _in_quarantine(
    store: BillingStore, customer: str, events: Sequence[UsageEvent]
) -> Mapping[str, QuarantinedRecord]:
    ever = store.quarantined(customer, [event.key for event in events])
    records = (store.quarantined_record(customer, key) for key in ever)
    return {r.event_key: r for r in records if r is not None and r.redriven_at is None}


def _usage_lines(store: BillingStore, invoice: str) -> Sequence[UsageLine]:
    """The invoice's lines of usage; none while it is not finalized."""
    document = store.invoice(invoice)
    if document is None:
        return []
    numbers = (line["n"] for line in cast("Document", document)["lines"])
    lines = (usage_line(document, number) for number in numbers)
    return [line for line in lines if line is not None]


def _fate(
    event: UsageEvent,
    catalogue: Catalogue,
    account: Account,
    closed: tuple[ClosedPhase, ...],
    late: Callable[[int], Mapping[str, int]],
) -> EventFate:
    try:
        record = measured(event, 0, catalogue)
        phase, frozen = find_phase(account, closed, event.occurred_at)
    except MeterlineError:
        return EventFate()
    meters = tuple(sorted(m.meter for m in record.measurements))
    if frozen is None or not _is_billed(record, phase, catalogue):
        return EventFate(COUNTED, meters)
    period = late(phase.number).get(event.key)
    if period is None:
        return EventFate(COUNTED, meters, invoice=frozen.invoice or None)
    issued = period < account.phases[0].period
    invoice = invoice_id(event.customer, "period", str(period)) if issued else None
    return EventFate(Fate(late_phase=phase.number, late_period=period), meters, invoice=invoice)


def _is_billed(record: Record, phase: Phase, catalogue: Catalogue) -> bool:
    plan = phase.plan_in(catalogue)
    return any(rate_card_index(plan, m) is not None for m in record.measurements)
