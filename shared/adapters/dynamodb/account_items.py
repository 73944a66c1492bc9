"""The account and what is kept beside it, as items. The account's are terse: it is written most.

Account: 1 KB holds twelve checkpoints, one phase of five rate cards and three grants.
Lists, in order: a phase [number, period, start, end, plan, plan version, fee invoiced, latest
usage, a map of state, quantity and changes of it unless it is one active seat all along, totals…];
totals [count, value, covered, amount, drawn, overage, checksum, and, where the price is by event,
event amounts]; an open grant [what is left, effective, expires, meters…], or bare what is left.
Instants are Unix microseconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.adapters.dynamodb.coupon_items import applied_coupon_values, read_applied_coupon
from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.checkpoints import Checkpoints
from shared.domain.credits import Grant, Validity
from shared.domain.customers import SubscribedAddOn, Subscription
from shared.domain.events import utc_time

ACCOUNT_SORT_KEY = "ACCOUNT"
SUBSCRIPTION_SORT_KEY = "SUBSCRIPTION"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DUE_LANES = 8


def customer_partition(customer: str) -> str:
    """The partition of everything that belongs to one customer's billing."""
    return f"C#{customer}"


def account_item(account: Account) -> Item:
    """The stored account."""
    return to_item(
        {
            "pk": customer_partition(account.customer),
            "sk": ACCOUNT_SORT_KEY,
            "version": account.version,
            "phases": [_phase(phase) for phase in account.phases],
            "late": {str(n): [_totals(t) for t in totals] for n, totals in account.late.items()}
            or None,
            "grants": {u: _open_grants(account, held) for u, held in account.grants.items()}
            or None,
            "checkpoints": account.checkpoints.pack() or None,
            "quarantined_at": account.quarantined_at,
            "held": account.held,
            "test_clock": account.test_clock,
            "reserved": account.reserved or None,
            "reserved_until": account.reserved_until,
            "stale": {str(_micros(at)): sorted(keys) for at, keys in account.stale.items()} or None,
            "changes_at": account.changes_at,
        }
    )


def read_account(item: Mapping[str, Any]) -> Account:
    """The account of an item, or of a stream record's image of one."""
    stored = from_item(item)
    late = stored.get("late", {})
    set_aside = stored.get("quarantined_at")
    reserved_until, changes_at = stored.get("reserved_until"), stored.get("changes_at")
    return Account(
        customer=stored["pk"].removeprefix("C#"),
        version=int(stored["version"]),
        phases=tuple(_read_phase(phase) for phase in stored["phases"]),
        late={int(n): tuple(map(_read_totals, totals)) for n, totals in late.items()},
        grants={
            unit: {grant: int(_parts(left)[0]) for grant, left in held.items()}
            for unit, held in stored.get("grants", {}).items()
        },
        checkpoints=Checkpoints.unpack(bytes(stored.get("checkpoints", b""))),
        quarantined_at=utc_time(set_aside) if set_aside else None,
        held=stored.get("held"),
        validity={
            grant: _read_validity(validity)
            for held in stored.get("grants", {}).values()
            for grant, left in held.items()
            if (validity := _parts(left)[1:])
        },
        test_clock=stored.get("test_clock"),
        reserved={unit: int(nanos) for unit, nanos in stored.get("reserved", {}).items()},
        reserved_until=utc_time(reserved_until) if reserved_until else None,
        stale={_instant(at): frozenset(keys) for at, keys in stored.get("stale", {}).items()},
        changes_at=utc_time(changes_at) if changes_at else None,
    )


def _open_grants(account: Account, held: Mapping[str, int]) -> dict[str, object]:
    return {grant: _left(nanos, account.validity.get(grant)) for grant, nanos in held.items()}


def _left(nanos: int, validity: Validity | None) -> object:
    if validity is None:
        return nanos
    expires_at = _micros(validity.expires_at) if validity.expires_at else None
    return [nanos, _micros(validity.effective_at), expires_at, *validity.meters]


def _parts(left: Any) -> Sequence[Any]:
    return left if isinstance(left, list) else [left]


def _read_validity(stored: Sequence[Any]) -> Validity:
    effective_at, expires_at, *meters = stored
    ends = None if expires_at is None else _instant(expires_at)
    return Validity(_instant(effective_at), ends, tuple(meters))


def _micros(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)


def _instant(micros: Any) -> datetime:
    return EPOCH + timedelta(microseconds=int(micros))


def _phase(phase: Phase) -> list[object]:
    head = [phase.number, phase.period, _micros(phase.start), _micros(phase.end)]
    latest = _micros(phase.latest) if phase.latest else None
    terms = [phase.plan, phase.plan_version, phase.fee_invoiced, latest]
    unusual = (phase.state, phase.quantity, phase.seats) != ("active", 1, ())
    seats = {"seats": [[_micros(at), number] for at, number in phase.seats]} if phase.seats else {}
    special = [{"state": phase.state, "quantity": phase.quantity, **seats}] if unusual else []
    return [*head, *terms, *special, *(_totals(t) for t in phase.totals)]


def _read_phase(stored: Sequence[Any]) -> Phase:
    number, period, start, end, plan, plan_version, fee_invoiced, latest, *totals = stored
    special = totals.pop(0) if totals and isinstance(totals[0], Mapping) else {}
    return Phase(
        number=int(number),
        period=int(period),
        start=_instant(start),
        end=_instant(end),
        plan=plan,
        plan_version=int(plan_version),
        totals=tuple(map(_read_totals, totals)),
        fee_invoiced=fee_invoiced,
        state=special.get("state", "active"),
        quantity=int(special.get("quantity", 1)),
        seats=tuple((_instant(at), int(number)) for at, number in special.get("seats", ())),
        latest=_instant(latest) if latest is not None else None,
    )


def _totals(t: Totals) -> list[object]:
    stored = [t.count, t.value, t.covered, t.amount, t.drawn, t.overage, t.checksum]
    return [*stored, t.event_amounts] if t.event_amounts else stored


def _read_totals(stored: Sequence[Any]) -> Totals:
    count, value, covered, *whole = stored
    return Totals(int(count), value, covered, *map(int, whole))


def closed_phase_item(customer: str, closed: ClosedPhase) -> Item:
    """A closed phase, in its place in the customer's order of phases."""
    return to_item(
        {
            "pk": customer_partition(customer),
            "sk": f"CLOSED#{closed.phase.number:06d}",
            "phase": _phase(closed.phase),
            "billed": [_totals(t) for t in closed.billed],
            "closed_at": closed.closed_at,
            "invoice": closed.invoice,
        }
    )


def read_closed_phase(item: Mapping[str, Any]) -> ClosedPhase:
    """The closed phase of an item."""
    stored = from_item(item)
    return ClosedPhase(
        phase=_read_phase(stored["phase"]),
        billed=tuple(map(_read_totals, stored["billed"])),
        closed_at=utc_time(stored["closed_at"]),
        invoice=stored["invoice"],
    )


def subscription_item(subscription: Subscription) -> Item:
    """The stored terms, listed by due time unless the customer lives on a test clock."""
    lane = sum(subscription.customer.encode()) % DUE_LANES
    on_machine_clock = subscription.test_clock is None
    return to_item(
        {
            "pk": customer_partition(subscription.customer),
            "sk": SUBSCRIPTION_SORT_KEY,
            "plan": subscription.plan,
            "plan_version": subscription.plan_version,
            "anchor": subscription.anchor,
            "timezone": subscription.timezone,
            "due_at": subscription.due_at,
            "due_lane": due_lane(lane) if on_machine_clock else None,
            "next_plan": subscription.next_plan,
            "next_plan_version": subscription.next_plan_version,
            "test_clock": subscription.test_clock,
            "currency": subscription.currency,
            "credit": subscription.credit_nanos or None,
            "add_ons": [astuple(held) for held in subscription.add_ons] or None,
            "coupons": [*map(applied_coupon_values, subscription.coupons)] or None,
            "quantity": subscription.quantity,
            "next_quantity": subscription.next_quantity,
            "paused": subscription.paused,
            "next_paused": subscription.next_paused,
            "trial_started_at": subscription.trial_started_at,
            "version": subscription.version,
        }
    )


def due_lane(lane: int) -> str:
    """One of the partitions of the index by due time."""
    return f"DUE#{lane}"


def read_subscription(item: Mapping[str, Any]) -> Subscription:
    """The terms of an item."""
    stored = from_item(item)
    next_version, next_quantity = stored.get("next_plan_version"), stored.get("next_quantity")
    trial_started_at = stored.get("trial_started_at")
    return Subscription(
        customer=stored["pk"].removeprefix("C#"),
        plan=stored["plan"],
        plan_version=int(stored["plan_version"]),
        anchor=utc_time(stored["anchor"]),
        timezone=stored["timezone"],
        due_at=utc_time(stored["due_at"]),
        next_plan=stored.get("next_plan"),
        next_plan_version=None if next_version is None else int(next_version),
        test_clock=stored.get("test_clock"),
        currency=stored.get("currency"),
        credit_nanos=int(stored.get("credit", 0)),
        add_ons=tuple(map(_read_add_on, stored.get("add_ons", ()))),
        coupons=tuple(map(read_applied_coupon, stored.get("coupons", ()))),
        quantity=int(stored.get("quantity", 1)),
        next_quantity=None if next_quantity is None else int(next_quantity),
        paused=stored.get("paused", False),
        next_paused=stored.get("next_paused"),
        trial_started_at=utc_time(trial_started_at) if trial_started_at else None,
        version=int(stored["version"]),
    )


def _read_add_on(stored: Sequence[Any]) -> SubscribedAddOn:
    add_on, version, quantity, since, until = stored
    ends = None if until is None else int(until)
    return SubscribedAddOn(add_on, int(version), int(quantity), int(since), ends)


def grant_item(grant: Grant) -> Item:
    """A stored grant; what is left of it stands on the account."""
    return to_item(
        {
            "pk": customer_partition(grant.customer),
            "sk": f"GRANT#{grant.id}",
            "id": grant.id,
            "unit": grant.unit,
            "amount": grant.amount,
            "source": grant.source,
            "effective_at": grant.effective_at,
            "created_at": grant.created_at,
            "expires_at": grant.expires_at,
            "voided_at": grant.voided_at,
            "priority": grant.priority,
            "meters": grant.meters or None,
            "cost_basis": grant.cost_basis,
            "cost_currency": grant.cost_currency,
            "rollover_max": grant.rollover_max,
        }
    )


def read_grant(item: Mapping[str, Any]) -> Grant:
    """The grant of an item."""
    stored = from_item(item)

    def moment(name: str) -> datetime | None:
        return utc_time(stored[name]) if name in stored else None

    return Grant(
        id=stored["id"],
        customer=stored["pk"].removeprefix("C#"),
        unit=stored["unit"],
        amount=int(stored["amount"]),
        source=stored["source"],
        effective_at=utc_time(stored["effective_at"]),
        created_at=utc_time(stored["created_at"]),
        expires_at=moment("expires_at"),
        voided_at=moment("voided_at"),
        priority=int(stored["priority"]),
        meters=tuple(stored.get("meters", ())),
        cost_basis=stored.get("cost_basis"),
        cost_currency=stored.get("cost_currency"),
        rollover_max=int(stored["rollover_max"]),
    )
