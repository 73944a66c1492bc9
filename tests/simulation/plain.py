"""What is stored, as plain data: all that the auditor gets to see of it."""

from dataclasses import asdict
from typing import Any

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.credits import Grant
from shared.domain.customers import Subscription
from shared.domain.distinct import DistinctValue
from shared.domain.ledger import LedgerEntry
from shared.domain.prices import Price, price_values
from shared.domain.reservations import Reservation
from shared.domain.usage_hours import UsageHour
from shared.services.store import QuarantinedRecord
from tests.fakes.billing_store import MemoryBillingStore

Plain = dict[str, Any]


def plain_totals(t: Totals) -> Plain:
    return {
        "count": t.count,
        "value": t.value,
        "covered": t.covered,
        "amount": t.amount,
        "drawn": t.drawn,
        "overage": t.overage,
        "checksum": t.checksum,
        "event_amounts": t.event_amounts,
    }


def plain_phase(p: Phase) -> Plain:
    return {
        "number": p.number,
        "period": p.period,
        "start": p.start,
        "end": p.end,
        "plan": p.plan,
        "plan_version": p.plan_version,
        "fee_invoiced": p.fee_invoiced,
        "state": p.state,
        "quantity": p.quantity,
        "totals": [plain_totals(t) for t in p.totals],
    }


def plain_account(a: Account) -> Plain:
    return {
        "version": a.version,
        "phases": [plain_phase(p) for p in a.phases],
        "late": {n: [plain_totals(t) for t in late] for n, late in a.late.items()},
        "grants": {unit: dict(left) for unit, left in a.grants.items()},
        "reserved": dict(a.reserved),
    }


def plain_closed(c: ClosedPhase) -> Plain:
    return {
        "phase": plain_phase(c.phase),
        "billed": [plain_totals(t) for t in c.billed],
        "closed_at": c.closed_at,
        "invoice": c.invoice,
    }


def plain_grant(g: Grant) -> Plain:
    return {name: getattr(g, name) for name in g.__slots__}


def plain_reservation(r: Reservation) -> Plain:
    return {name: getattr(r, name) for name in r.__slots__}


def plain_terms(terms: Subscription) -> Plain:
    return {
        "timezone": terms.timezone,
        "credit": terms.credit_nanos,
        "quantity": terms.quantity,
    }


def plain_entry(e: LedgerEntry) -> Plain:
    return {
        "from": e.from_version,
        "to": e.to_version,
        "at": e.at,
        "kind": e.kind,
        "changes": {unit: dict(moved) for unit, moved in e.changes.items()},
        "remaining": {unit: dict(left) for unit, left in e.remaining.items()},
        "cause": dict(e.cause),
    }


def plain_quarantine(kept: QuarantinedRecord) -> Plain:
    return {
        "key": kept.event_key,
        "reason": kept.reason,
        "not_applied": list(kept.not_applied),
        "redriven": kept.redriven_at is not None,
    }


def plain_price(price: Price | None) -> Plain | None:
    return None if price is None else price_values(price)


def plain_plan(plan: Plan) -> Plain:
    return {
        **asdict(plan),
        "rates": [
            {
                "meter": r.meter,
                "unit": r.unit,
                "where": dict(r.where),
                "price": plain_price(r.price),
            }
            for r in plan.rates
        ],
    }


def plain_catalogue(catalogue: Catalogue) -> Plain:
    return {
        "meters": [asdict(meter) for meter in catalogue.meters.values()],
        "plans": [plain_plan(plan) for versions in catalogue.plans.values() for plan in versions],
        "add_ons": [asdict(a) for versions in catalogue.add_ons.values() for a in versions],
        "units": {key: asdict(unit) for key, unit in catalogue.units.items()},
    }


def plain_hour(hour: UsageHour) -> Plain:
    return {
        "meter": hour.key.meter,
        "hour": hour.key.hour,
        "dimensions": hour.key.dimensions,
        "other": hour.key.other,
        "quarters": [
            (q.count, q.value, q.checksum, q.mark and q.mark.quantity) for q in hour.quarters
        ],
    }


def plain_value(value: DistinctValue) -> Plain:
    return {
        "meter": value.key.meter,
        "dimensions": value.key.dimensions,
        "other": value.key.other,
        "value": value.key.value,
        "quarters": list(value.instants()),
    }


def plain_customer(store: MemoryBillingStore, customer: str) -> Plain:
    """Everything in one customer's partition, and its usage hours."""
    account = store.accounts.get(customer)
    ledger = store.ledgers.get(customer, {})
    late = store.late.get(customer, {})
    repairs = [a for a in store.audits if (a.action, a.subject) == ("repair", customer)]
    return {
        "test_clock": store.profiles[customer].test_clock,
        "repaired": [key for audit in repairs for key in audit.after["events"]],
        "subscription": plain_terms(store.subscriptions[customer]),
        "account": plain_account(account) if account else None,
        "closed": [plain_closed(c) for _, c in sorted(store.closed.get(customer, {}).items())],
        "grants": {key: plain_grant(g) for key, g in store.grants_of.get(customer, {}).items()},
        "reservations": {
            key: plain_reservation(r) for key, r in store.reservations_of.get(customer, {}).items()
        },
        "ledger": [plain_entry(entry) for _, entry in sorted(ledger.items())],
        "late": [{"phase": p, "key": key, "period": x.period} for (p, key), x in late.items()],
        "quarantine": [plain_quarantine(k) for k in store.aside.get(customer, {}).values()],
        "invoices": [store.documents[i] for _, i in sorted(store.pointers[customer].items())]
        if customer in store.pointers
        else [],
        "hours": [plain_hour(h) for key, h in store.hours.items() if key.customer == customer],
        "values": [plain_value(value) for value in store.all_values(customer)],
    }
