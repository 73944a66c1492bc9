"""Conditions, all-or-nothing commits, and lists: the same wherever things are stored."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import Account, ClosedPhase, Phase, Totals
from shared.domain.checkpoints import Checkpoints
from shared.domain.conversions import Conversion, PaymentMethod
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.dimension_cap import RegisterKey
from shared.domain.distinct import ValueKey
from shared.domain.errors import VersionConflictError
from shared.domain.events import Mark
from shared.domain.folding import LateUsage
from shared.domain.ledger import entry_between
from shared.domain.placing import Claim
from shared.domain.reservations import Reservation, id_at
from shared.domain.usage_hours import EMPTY_HOUR, HourKey, Quarter, UsageHour
from shared.services.changes import (
    CreateCustomer,
    DropClaim,
    DropValues,
    ExplainQuarantine,
    ExtendRegister,
    MarkRedriven,
    PutBackfilledHour,
    PutClaim,
    PutClosedPhase,
    PutGrant,
    PutIdempotencyKey,
    PutInvoice,
    PutLateUsage,
    PutLedgerEntry,
    PutQuarantine,
    SaveAccount,
    SaveConversion,
    SaveReservation,
    SaveSubscription,
    SaveUsageHour,
    UpdateCustomer,
)
from shared.services.store import StoredAnswer
from tests.contract.conftest import Engine
from tests.support.builders import APRIL, DAY, HOUR, MARCH, usage


def phase(number: int = 1) -> Phase:
    totals = (Totals(2, Decimal("3.5"), Decimal(1), 7, 5, 2, 2**64 - 1), Totals())
    return Phase(number, number, MARCH, APRIL, "basic", 3, totals, fee_invoiced=True)


def account(customer: str, version: int = 1) -> Account:
    positions = Checkpoints().advanced("shard-1", 10**21, 1_800_000_000)
    grants = {"sparks": {"p1-c0": 5 * 10**9}, "meter:tokens": {"p1-a0": 7}}
    return Account(customer, version, (phase(),), grants=grants, checkpoints=positions)


def terms(customer: str) -> Subscription:
    return Subscription(customer, "basic", 3, MARCH, "Europe/Berlin", due_at=APRIL)


def test_reservations_come_in_the_order_in_which_they_expire(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    made = [
        Reservation(
            id_at(MARCH + n * HOUR, "ab"), customer, "sparks", 5 + n, MARCH, MARCH + n * HOUR
        )
        for n in range(3)
    ]
    for reservation in reversed(made):
        store.commit([SaveReservation(reservation, None)])
        with pytest.raises(VersionConflictError):
            store.commit([SaveReservation(reservation, None)])
    ended = replace(made[1], status="settled", drawn=4, ended_at=APRIL, event="e", meter="m")
    store.commit([SaveReservation(ended, "open")])
    with pytest.raises(VersionConflictError):
        store.commit([SaveReservation(made[1], "open")])
    after_first = store.reservations_from(customer, id_at(MARCH + HOUR))
    assert list(after_first) == [ended, made[2]]
    assert store.reservations(customer, [made[0].id, "rs_none"]) == {made[0].id: made[0]}
    page = store.list_reservations(customer, 2, None)
    assert page.items == (made[2], ended)
    assert store.list_reservations(customer, 2, page.cursor).items == (made[0],)


def test_a_conversion_is_asked_once_and_ends_once(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    assert store.conversion(customer) is None
    first = Conversion(
        customer, 1, "free", 2, "pro", phase=3, period=3, cause="credits_below",
        account_version=9, asked_at=MARCH, expires_at=APRIL,
    )  # fmt: skip
    store.commit([SaveConversion(first, None)])
    with pytest.raises(VersionConflictError):
        store.commit([SaveConversion(first, None)])
    assert store.conversion(customer) == first
    confirmed = first.confirmed(PaymentMethod("stripe", "pm_1"), MARCH + HOUR)
    store.commit([SaveConversion(confirmed, "asked")])
    with pytest.raises(VersionConflictError):
        store.commit([SaveConversion(first.declined(APRIL), "asked")])
    assert store.conversion(customer) == confirmed
    second = replace(first, number=2)
    store.commit([SaveConversion(second, None)])
    assert store.conversion(customer) == second


def test_an_account_is_saved_under_the_version_that_was_read(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    first, second = account(customer), account(customer, 2)
    assert store.account(customer) is None
    store.commit([SaveAccount(first, read_version=0)])
    assert store.account(customer) == first
    for stale in (0, 2):
        with pytest.raises(VersionConflictError):
            store.commit([SaveAccount(second, read_version=stale)])
    emptied = replace(second, grants={}, late={1: (Totals(count=1), Totals())})
    store.commit([SaveAccount(emptied, read_version=1)])
    assert store.account(customer) == emptied
    store.commit([SaveAccount(replace(first, version=3), read_version=2)])
    assert store.account(customer) == replace(first, version=3)


def test_terms_step_their_version(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    with pytest.raises(VersionConflictError):
        store.commit([SaveSubscription(replace(terms(customer), version=1))])
    store.commit([SaveSubscription(terms(customer), new=True)])
    with pytest.raises(VersionConflictError):
        store.commit([SaveSubscription(terms(customer), new=True)])
    stored = store.subscription(customer)
    assert stored == replace(terms(customer), version=1)
    store.commit([SaveSubscription(replace(stored, next_plan="pro", next_plan_version=1))])
    with pytest.raises(VersionConflictError):
        store.commit([SaveSubscription(stored)])


def test_terms_forget_what_was_scheduled_and_what_was_spent(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    scheduled = replace(terms(customer), next_plan="pro", next_plan_version=1)
    scheduled = replace(scheduled, next_quantity=3, next_paused=True, credit_nanos=5)
    store.commit([SaveSubscription(scheduled, new=True)])
    assert store.subscription(customer) == replace(scheduled, version=1)
    after = replace(scheduled.without_schedule(), credit_nanos=0, version=1)
    store.commit([SaveSubscription(after)])
    assert store.subscription(customer) == replace(after, version=2)


def test_a_commit_is_all_or_nothing(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    store.commit([SaveAccount(account(customer), read_version=0)])
    grant = Grant("g1", customer, "USD", 5, "purchase", MARCH, MARCH, cost_basis=Decimal("0.5"))
    profile = Customer(customer, MARCH, name="Ä")
    changes = [CreateCustomer(profile), PutGrant(grant)]
    with pytest.raises(VersionConflictError):
        store.commit([*changes, SaveAccount(account(customer, 2), read_version=0)])
    assert store.customer(customer) is None
    assert store.all_grants(customer) == []
    store.commit([*changes, SaveAccount(account(customer, 2), read_version=1)])
    assert store.customer(customer) == profile
    assert store.grants(customer, ["g1", "g2"]) == {"g1": grant}
    with pytest.raises(VersionConflictError):
        store.commit([CreateCustomer(profile)])
    nobody = Customer(engine.customer(), MARCH)
    with pytest.raises(VersionConflictError):
        store.commit([UpdateCustomer(nobody, nobody)])
    archived = replace(profile, name=None, traits={"tier": "gold"}, archived_at=APRIL)
    store.commit([UpdateCustomer(archived, profile)])
    assert store.customer(customer) == archived
    for read in (profile, replace(archived, traits={}), replace(archived, name="Ä")):
        with pytest.raises(VersionConflictError):
            store.commit([UpdateCustomer(profile, read)])
    store.commit([UpdateCustomer(profile, archived)])


def test_a_transaction_names_an_item_once(engine: Engine) -> None:
    customer = engine.customer()
    twice = [SaveAccount(account(customer), 0), SaveAccount(account(customer, 2), 1)]
    with pytest.raises(Exception, match=r"one item|different items|multiple operations"):
        engine.billing.commit(twice)


def test_a_ledger_entry_is_put_once_and_listed_in_order(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    versions = [account(customer, n) for n in (1, 2, 3)]
    entries = [
        entry_between(before, after, MARCH, "usage", {"usages": "1"})
        for before, after in zip([None, *versions], versions, strict=False)
    ]
    for entry in reversed(entries):
        store.commit([PutLedgerEntry(entry)])
    with pytest.raises(VersionConflictError):
        store.commit([PutLedgerEntry(replace(entries[1], kind="grant"))])
    page = store.ledger(customer, 2, None)
    assert list(page.items) == entries[:2]
    assert list(store.ledger(customer, 2, page.cursor).items) == entries[2:]
    newest = store.ledger(customer, 9, None, newest_first=True)
    assert list(newest.items) == entries[::-1]


def test_a_usage_hour_is_saved_under_its_checkpoints(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    key = HourKey(customer, "tokens", MARCH, (("model", "large"),))
    empty = UsageHour(key)
    first = replace(
        empty,
        quarters=(Quarter(1, Decimal("2.5"), 9), Quarter(), Quarter(), Quarter()),
        checkpoints=Checkpoints().advanced("shard-1", 99, 1_800_000_000),
    )
    second = replace(first, checkpoints=first.checkpoints.advanced("shard-1", 100, 1_800_000_001))
    store.commit([SaveUsageHour(empty, first)])
    for before in (empty, second):
        with pytest.raises(VersionConflictError):
            store.commit([SaveUsageHour(before, second)])
    store.commit([SaveUsageHour(first, second)])
    other = key._replace(dimensions=())
    footing = store.footing(customer, [key, other])
    assert footing.hours == {key: second}
    assert footing.account is None
    assert list(store.usage_between("tokens", customer, MARCH, MARCH + HOUR)) == [second]
    assert list(store.usage_between("tokens", customer, MARCH + HOUR, APRIL)) == []


def test_a_usage_hour_keeps_the_marks_that_win(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    lowest = Mark(Decimal("-2.5"), (), Decimal("2.5"))
    latest = Mark(Decimal(1_770_000_000_123_456), ("chat#1", "märz"), Decimal("0.000000001"))
    for meter, mark in (("lowest", lowest), ("latest", latest)):
        empty = UsageHour(HourKey(customer, meter, MARCH, ()))
        marked = replace(
            empty,
            quarters=(Quarter(), Quarter(3, Decimal(9), 1, mark), Quarter(), Quarter()),
            checkpoints=Checkpoints().advanced("shard-1", 1, 1_800_000_000),
        )
        store.commit([SaveUsageHour(empty, marked)])
        assert list(store.usage_between(meter, customer, MARCH, MARCH + HOUR)) == [marked]


def test_what_is_over_the_cap_has_an_hour_of_its_own(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    named = UsageHour(HourKey(customer, "tokens", MARCH, (("model", "other"),)))
    other = UsageHour(HourKey(customer, "tokens", MARCH, (), other=True))
    positions = Checkpoints().advanced("shard-1", 1, 1_800_000_000)
    saved = [replace(hour, checkpoints=positions) for hour in (named, other)]
    store.commit([SaveUsageHour(named, saved[0]), SaveUsageHour(other, saved[1])])
    found = store.usage_between("tokens", customer, MARCH, MARCH + HOUR)
    assert {hour.key for hour in found} == {named.key, other.key}
    assert store.footing(customer, [other.key]).hours == {other.key: saved[1]}


def test_values_are_kept_with_the_hour_that_saw_them_first(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    empty = UsageHour(HourKey(customer, "users", MARCH + 2 * HOUR, (("model", "large"),)))
    positions = Checkpoints().advanced("shard-1", 1, 1_800_000_000)
    first = replace(empty, checkpoints=positions)
    second = replace(empty, checkpoints=positions.advanced("shard-1", 2, 1_800_000_000))
    dimensions = empty.key.dimensions
    ada = ValueKey(customer, "users", MARCH, dimensions, "a" * 32)
    bob = ValueKey(customer, "users", MARCH, (), "b" * 32, other=True)
    store.commit([SaveUsageHour(empty, first, {ada: frozenset({8}), bob: frozenset({8, 9})})])
    with pytest.raises(VersionConflictError):
        store.commit([SaveUsageHour(empty, second, {ada: frozenset({10})})])
    store.commit([SaveUsageHour(first, second, {ada: frozenset({9})})])
    unknown = ada._replace(value="c" * 32)
    expected = {ada: frozenset({8, 9}), bob: frozenset({8, 9})}
    assert store.seen([ada, bob, unknown]) == expected
    for start, end, found in (
        (MARCH + 5 * HOUR, MARCH + 6 * HOUR, expected),
        (MARCH - DAY, MARCH, {}),
        (MARCH + DAY, APRIL, {}),
    ):
        values = store.values_between("users", customer, start, end)
        assert {value.key: value.quarters for value in values} == found


def test_a_register_only_grows(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    key = RegisterKey(customer, "tokens", MARCH)
    later = key._replace(hour=MARCH + HOUR)
    groups = [bytes([n] * 8) for n in range(3)]
    store.commit([ExtendRegister(key, frozenset(), frozenset(groups[:2]))])
    for stale in (frozenset(), frozenset(groups[:1])):
        with pytest.raises(VersionConflictError):
            store.commit([ExtendRegister(key, stale, frozenset(groups[2:]))])
    store.commit([ExtendRegister(key, frozenset(groups[:2]), frozenset(groups[2:]))])
    assert store.registers([key, later]) == {key: frozenset(groups)}
    found = store.registers_between("tokens", customer, MARCH, MARCH + HOUR)
    assert found == {key: frozenset(groups)}
    assert store.registers_between("tokens", customer, MARCH + HOUR, APRIL) == {}


def test_a_value_is_claimed_once(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    claim = Claim(phase=1, card=2, value="a" * 32)
    others = [replace(claim, phase=2), replace(claim, card=3), replace(claim, value="b" * 32)]
    store.commit([PutClaim(customer, claim)])
    with pytest.raises(VersionConflictError):
        store.commit([PutClaim(customer, others[0]), PutClaim(customer, claim)])
    assert store.claimed(customer, [claim, *others]) == {claim}
    assert store.claimed(engine.customer(), [claim]) == set()


def test_a_claim_is_dropped_once_and_may_be_made_again(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    claim = Claim(phase=1, card=2, value="a" * 32)
    with pytest.raises(VersionConflictError):
        store.commit([DropClaim(customer, claim)])
    store.commit([PutClaim(customer, claim)])
    store.commit([DropClaim(customer, claim)])
    assert store.claimed(customer, [claim]) == set()
    store.commit([PutClaim(customer, claim)])
    assert store.claimed(customer, [claim]) == {claim}


def test_quarters_are_dropped_from_values_beside_those_that_stay(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    empty = UsageHour(HourKey(customer, "users", MARCH, ()))
    ada = ValueKey(customer, "users", MARCH, (), "a" * 32)
    positions = Checkpoints().advanced("shard-1", 1, 1_800_000_000)
    hour = replace(empty, checkpoints=positions)
    store.commit([SaveUsageHour(empty, hour, {ada: frozenset({1, 2})})])
    for gone, left in (({2, 3}, {1}), ({1}, set())):
        store.commit([DropValues({ada: frozenset(gone)})])
        assert store.seen([ada]) == {ada: left}
        [value] = store.values_between("users", customer, MARCH, MARCH + HOUR)
        assert value.quarters == left
    with pytest.raises(VersionConflictError):
        store.commit([DropValues({ada._replace(value="b" * 32): frozenset({1})})])


def test_what_is_stale_is_kept_on_the_account_until_it_is_not(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    stale = {MARCH: frozenset({"a" * 64, "b" * 64}), MARCH + HOUR: frozenset({"c" * 64})}
    first = replace(account(customer), stale=stale)
    store.commit([SaveAccount(first, 0)])
    assert store.account(customer) == first
    second = replace(first, version=2, stale={})
    store.commit([SaveAccount(second, 1)])
    assert store.account(customer) == second


def test_a_record_is_set_aside_once_and_redriven_once(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    kept = PutQuarantine(
        customer, "k1", "shard-1", 99, "unratable", "why", ("account",), MARCH, "{}"
    )
    store.commit([kept])
    with pytest.raises(VersionConflictError):
        store.commit([replace(kept, reason="other")])
    assert store.quarantined(customer, ["k1", "k2"]) == {"k1"}
    store.commit([ExplainQuarantine(customer, "k1", "unreadable", "still")])
    record = store.quarantined_record(customer, "k1")
    assert record is not None
    assert (record.reason, record.detail, record.redriven_at) == ("unreadable", "still", None)
    assert customer in {r.customer for r in store.quarantine(1000, None).items}
    store.commit([MarkRedriven(customer, "k1", APRIL)])
    for again in (MarkRedriven(customer, "k1", APRIL), ExplainQuarantine(customer, "k1", "", "")):
        with pytest.raises(VersionConflictError):
            store.commit([again])
    assert store.set_aside(customer)["k1"].redriven_at == APRIL
    assert store.quarantined(customer, ["k1"]) == {"k1"}
    assert customer not in {r.customer for r in store.quarantine(1000, None).items}
    with pytest.raises(VersionConflictError):
        store.commit([MarkRedriven(customer, "unknown", APRIL)])


def test_invoice_numbers_are_claimed_by_the_commit(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    series = f"TEST-{customer}"

    def invoice(name: str, number: int) -> PutInvoice:
        document = {"id": f"{customer}-{name}", "number": number, "total": "1.00"}
        return PutInvoice(customer, document, MARCH + number * DAY, series, number)

    assert store.last_invoice_number(series) == 0
    with pytest.raises(VersionConflictError):
        store.commit([invoice("a", 2)])
    store.commit([invoice("a", 1)])
    for lost in (invoice("b", 1), invoice("a", 2), invoice("b", 3)):
        with pytest.raises(VersionConflictError):
            store.commit([lost])
    store.commit([invoice("b", 2)])
    assert store.last_invoice_number(series) == 2
    found = store.invoices(customer, 10, None).items
    assert [document["number"] for document in found] == [2, 1]
    assert store.invoice(f"{customer}-a") == found[1]


def test_closed_phases_and_late_usage(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    closed = [ClosedPhase(phase(n), phase(n).totals, APRIL, f"inv-{n}") for n in (1, 2, 10)]
    store.commit([PutClosedPhase(customer, each) for each in closed])
    assert list(store.closed_phases(customer, 2)) == [closed[2], closed[1]]
    moved = replace(closed[1], billed=(Totals(count=9), Totals()))
    store.commit([PutClosedPhase(customer, moved)])
    assert list(store.closed_phases(customer, 9)) == [closed[2], moved, closed[0]]
    event = usage(customer, 1, MARCH)
    store.commit([PutLateUsage(LateUsage(event, phase=2, period=7))])
    assert store.late_usage(customer, 2) == {event.key: 7}
    assert store.late_usage(customer, 1) == {}


def test_an_idempotency_key_is_used_once(engine: Engine) -> None:
    store, customer = engine.billing, engine.customer()
    store.commit([PutIdempotencyKey(customer, "k", "hash", 201, "{}")])
    with pytest.raises(VersionConflictError):
        store.commit([PutIdempotencyKey(customer, "k", "other", 200, "[]")])
    assert store.idempotent_answer(customer, "k") == StoredAnswer("hash", 201, "{}")
    assert store.idempotent_answer(customer, "unused") is None


def test_due_customers_are_those_on_the_machines_clock(engine: Engine) -> None:
    store, customer, tester = engine.billing, engine.customer(), engine.customer()
    store.commit([SaveSubscription(terms(customer), new=True)])
    store.commit([SaveSubscription(replace(terms(tester), test_clock="clk"), new=True)])
    assert customer in set(store.due_customers(APRIL))
    assert customer not in set(store.due_customers(APRIL - timedelta(seconds=1)))
    assert tester not in set(store.due_customers(APRIL))


def test_an_event_is_inserted_once(engine: Engine) -> None:
    customer = engine.customer()
    events = [usage(customer, n, MARCH) for n in range(3)]
    assert list(engine.events.insert(events[:2])) == ["stored", "stored"]
    changed = replace(events[1], data={"tokens": Decimal(1)})
    assert list(engine.events.insert([events[2], changed])) == ["stored", "exists"]
    keys = [(customer, event.key) for event in events]
    prints = engine.events.fingerprints([*keys, (customer, "unknown")])
    assert prints == {key: e.fingerprint for key, e in zip(keys, events, strict=True)}


def test_a_barrier_passes_once_it_is_marked(engine: Engine) -> None:
    customer = engine.customer()
    for _ in range(2):
        engine.barriers.send(customer, "t")
    assert not engine.barriers.has_passed(customer, "t")
    for _ in range(2):
        engine.barriers.mark_passed(customer, "t")
    assert engine.barriers.has_passed(customer, "t")
    assert not engine.barriers.has_passed(customer, "other")


def test_backfilled_usage_stands_beside_what_was_counted_live(engine: Engine) -> None:
    customer, store = engine.customer(), engine.billing
    for dimensions, other in (((("model", "large"),), False), ((), True), ((), False)):
        live = HourKey(customer, "users", MARCH, dimensions, other=other)
        key = live._replace(backfilled=True)
        value = ValueKey(
            customer, "users", MARCH, dimensions, "a" * 32, other=other, backfilled=True
        )
        hour = UsageHour(key, (Quarter(1, Decimal(1), 7), *EMPTY_HOUR[1:]))
        for quarters in (frozenset([1]), frozenset([2])):
            store.commit([PutBackfilledHour(hour, {value: quarters})])
        store.commit([SaveUsageHour(UsageHour(live), UsageHour(live))])
        kept = store.usage_between("users", customer, MARCH, MARCH + HOUR)
        assert {hour.key for hour in kept} >= {live, key}
        assert [each for each in kept if each.key == key] == [hour]
        seen = {v.key: v.quarters for v in store.values_between("users", customer, MARCH, APRIL)}
        assert seen[value] == {1, 2}
