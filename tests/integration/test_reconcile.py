"""Reconciliation on a real DynamoDB engine: losses come back once, contradictions stop billing."""

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions import bill_customer, reconcile_customer, start_reconciliation
from local.emulator import Aws
from shared.domain import dimension_cap
from shared.domain.accounts import Account
from shared.domain.customers import Customer
from shared.domain.days import floor_day
from shared.domain.errors import NotFoundError, UnavailableError, VersionConflictError
from shared.domain.events import UsageEvent, utc_text
from shared.domain.opening import start_subscription
from shared.domain.periods import Period
from shared.domain.reconciliation import slots_of
from shared.domain.usage_hours import Quarter, UsageHour
from shared.services import recounting
from shared.services.billing_run import HeldError, due_token
from shared.services.changes import (
    CreateCustomer,
    PutGrant,
    PutQuarantine,
    SaveAccount,
    SaveSubscription,
    SaveUsageHour,
)
from shared.services.customers import creation
from shared.services.reconcile import Pass, Reconciler
from shared.services.usage_query import UsageQuestion
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_plan, usage
from tests.support.capacity import consumed
from tests.support.faults import hooked, killed_at_write
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

METERS = ("messages", "tokens", "storage")
MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
LARGE = {"tokens": Decimal(90), "model": "large"}


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@dataclass
class At:
    """A clock that stands."""

    instant: datetime

    def now(self) -> datetime:
        return self.instant


@dataclass
class Drained:
    """Barriers of a stream that has nothing left before them."""

    barriers: Any

    def send(self, customer: str, token: str) -> None:
        self.barriers.mark_passed(customer, token)

    def mark_passed(self, customer: str, token: str) -> None:
        self.barriers.mark_passed(customer, token)

    def has_passed(self, customer: str, token: str) -> bool:
        return bool(self.barriers.has_passed(customer, token))


def reconciler(meterline: Stack, now: datetime | None = None) -> Reconciler:
    """One for which the streams have delivered all that they ever will."""
    known = meterline.runtime.reconciler
    clock = At(now) if now else known.clock
    barriers = Drained(known.barriers)
    return replace(known, barriers=barriers, clock=clock, sleep=lambda _: None)


def deliver(meterline: Stack, events: Sequence[UsageEvent], first: int = 1) -> None:
    """Stores events, and applies them as the stream would."""
    meterline.store(*events)
    meterline.apply([usage_record(e, n) for n, e in enumerate(events, first)])


def lose(meterline: Stack, events: Sequence[UsageEvent]) -> None:
    """Stores events that the stream never delivers: it was trimmed before anyone read them."""
    meterline.store(*events)


def march_usage(customer: str, hours: range, start: datetime = MARCH) -> list[UsageEvent]:
    small = [usage(customer, f"s{h}", start + h * HOUR) for h in hours]
    large = [usage(customer, f"l{h}", start + (h + 0.5) * HOUR, LARGE) for h in hours]
    return sorted(small + large, key=lambda e: e.occurred_at)


def account_of(meterline: Stack, customer: str) -> Account:
    account = meterline.runtime.store.account(customer)
    assert account is not None
    return account


def hours_of(meterline: Stack, customer: str) -> dict[Any, Quarter]:
    """Usage by meter, dimensions and quarter, whoever's it is."""
    store = meterline.runtime.store
    hours: list[UsageHour] = []
    for meter in METERS:
        hours += store.usage_between(meter, customer, MARCH - 40 * DAY, MAY + 40 * DAY)
    return {
        (key.meter, key.hour, key.dimensions, index): replace(quarter, checksum=0)
        for (key, index), quarter in slots_of(hours).items()
    }


def without_checksums(account: Account) -> Any:
    phases = [
        replace(p, totals=tuple(replace(t, checksum=0) for t in p.totals)) for p in account.phases
    ]
    late = {n: [replace(t, checksum=0) for t in each] for n, each in account.late.items()}
    return phases, late, account.grants


def same(meterline: Stack, one: str, other: str) -> None:
    """The two customers' numbers are equal, to the nano."""
    assert without_checksums(account_of(meterline, one)) == without_checksums(
        account_of(meterline, other)
    )
    assert hours_of(meterline, one) == hours_of(meterline, other)


def close_march(meterline: Stack, customer: str) -> None:
    for moment in (APRIL + HOUR, MAY + HOUR):
        meterline.runtime.barriers.mark_passed(customer, due_token(moment))
    meterline.runtime.billing_run.bill(customer, APRIL + HOUR)


def test_what_the_stream_lost_is_repaired_exactly_once(meterline: Stack) -> None:
    for customer in ("lossless", "lossy"):
        events = march_usage(customer, range(40))
        if customer == "lossless":
            deliver(meterline, events)
        else:
            deliver(meterline, events[:21])
            lose(meterline, events[21:62])
            deliver(meterline, events[62:], first=100)
    assert reconciler(meterline).reconcile("lossy") == Pass(repaired=41)
    same(meterline, "lossy", "lossless")
    repaired = account_of(meterline, "lossy")
    assert reconciler(meterline).reconcile("lossy") == Pass()
    assert reconciler(meterline).reconcile("lossy", again=True) == Pass()
    assert account_of(meterline, "lossy") == repaired
    entries = [e for e in meterline.ledger("lossy") if e.kind == "repair"]
    assert sum(int(e.cause["repaired"]) for e in entries) == 41
    assert reconciler(meterline).reconcile("lossless", again=True) == Pass()


def test_a_record_redelivered_after_the_repair_is_found_applied(meterline: Stack) -> None:
    """The stream goes on over repaired items: neither overwrites the other."""
    events = march_usage("onward", range(6))
    deliver(meterline, events[:4])
    lose(meterline, events[4:8])
    reconciler(meterline).reconcile("onward")
    deliver(meterline, events[8:], first=50)
    deliver(meterline, [usage("onward", "more", MARCH + 2 * HOUR)], first=90)
    assert sum(q.count for k, q in hours_of(meterline, "onward").items() if k[0] == "tokens") == 13
    assert reconciler(meterline).reconcile("onward", again=True) == Pass()


@pytest.mark.parametrize("looks", [0, 1, 2, 3])
def test_out_of_time_anywhere_the_next_pass_goes_on(meterline: Stack, looks: int) -> None:
    """However often time is looked at before it is up, each event is counted once in the end."""
    key = f"hurried{looks}"
    events = march_usage(key, range(5))
    deliver(meterline, events[:5])
    lose(meterline, events[5:])
    left = iter(range(looks))
    first = reconciler(meterline).reconcile(key, lambda: next(left, None) is None, again=True)
    assert (first.finished, first.findings) == (False, [])
    note = meterline.runtime.reconciliations.reconciliation(key)
    assert note is not None
    assert note.clean_at is None
    second = reconciler(meterline).reconcile(key, again=True)
    assert second == Pass(repaired=5 - first.repaired)
    assert sum(q.count for k, q in hours_of(meterline, key).items() if k[0] == "tokens") == 10


@pytest.mark.parametrize("threads", [4])
def test_passes_that_race_repair_once(meterline: Stack, threads: int) -> None:
    events = march_usage("raced", range(5))
    deliver(meterline, events[:5])
    lose(meterline, events[5:])
    with ThreadPoolExecutor(threads) as pool:
        passes = [pool.submit(reconciler(meterline).reconcile, "raced") for _ in range(threads)]
        repaired = [each.result().repaired for each in passes]
    assert sum(repaired) == 5
    assert reconciler(meterline).reconcile("raced", again=True) == Pass()


def test_in_a_closed_period_each_lost_event_is_named_and_billed_late(meterline: Stack) -> None:
    for customer in ("closed", "closing"):
        events = march_usage(customer, range(20))
        deliver(meterline, events[:30])
        close_march(meterline, customer)
        if customer == "closed":
            lose(meterline, events[30:])
        else:
            deliver(meterline, events[30:], first=100)
    [invoice] = invoices(meterline, "closed")
    assert reconciler(meterline).reconcile("closed") == Pass(repaired=10)
    same(meterline, "closed", "closing")
    named = meterline.runtime.store.late_usage("closed", 1)
    assert set(named) == {e.key for e in march_usage("closed", range(20))[30:]}
    assert reconciler(meterline).reconcile("closed", again=True) == Pass()
    run = meterline.runtime.billing_run
    for customer in ("closed", "closing"):
        run.bill(customer, MAY + HOUR)
    unchanged, after = invoices(meterline, "closed")
    assert unchanged == invoice
    late = [line for line in after["lines"] if line["late"] and line["type"] == "usage"]
    assert sum(line["events"]["count"] for line in late) == 20
    assert reconciler(meterline).reconcile("closed", again=True) == Pass()


def invoices(meterline: Stack, customer: str) -> list[dict[str, Any]]:
    items = meterline.runtime.store.invoices(customer, 1000, None).items
    return [dict(item) for item in reversed(items) if item["kind"] == "period"]


def test_usage_that_only_its_hour_has_is_billed(meterline: Stack) -> None:
    """The function stopped between two writes, and the stream was trimmed before it came back."""
    events = march_usage("halfway", range(4))
    deliver(meterline, events[:2])
    meterline.store(*events[2:6])
    records = [usage_record(e, n) for n, e in enumerate(events[2:6], 10)]
    client = meterline.runtime.dynamodb
    writes = len({(e.data["model"], e.occurred_at.replace(minute=0)) for e in events[2:6]}) + 2
    with killed_at_write(client, writes - 1, committed=True):
        meterline.apply(records)
    deliver(meterline, events[6:], first=20)
    counts = {t.count for t in account_of(meterline, "halfway").current.totals if t.count}
    assert counts == {2, 4}
    assert reconciler(meterline).reconcile("halfway") == Pass(repaired=4)
    deliver(meterline, march_usage("straight", range(4)))
    same(meterline, "halfway", "straight")


def test_what_is_only_late_in_the_stream_is_never_repaired(meterline: Stack) -> None:
    pump = meterline.pump()
    pump.run()
    meterline.store(usage("delayed", 1, MARCH + HOUR))
    pump.run()
    meterline.store(*(usage("delayed", n, MARCH + n * HOUR) for n in range(2, 9)))
    before = account_of(meterline, "delayed")
    impatient = replace(meterline.runtime.reconciler, sleep=lambda _: None)
    with pytest.raises(UnavailableError):
        impatient.reconcile("delayed")
    assert account_of(meterline, "delayed") == before
    pump.run()
    flowing = replace(meterline.runtime.reconciler, sleep=lambda _: pump.run())
    assert flowing.reconcile("delayed", again=True) == Pass()


def test_events_received_lately_are_not_judged_by(meterline: Stack) -> None:
    deliver(meterline, march_usage("young", range(3)))
    now = datetime.now(UTC)
    late = replace(usage("young", "late", MARCH + HOUR), received_at=now - 47 * HOUR)
    lose(meterline, [late])
    assert reconciler(meterline).reconcile("young", again=True) == Pass()
    note = meterline.runtime.reconciliations.reconciliation("young")
    assert note is not None
    assert note.postponed == (MARCH + HOUR,)
    assert reconciler(meterline, now + 2 * HOUR).reconcile("young") == Pass(repaired=1)
    note = meterline.runtime.reconciliations.reconciliation("young")
    assert note is not None
    assert note.postponed == ()


def test_more_young_hours_than_a_note_can_hold_are_judged_again_from_the_first_left_out(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.services.reconcile.MAX_POSTPONED", 3)
    now = datetime.now(UTC)
    young = [
        replace(usage("many", n, MARCH + n * HOUR), received_at=now - 47 * HOUR) for n in range(6)
    ]
    deliver(meterline, march_usage("many", range(8, 10)))
    lose(meterline, young)
    assert reconciler(meterline).reconcile("many") == Pass()
    note = meterline.runtime.reconciliations.reconciliation("many")
    assert note is not None
    assert note.postponed == tuple(MARCH + n * HOUR for n in range(3))
    assert note.judged_until == MARCH + 3 * HOUR
    assert reconciler(meterline, now + 2 * HOUR).reconcile("many") == Pass(repaired=6)
    note = meterline.runtime.reconciliations.reconciliation("many")
    assert note is not None
    assert note.postponed == ()


def tampered_hour(meterline: Stack, customer: str, extra: Quarter) -> SaveUsageHour:
    """What puts an hour right again, after it was changed behind the system's back."""
    [hour] = meterline.runtime.store.usage_between("tokens", customer, MARCH, MARCH + HOUR)[:1]
    first, *rest = hour.quarters
    wrong = replace(first, count=first.count + extra.count, value=first.value + extra.value)
    changed = replace(hour, quarters=(wrong, *rest))
    meterline.runtime.store.commit([SaveUsageHour(hour, changed)])
    return SaveUsageHour(changed, hour)


@pytest.mark.parametrize("extra", [Quarter(1, Decimal(7)), Quarter(0, Decimal(1))])
def test_a_contradiction_holds_billing_until_a_clean_pass(
    meterline: Stack, extra: Quarter, capsys: pytest.CaptureFixture[str]
) -> None:
    customer = f"tampered{extra.count}"
    deliver(meterline, march_usage(customer, range(3)))
    undo = tampered_hour(meterline, customer, extra)
    before = account_of(meterline, customer)
    assert len(reconciler(meterline).reconcile(customer).findings) > 0
    held = account_of(meterline, customer)
    assert (held.phases, held.grants) == (before.phases, before.grants)
    assert held.held
    meterline.runtime.barriers.mark_passed(customer, due_token(APRIL + HOUR))
    with pytest.raises(HeldError):
        meterline.runtime.billing_run.bill(customer, APRIL + HOUR)
    assert invoices(meterline, customer) == []
    capsys.readouterr()
    message = json.dumps({"customer": customer, "as_of": utc_text(APRIL + HOUR)})
    order = {"Records": [{"messageId": "1", "body": message}]}
    assert bill_customer.handler(order, None) == {"batchItemFailures": []}
    assert '"BillingHeld": 1' in capsys.readouterr().out
    page = meterline.runtime.reconciliations.contradicted(1000, None)
    assert customer in {note.customer for note in page.items}
    meterline.runtime.store.commit([undo])
    assert reconciler(meterline).reconcile(customer) == Pass()
    assert account_of(meterline, customer).held is None
    assert bill_customer.handler(order, None) == {"batchItemFailures": []}
    assert len(invoices(meterline, customer)) == 1


def test_a_tampered_account_contradicts_its_usage_hours(meterline: Stack) -> None:
    deliver(meterline, march_usage("robbed", range(3)))
    account = account_of(meterline, "robbed")
    totals = account.current.totals
    fewer = replace(totals[1], count=totals[1].count + 5)
    phase = replace(account.current, totals=(totals[0], fewer, *totals[2:]))
    wrong = replace(account, version=account.version + 1, phases=(phase,))
    meterline.runtime.store.commit([SaveAccount(wrong, account.version)])
    result = reconciler(meterline).reconcile("robbed")
    assert any("phase 1, meter tokens: 5 more" in finding for finding in result.findings)
    assert account_of(meterline, "robbed").held


def test_a_wrong_amount_or_grant_is_found(meterline: Stack) -> None:
    deliver(meterline, march_usage("dearer", range(3)))
    account = account_of(meterline, "dearer")
    totals = account.current.totals
    dearer = replace(totals[1], amount=totals[1].amount + 1)
    phase = replace(account.current, totals=(totals[0], dearer, *totals[2:]))
    grants = {**account.grants, "USD": {"never-granted": 5}}
    wrong = replace(account, version=account.version + 1, phases=(phase,), grants=grants)
    meterline.runtime.store.commit([SaveAccount(wrong, account.version)])
    findings = " ".join(reconciler(meterline).reconcile("dearer").findings)
    assert "nanos are charged where the price is" in findings
    assert "drawn and overage do not make the amount" in findings
    assert "grant never-granted is held in USD, and not granted" in findings


def test_an_operator_can_release_a_hold_until_the_next_pass(meterline: Stack) -> None:
    deliver(meterline, march_usage("trusted", range(3)))
    tampered_hour(meterline, "trusted", Quarter(1, Decimal(7)))
    reconciler(meterline).reconcile("trusted")
    reconciler(meterline).release("trusted", "key1")
    assert account_of(meterline, "trusted").held is None
    reconciler(meterline).reconcile("trusted")
    assert account_of(meterline, "trusted").held
    with pytest.raises(NotFoundError):
        reconciler(meterline).release("nobody", "key1")


def journal_all(meterline: Stack, customer: str) -> None:
    """An entry that leads to the account's version, as the journal would have put it."""
    now = datetime.now(UTC)
    reconciler(meterline, now).reconcile(customer)
    reconciler(meterline, now + 49 * HOUR).reconcile(customer)
    assert meterline.ledger(customer)[-1].to_version == account_of(meterline, customer).version


@pytest.mark.parametrize("what", ["grants", "totals"])
def test_what_changed_without_a_new_version_is_found_and_healed_by_putting_it_right(
    meterline: Stack, what: str
) -> None:
    customer = f"edited-{what}"
    deliver(meterline, march_usage(customer, range(3)))
    journal_all(meterline, customer)
    now = datetime.now(UTC) + 50 * HOUR
    assert reconciler(meterline, now).reconcile(customer) == Pass()
    right = account_of(meterline, customer)
    grants = {"sparks": {key: nanos - 1 for key, nanos in right.grants["sparks"].items()}}
    first, second, *rest = right.current.totals
    totals = (first, replace(second, amount=second.amount + 1), *rest)
    phase = replace(right.current, totals=totals)
    wrong = (
        replace(right, grants={**right.grants, **grants})
        if what == "grants"
        else replace(right, phases=(phase,))
    )
    meterline.runtime.store.commit([SaveAccount(wrong, right.version)])
    assert reconciler(meterline, now).reconcile(customer).findings
    held = account_of(meterline, customer)
    assert held.held
    healed = replace(right, version=held.version, held=held.held)
    meterline.runtime.store.commit([SaveAccount(healed, held.version)])
    assert reconciler(meterline, now).reconcile(customer) == Pass()
    assert account_of(meterline, customer).held is None
    assert reconciler(meterline, now).reconcile(customer, again=True) == Pass()


def test_versions_that_no_entry_explains_are_spanned_by_one(meterline: Stack) -> None:
    for n, event in enumerate(march_usage("unjournaled", range(4)), 1):
        deliver(meterline, [event], first=n)
    account = account_of(meterline, "unjournaled")
    now = datetime.now(UTC)
    assert reconciler(meterline, now).reconcile("unjournaled") == Pass()
    assert len(meterline.ledger("unjournaled")) == 1
    later = now + 49 * HOUR
    assert reconciler(meterline, later).reconcile("unjournaled") == Pass(spanned=1)
    opening, span = meterline.ledger("unjournaled")
    assert (span.kind, span.from_version, span.to_version) == (
        "repair",
        opening.to_version,
        account.version,
    )
    assert span.remaining == account.grants
    assert span.changes
    assert reconciler(meterline, later).reconcile("unjournaled") == Pass()


def test_a_ledger_that_does_not_add_up_is_found(meterline: Stack) -> None:
    deliver(meterline, march_usage("ledgerless", range(2)))
    account = account_of(meterline, "ledgerless")
    grants = {"sparks": {key: nanos - 1 for key, nanos in account.grants["sparks"].items()}}
    wrong = replace(account, grants={**account.grants, **grants})
    meterline.runtime.store.commit([SaveAccount(wrong, account.version)])
    now = datetime.now(UTC)
    reconciler(meterline, now).reconcile("ledgerless")
    reconciler(meterline, now + 49 * HOUR).reconcile("ledgerless")
    meterline.runtime.store.commit([SaveAccount(account, account.version)])
    [finding] = reconciler(meterline, now + 50 * HOUR).reconcile("ledgerless", again=True).findings
    assert finding.startswith("ledger")


def test_quarantined_records_are_left_out_and_redriven_ones_counted(meterline: Stack) -> None:
    events = march_usage("aside", range(3))
    meterline.store(*events)
    records = [usage_record(e, n) for n, e in enumerate(events, 1)]
    records[2]["dynamodb"]["NewImage"]["data"]["S"] = "{"
    meterline.apply(records)
    assert reconciler(meterline).reconcile("aside", again=True) == Pass()
    meterline.runtime.redrive.redrive("aside", events[2].key, "key1")
    assert reconciler(meterline).reconcile("aside", again=True) == Pass()
    deliver(meterline, march_usage("not-aside", range(3)))
    same(meterline, "aside", "not-aside")


def test_a_period_whose_barrier_was_lost_is_closed_after_all(meterline: Stack) -> None:
    deliver(meterline, march_usage("stuck", range(3)))
    run = replace(meterline.runtime.billing_run, sleep=lambda _: None)
    with pytest.raises(UnavailableError):
        run.bill("stuck", APRIL + HOUR)
    reconciler(meterline).reconcile("stuck")
    assert "closed" in run.bill("stuck", APRIL + HOUR)


def test_a_customer_whose_first_events_were_lost_is_made(meterline: Stack) -> None:
    now = datetime.now(UTC)
    at = now - 4 * DAY
    lose(meterline, [usage("unborn", n, at + n * HOUR) for n in range(4)])
    assert reconciler(meterline).reconcile("unborn", again=True) == Pass(repaired=4)
    assert [t.count for t in account_of(meterline, "unborn").phases[0].totals][1:3] == [4, 4]
    with pytest.raises(NotFoundError):
        reconciler(meterline).reconcile("never-seen")


def test_each_event_is_read_again_about_twice(meterline: Stack) -> None:
    events = march_usage("counted", range(240))
    deliver(meterline, events)
    read = 0

    def note(parsed: dict[str, Any], **_: Any) -> None:
        nonlocal read
        read += sum("occurred_at" in item for item in parsed.get("Items", ()))

    with hooked(meterline.runtime.dynamodb, "after-call", note):
        for day in range(3, 60):
            result = reconciler(meterline, MARCH + day * DAY).reconcile("counted")
            assert result == Pass(spanned=result.spanned)
    assert 2 * len(events) <= read <= 2 * len(events) + 2 * 12
    close_march(meterline, "counted")
    reconciler(meterline, MARCH + 60 * DAY).reconcile("counted")
    requests = 0

    def count(**_: Any) -> None:
        nonlocal requests
        requests += 1

    with hooked(meterline.runtime.dynamodb, "before-send", count):
        reconciler(meterline, MARCH + 61 * DAY).reconcile("counted")
    assert requests <= 13  # the customer, its note, no new events, its books, one ledger entry


def anniversary(meterline: Stack, customer: str, started_at: datetime) -> None:
    """A customer whose period begins and ends in the middle of a quarter of an hour."""
    plan = a_plan(key=f"of-{customer}", period="anniversary", default=False)
    catalogue = meterline.publish(plan)
    profile = Customer(customer, created_at=started_at)
    opening, _ = start_subscription(profile, catalogue.latest_plan(plan.key), started_at)
    terms = replace(opening.subscription, due_at=opening.account.current.end)
    meterline.runtime.store.commit(
        [
            CreateCustomer(profile),
            SaveAccount(replace(opening.account, version=1), 0),
            SaveSubscription(terms, new=True),
            *(PutGrant(grant) for grant in opening.grants),
        ]
    )


def test_raw_events_stand_in_for_the_quarter_that_a_boundary_cuts(meterline: Stack) -> None:
    started_at = MARCH + timedelta(hours=9, minutes=7, seconds=31)
    boundary = APRIL + timedelta(hours=9, minutes=7, seconds=31)
    for customer in ("cut", "whole"):
        anniversary(meterline, customer, started_at)
        near = [usage(customer, n, boundary + (n - 6) * 20 * SECOND) for n in range(12)]
        if customer == "whole":
            deliver(meterline, near)
            continue
        deliver(meterline, near[:3])
        lose(meterline, near[3:9])
        deliver(meterline, near[9:], first=20)
    assert reconciler(meterline).reconcile("whole") == Pass()
    result = reconciler(meterline).reconcile("cut")
    assert result == Pass(repaired=6)
    totals = [account_of(meterline, each).phases for each in ("cut", "whole")]
    assert [[t.count for t in p.totals] for p in totals[0]] == [
        [t.count for t in p.totals] for p in totals[1]
    ]
    assert [p.totals[2].count for p in totals[0]] == [6, 6]
    assert reconciler(meterline).reconcile("cut", again=True) == Pass()


def over_the_cap(customer: str, at: datetime) -> list[UsageEvent]:
    """An hour of more models than have rows of their own, two of which one rate card takes."""
    models = ["first", "second", "large", "small", "large"]
    data = [{"tokens": Decimal(n), "model": model} for n, model in enumerate(models, 1)]
    return [usage(customer, f"{at.day}-{n}", at + n * MINUTE, each) for n, each in enumerate(data)]


def test_usage_over_the_cap_that_was_lost_on_several_days_is_repaired_day_by_day(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimension_cap, "MAX_GROUPS", 2)
    monkeypatch.setattr(recounting, "MAX_EVENTS", 1)
    for day in (1, 2, 3):
        events = over_the_cap("capped", MARCH + day * DAY)
        deliver(meterline, events[:3], first=10 * day)
        lose(meterline, events[3:])
        deliver(meterline, over_the_cap("uncapped", MARCH + day * DAY), first=10 * day)
    assert reconciler(meterline).reconcile("capped") == Pass(repaired=6)
    same(meterline, "capped", "uncapped")
    assert reconciler(meterline).reconcile("capped", again=True) == Pass()


def test_young_usage_over_the_cap_holds_up_no_repair(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimension_cap, "MAX_GROUPS", 2)
    deliver(meterline, over_the_cap("recent", MARCH + 4 * DAY))
    lose(meterline, over_the_cap("recent", MARCH + DAY))
    young = over_the_cap("recent", MARCH + 5 * DAY)
    deliver(meterline, young[:4], first=20)
    lose(meterline, young[4:])
    assert reconciler(meterline, MARCH + 6 * DAY).reconcile("recent") == Pass(repaired=5)
    assert reconciler(meterline, MARCH + 7 * DAY + HOUR).reconcile("recent") == Pass(repaired=1)
    assert account_of(meterline, "recent").current.totals[0].count == 6


def test_a_raw_event_over_the_cap_that_is_gone_is_a_contradiction(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dimension_cap, "MAX_GROUPS", 2)
    old = over_the_cap("gone", MARCH + DAY)
    deliver(meterline, old)
    assert reconciler(meterline, MARCH + 5 * DAY).reconcile("gone") == Pass()
    key = {"pk": {"S": "gone"}, "sk": {"S": old[4].key}}
    meterline.runtime.dynamodb.delete_item(TableName=meterline.events_table, Key=key)
    deliver(meterline, [usage("gone", "later", MARCH + 5 * DAY)], first=20)
    [finding] = reconciler(meterline, MARCH + 8 * DAY).reconcile("gone").findings
    assert "tokens" in finding
    assert "more were counted than there are raw events" in finding


def test_what_was_lost_of_periods_that_nobody_opened_opens_them(meterline: Stack) -> None:
    deliver(meterline, march_usage("unopened", range(2)))
    lose(meterline, [usage("unopened", n, APRIL + n * DAY) for n in range(40)])
    assert reconciler(meterline).reconcile("unopened") == Pass(repaired=40)
    phases = account_of(meterline, "unopened").phases
    assert [p.totals[2].count for p in phases] == [4, 30, 10]
    assert reconciler(meterline).reconcile("unopened", again=True) == Pass()


def test_a_long_outage_is_repaired_in_several_transactions(meterline: Stack) -> None:
    deliver(meterline, [usage("long", "first", MARCH)])
    groups = [{"tokens": Decimal(n), "model": f"m{n}"} for n in range(1, 61)]
    lost = [usage("long", n, MARCH + DAY + n * HOUR / 5, groups[n % 60]) for n in range(130)]
    lose(meterline, lost)
    version = account_of(meterline, "long").version
    assert reconciler(meterline).reconcile("long") == Pass(repaired=130)
    assert account_of(meterline, "long").version > version + 2
    assert account_of(meterline, "long").current.totals[2].count == 131
    assert reconciler(meterline).reconcile("long", again=True) == Pass()


def test_repairs_race_safely_with_the_stream(meterline: Stack) -> None:
    """Lost events are repaired while others of the same hours come in."""
    deliver(meterline, march_usage("busy", range(2)))
    lose(meterline, [usage("busy", f"lost{n}", MARCH + n * MINUTE) for n in range(20)])
    streaming = [usage("busy", f"live{n}", MARCH + n * 5 * MINUTE) for n in range(60)]
    meterline.store(*streaming)

    def stream() -> None:
        for n, event in enumerate(streaming, 100):
            meterline.apply([usage_record(event, n)])

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(stream)
        while not running.done():
            with suppress(UnavailableError):
                pool.submit(judge_span, meterline, "busy").result()
        running.result()
    reconciler(meterline).reconcile("busy", again=True)
    assert reconciler(meterline).reconcile("busy", again=True) == Pass()
    assert account_of(meterline, "busy").current.totals[2].count == 84


def judge_span(meterline: Stack, customer: str) -> None:
    """One look, and a repair only of what is surely lost: the rest is still in the stream."""
    known = reconciler(meterline)
    now = datetime.now(UTC)
    look = known.recounting.look(customer, [(MARCH, MARCH + DAY)], now, now)
    look.missing = {k: m for k, m in look.missing.items() if m.record.event.id[:4] == "lost"}
    if look.missing and not look.findings and not look.unsettled:
        with suppress(VersionConflictError):
            known.repairing.repair(look, now)


def test_customers_on_test_clocks_are_judged_by_the_machines_clock(meterline: Stack) -> None:
    pump = meterline.pump()
    clocks = meterline.test_clocks(pump)
    clock = clocks.create(MARCH)
    runtime = meterline.runtime
    customer = Customer("travels", created_at=MARCH, test_clock=clock.id)
    catalogue = runtime.catalogue.newest()
    runtime.store.commit(creation(runtime.store, catalogue, customer, MARCH, runtime.grace))
    clocks.advance(clock.id, MARCH + 5 * DAY, lambda: False)
    now = datetime.now(UTC)
    lost = [usage("travels", n, MARCH + n * HOUR) for n in range(5)]
    lose(meterline, [replace(event, received_at=now) for event in lost])
    assert reconciler(meterline).reconcile("travels", again=True) == Pass()
    assert reconciler(meterline, now + 49 * HOUR).reconcile("travels") == Pass(repaired=5)


def test_what_was_lost_long_before_a_profile_was_made_is_found(meterline: Stack) -> None:
    months_ago = datetime.now(UTC) - 100 * DAY
    early = replace(usage("found-late", 1, months_ago), received_at=months_ago)
    lose(meterline, [early])
    deliver(meterline, [usage("found-late", 2, datetime.now(UTC))])
    later = reconciler(meterline, datetime.now(UTC) + 49 * HOUR)
    assert later.reconcile("found-late") == Pass(repaired=1)
    assert later.reconcile("found-late") == Pass()


def test_the_hour_that_a_test_clock_stands_in_is_judged_whole(meterline: Stack) -> None:
    pump = meterline.pump()
    clocks = meterline.test_clocks(pump)
    standing = MARCH + 3 * HOUR + 14 * MINUTE
    clock = clocks.create(standing)
    runtime = meterline.runtime
    customer = Customer("stands", created_at=MARCH, test_clock=clock.id)
    catalogue = runtime.catalogue.newest()
    runtime.store.commit(creation(runtime.store, catalogue, customer, MARCH, runtime.grace))
    events = [usage("stands", n, MARCH + 3 * HOUR + n * MINUTE) for n in (10, 18, 25)]
    meterline.store(*events[:2])
    pump.run()
    later = datetime.now(UTC) + 49 * HOUR
    assert reconciler(meterline, later).reconcile("stands") == Pass()
    clocks.advance(clock.id, standing + 2 * HOUR, lambda: False)
    meterline.store(*events[2:])
    pump.run()
    assert reconciler(meterline, later).reconcile("stands") == Pass()
    assert account_of(meterline, "stands").current.totals[2].count == len(events)


def test_half_applied_records_in_quarantine_are_in_their_hours_only(meterline: Stack) -> None:
    """The hour was written, and when the record came again the account could not take it."""
    events = march_usage("halved", range(2))
    deliver(meterline, events[:2])
    meterline.store(*events[2:])
    records = [usage_record(e, n) for n, e in enumerate(events[2:], 10)]
    client = meterline.runtime.dynamodb
    with killed_at_write(client, 2, committed=True):
        meterline.apply(records)
    account = account_of(meterline, "halved")
    for event, record in zip(events[2:], records, strict=True):
        kept = PutQuarantine(
            customer="halved",
            event_key=event.key,
            shard="shard-1",
            sequence=int(record["dynamodb"]["SequenceNumber"]),
            reason="unratable",
            detail="tests",
            not_applied=("account",),
            quarantined_at=datetime.now(UTC),
            record="{}",
        )
        meterline.runtime.store.commit([kept])
    marked = replace(account, version=account.version + 1, quarantined_at=datetime.now(UTC))
    meterline.runtime.store.commit([SaveAccount(marked, account.version)])
    deliver(meterline, [usage("halved", "after", MARCH + 3 * HOUR)], first=50)
    assert reconciler(meterline).reconcile("halved", again=True) == Pass()
    for event in events[2:]:
        meterline.runtime.redrive.redrive("halved", event.key, "key1")
    assert account_of(meterline, "halved").current.totals[2].count == 5
    assert reconciler(meterline).reconcile("halved", again=True) == Pass()


def test_a_raw_event_that_was_removed_or_changed_is_a_contradiction(
    meterline: Stack, tables: Tables
) -> None:
    client = meterline.aws.client("dynamodb")
    for customer in ("removed", "changed"):
        events = march_usage(customer, range(3))
        deliver(meterline, events)
        key = {"pk": {"S": customer}, "sk": {"S": events[2].key}}
        if customer == "removed":
            client.delete_item(TableName=tables.events_table, Key=key)
        else:
            client.update_item(
                TableName=tables.events_table,
                Key=key,
                UpdateExpression="SET #data = :data",
                ExpressionAttributeNames={"#data": "data"},
                ExpressionAttributeValues={":data": {"S": '{"model":"small","tokens":8}'}},
            )
        findings = reconciler(meterline).reconcile(customer).findings
        assert any(finding.startswith("usage of tokens at") for finding in findings)
        assert account_of(meterline, customer).held


class Queue:
    """Takes orders."""

    def __init__(self) -> None:
        self.ordered: list[str] = []

    def send(self, customers: Any, as_of: datetime) -> int:
        sent = list(customers)
        self.ordered += sent
        return len(sent)


def test_every_customer_has_its_hour_and_the_age_of_the_last_clean_pass_is_reported(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deliver(meterline, march_usage("hourly", range(2)))
    reconciler(meterline, datetime.now(UTC) - 30 * HOUR).reconcile("hourly")
    queue = Queue()
    monkeypatch.setitem(meterline.runtime.__dict__, "reconciliation_orders", queue)
    for hour in range(24):
        start_reconciliation.handler({"scheduled_at": f"2026-05-01T{hour:02}:05:00Z"}, None)
    known = [c.key for c in meterline.runtime.store.customers(1000, None).items]
    assert sorted(queue.ordered) == sorted(known)
    lines = [json.loads(x) for x in capsys.readouterr().out.splitlines() if "_aws" in x]
    ages = [x["HoursSinceClean"] for x in lines if x["service"] == "start_reconciliation"]
    assert len(ages) == 24
    assert min(ages) >= 30


def test_orders_are_carried_out_continued_and_counted(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    events = march_usage("ordered", range(60))
    deliver(meterline, events[:100])
    lose(meterline, events[100:])
    deliver(meterline, march_usage("odd", range(2)))
    tampered_hour(meterline, "odd", Quarter(1, Decimal(7)))
    queue = Queue()
    monkeypatch.setattr(recounting, "MAX_EVENTS", 1)  # a look at each day
    monkeypatch.setitem(meterline.runtime.__dict__, "reconciliation_orders", queue)
    monkeypatch.setitem(meterline.runtime.__dict__, "reconciler", reconciler(meterline))
    bodies = [
        json.dumps({"customer": key, "as_of": utc_text(MARCH)})
        for key in ("ordered", "odd", "not-there")
    ]
    records = [{"messageId": str(n), "body": body} for n, body in enumerate(bodies)]
    left = iter([10**6, 0])
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: next(left, 10**6))
    answer = reconcile_customer.handler({"Records": records}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "2"}]}
    assert queue.ordered == ["ordered"]
    reconcile_customer.handler({"Records": records[:1]}, context)
    assert queue.ordered == ["ordered"]
    out = capsys.readouterr().out
    for counter in ('"RepairsMade": 20', '"Contradictions": 1', '"ReconciliationDelayed": 1'):
        assert counter in out


def test_a_busy_customers_days_are_rolled_up_before_anybody_asks(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first question about a month is then two requests: what is rolled up, and the rest."""
    start = floor_day(datetime.now(UTC)) - 9 * DAY
    events = [
        usage("models", f"{hour}-{model}", start + hour * HOUR, {**LARGE, "model": str(model)})
        for hour in range(2 * 24)
        for model in range(6)
    ]
    deliver(meterline, events)
    monkeypatch.setitem(meterline.runtime.__dict__, "reconciler", reconciler(meterline))
    order = {
        "messageId": "1",
        "body": json.dumps({"customer": "models", "as_of": utc_text(start)}),
    }
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 10**6)
    assert reconcile_customer.handler({"Records": [order]}, context) == {"batchItemFailures": []}
    note = meterline.runtime.reconciliations.reconciliation("models")
    assert note is not None
    assert list(note.busy) == ["tokens"]
    queries = meterline.runtime.usage_queries
    _, days = queries.days.opening("models", "tokens", Period(start, start + 9 * DAY))
    assert [len(day.kept or ()) for day in days.values()] == [144, 144, 0, 0, 0, 0, 0]
    with consumed(meterline.runtime.dynamodb) as used:
        answer = queries.usage(UsageQuestion("tokens", ("models",), None, start - 21 * DAY)).answer
    assert answer.rows[0].value == 90 * len(events)
    assert [each for each in used.requests if each != "GetItem"] == ["BatchGetItem", "Query"]
