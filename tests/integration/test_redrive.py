"""Redriving quarantined records: once, in the right period, whoever else writes meanwhile."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions import api
from local.emulator import Aws
from shared.domain.accounts import Account
from shared.domain.events import UsageEvent
from shared.domain.reservations import Reservation, reserve
from shared.services.billing_run import due_token
from shared.services.changes import SaveAccount, SaveReservation
from shared.services.redrive import NotApplicableError, Redrive
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, HOUR, MARCH, MAY, usage
from tests.support.faults import Killed, hooked, killed_at_write, replies_lost
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record
from tests.unit.http.events import api_event

TOKENS, MESSAGES = 1, 2  # rate cards of the plan that the default usage falls to


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


def account_of(meterline: Stack, customer: str) -> Account:
    account = meterline.runtime.store.account(customer)
    assert account is not None
    return account


def counted(meterline: Stack, customer: str, at: datetime = MARCH) -> tuple[int, Decimal]:
    """Events and tokens in the usage hours of the day."""
    hours = meterline.runtime.store.usage_between("tokens", customer, at, at + 24 * HOUR)
    quarters = [quarter for hour in hours for quarter in hour.quarters]
    return sum(q.count for q in quarters), sum((q.value for q in quarters), Decimal(0))


def poisoned(meterline: Stack, customer: str, size: int = 5, at: datetime = MARCH) -> UsageEvent:
    """Events of the customer, of which the second could not be read; later ones have passed it."""
    events = [usage(customer, n, at + n * HOUR) for n in range(size)]
    meterline.store(*events)
    records = [usage_record(event, n) for n, event in enumerate(events, 1)]
    records[1]["dynamodb"]["NewImage"]["data"]["S"] = "{"
    assert meterline.apply(records)["batchItemFailures"] == []
    return events[1]


def redrive(event: UsageEvent) -> Any:
    path = f"/v1/quarantine/{event.customer}/{event.key}/redrive"
    answer = api.handler(api_event("POST", path), None)
    return answer["statusCode"], json.loads(answer["body"])


def listed(meterline: Stack, customer: str) -> list[str]:
    records = meterline.runtime.store.quarantine(1000, None).items
    return [record.event_key for record in records if record.customer == customer]


def assert_whole(meterline: Stack, customer: str, size: int) -> None:
    """Every event counts once, in hours, account and ledger."""
    account = account_of(meterline, customer)
    totals = account.current.totals
    assert (totals[TOKENS].count, totals[TOKENS].value) == (size, 7 * size)
    assert totals[MESSAGES].count == size
    assert counted(meterline, customer) == (size, 7 * size)


def test_a_redriven_record_counts_once_although_later_ones_have_passed(meterline: Stack) -> None:
    event = poisoned(meterline, "passed")
    assert counted(meterline, "passed")[0] == 4
    assert listed(meterline, "passed") == [event.key]
    status, first = redrive(event)
    assert (status, first["event_key"]) == (200, event.key)
    assert redrive(event) == (200, first)
    assert_whole(meterline, "passed", 5)
    assert listed(meterline, "passed") == []
    # The verdict stays: a late delivery of the record, healthy now, changes nothing.
    records = [usage_record(usage("passed", n, MARCH + n * HOUR), n + 1) for n in range(5)]
    for shard in ("shard-1", "shard-1-child"):
        meterline.apply([records[1]], shard)
    assert_whole(meterline, "passed", 5)
    [entry] = [e for e in meterline.ledger("passed") if "redriven" in e.cause]
    assert entry.cause == {"usages": "2", "redriven": event.key}
    assert entry.to_version == entry.from_version + 1


def test_a_redriven_record_settles_the_reservation_that_it_names(meterline: Stack) -> None:
    first = usage("named", 1, MARCH)
    large = {"tokens": Decimal(100), "model": "large"}
    event = replace(usage("named", 2, MARCH + HOUR, large), extensions={"reservation": "res_1"})
    meterline.store(first, event)
    broken = usage_record(event, 2)
    broken["dynamodb"]["NewImage"]["data"]["S"] = "{"
    assert meterline.apply([usage_record(first, 1), broken])["batchItemFailures"] == []
    store, before = meterline.runtime.store, account_of(meterline, "named")
    reserved = Reservation("res_1", "named", "sparks", 5 * 10**9, MARCH + HOUR, MARCH + 24 * HOUR)
    held = reserve(before, reserved)
    store.commit([SaveReservation(reserved, None), SaveAccount(held, before.version)])
    left = sum(held.grants["sparks"].values())
    assert redrive(event)[0] == 200
    account = account_of(meterline, "named")
    [settled] = store.reservations("named", ["res_1"]).values()
    assert (settled.status, settled.event, settled.drawn) == ("settled", event.key, 3 * 10**9)
    assert account.reserved.get("sparks", 0) == 0
    assert left - sum(account.grants["sparks"].values()) == 3 * 10**9


def test_metering_goes_on_beside_a_redriven_record(meterline: Stack) -> None:
    """The hour that a redrive wrote is no more the one that aggregation had read."""
    event = poisoned(meterline, "beside")
    meterline.runtime.redrive.redrive("beside", event.key, "op")
    more = [usage_record(usage("beside", f"m{n}", MARCH + HOUR), 10 + n) for n in range(3)]
    for record in more:
        meterline.apply([record])
    assert_whole(meterline, "beside", 8)


def test_of_ten_redrives_at_once_beside_two_shards_one_applies(meterline: Stack) -> None:
    event = poisoned(meterline, "crowd")

    def shard(name: str) -> None:
        records = [usage_record(usage("crowd", f"{name}{n}", MARCH), n) for n in range(6)]
        while records:
            if not meterline.apply(records[:1], name)["batchItemFailures"]:
                del records[0]

    with ThreadPoolExecutor(6) as pool:
        shards = [pool.submit(shard, name) for name in ("east", "west")]
        verdicts = [
            pool.submit(meterline.runtime.redrive.redrive, "crowd", event.key, "op")
            for _ in range(10)
        ]
        assert sum(v.result().now_applied for v in verdicts) == 1
        for done in shards:
            done.result()
    assert_whole(meterline, "crowd", 5 + 12)


@pytest.mark.parametrize("committed", [False, True])
def test_killed_at_its_write_it_applies_all_or_nothing(meterline: Stack, committed: bool) -> None:
    customer = f"killed-{committed}"
    event = poisoned(meterline, customer)
    # Its group of dimension values is registered before anything of it is applied.
    with killed_at_write(meterline.runtime.dynamodb, 0, committed=True):
        meterline.runtime.redrive.redrive(customer, event.key, "op")
    assert counted(meterline, customer)[0] == 4
    with killed_at_write(meterline.runtime.dynamodb, 0, committed=committed):
        meterline.runtime.redrive.redrive(customer, event.key, "op")
    assert counted(meterline, customer)[0] == (5 if committed else 4)
    assert redrive(event)[0] == 200
    assert_whole(meterline, customer, 5)


def test_a_lost_reply_is_found_applied(meterline: Stack) -> None:
    event = poisoned(meterline, "lost")
    with replies_lost(meterline.runtime.dynamodb, lambda index: index == 0):
        assert redrive(event)[0] == 200
    assert_whole(meterline, "lost", 5)


def test_a_record_of_a_closed_period_becomes_late_usage(meterline: Stack) -> None:
    event = poisoned(meterline, "closed")
    meterline.runtime.barriers.mark_passed("closed", due_token(APRIL + HOUR))
    assert "closed" in meterline.runtime.billing_run.bill("closed", APRIL + HOUR)
    [first] = [d for d in invoices(meterline, "closed") if d["kind"] == "period"]
    assert redrive(event)[0] == 200
    account = account_of(meterline, "closed")
    assert account.late[1][TOKENS].count == 1
    assert meterline.runtime.store.late_usage("closed", 1) == {event.key: 2}
    meterline.runtime.barriers.mark_passed("closed", due_token(MAY + HOUR))
    meterline.runtime.billing_run.bill("closed", MAY + HOUR)
    second, again = (d for d in invoices(meterline, "closed") if d["kind"] == "period")
    assert again == first
    late = [line for line in second["lines"] if line["late"] and line.get("meter") == "tokens"]
    assert [line["events"]["count"] for line in late] == [1]
    assert counted(meterline, "closed") == (5, 35)


def test_a_record_ahead_of_every_open_period_opens_them_first(meterline: Stack) -> None:
    meterline.apply([usage_record(usage("ahead", 0, MARCH), 1)])
    event = usage("ahead", 1, MAY + HOUR)
    meterline.store(event)
    record = usage_record(event, 2)
    record["dynamodb"]["NewImage"]["data"]["S"] = "[]"
    meterline.apply([record])
    assert redrive(event)[0] == 200
    account = account_of(meterline, "ahead")
    assert [p.totals[MESSAGES].count for p in account.phases] == [1, 0, 1]
    meterline.pump().run()
    entries = meterline.ledger("ahead")
    ranges = [(e.from_version, e.to_version) for e in entries]
    assert ranges == [(n, n + 1) for n in range(account.version)]


def test_what_still_cannot_be_applied_stays_and_says_why(meterline: Stack) -> None:
    meterline.apply([usage_record(usage("planless", 0, MARCH), 1)])
    account = account_of(meterline, "planless")
    gone = replace(account.current, plan_version=77)
    broken = replace(account, version=account.version + 1, phases=(gone,))
    meterline.runtime.store.commit([SaveAccount(broken, account.version)])
    event = usage("planless", 1, MARCH)
    meterline.store(event)
    meterline.apply([usage_record(event, 2)])
    status, problem = redrive(event)
    assert (status, problem["code"]) == (409, "not-applicable")
    assert "plan basic has no version 77" in problem["detail"]
    assert counted(meterline, "planless")[0] == 1
    assert listed(meterline, "planless") == [event.key]
    # The plan is found again; now it applies.
    now = account_of(meterline, "planless")
    healed = replace(now, version=now.version + 1, phases=account.phases)
    meterline.runtime.store.commit([SaveAccount(healed, now.version)])
    assert redrive(event)[0] == 200
    assert_whole(meterline, "planless", 2)


def test_an_event_that_was_never_stored_is_not_applied(meterline: Stack) -> None:
    record = usage_record(usage("forged", 1, MARCH), 1)
    record["dynamodb"]["NewImage"]["data"]["S"] = "{"
    meterline.apply([record])
    event = usage("forged", 1, MARCH)
    with pytest.raises(NotApplicableError):
        meterline.runtime.redrive.redrive("forged", event.key, "op")
    kept = meterline.runtime.store.quarantined_record("forged", event.key)
    assert kept is not None
    assert (kept.reason, kept.redriven_at) == ("not-found", None)


def test_a_bug_that_one_record_meets_does_not_hold_up_its_shard(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = [usage("bug", n, MARCH) for n in range(3)]
    meterline.store(*events)
    with monkeypatch.context() as patch:
        from shared.domain import folding  # noqa: PLC0415

        real = folding.charge_usage

        def buggy(rate: Any, totals: Any, measurement: Any, *rest: Any, **more: Any) -> Any:
            if rate.meter == "messages" and totals.count == 1:
                patch.undo()
                raise ZeroDivisionError
            return real(rate, totals, measurement, *rest, **more)

        patch.setattr(folding, "charge_usage", buggy)
        records = [usage_record(event, n) for n, event in enumerate(events, 1)]
        assert meterline.apply(records)["batchItemFailures"] == []
    kept = meterline.runtime.store.quarantined_record("bug", events[1].key)
    assert kept is not None
    assert (kept.reason, kept.detail) == ("unratable", "failed with ZeroDivisionError")
    assert redrive(events[1])[0] == 200
    assert_whole(meterline, "bug", 3)


def test_unknown_records_and_callers_without_the_scope_are_refused(meterline: Stack) -> None:
    path = "/v1/quarantine/nobody/00/redrive"
    for scopes, status in (("admin", 404), ("read", 403), ("", 401)):
        answer = api.handler(api_event("POST", path, scopes=scopes), None)
        assert answer["statusCode"] == status


def invoices(meterline: Stack, customer: str) -> list[Any]:
    return list(meterline.runtime.store.invoices(customer, 1000, None).items)


def test_a_write_still_under_way_cannot_apply_what_was_set_aside(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt stops with its first usage hour on its way; the next one sets the record aside."""
    meterline.apply([usage_record(usage("zombie", 0, MARCH), 1)])
    event = usage("zombie", 1, MARCH)
    meterline.store(event)
    record = usage_record(event, 2)
    client = meterline.runtime.dynamodb
    held: list[Any] = []

    def hold(params: dict[str, Any], **_: Any) -> None:
        if "UpdateExpression" in params:
            held.append(params)
            raise Killed

    with hooked(client, "provide-client-params", hold), pytest.raises(Killed):
        meterline.apply([record])
    with monkeypatch.context() as patch:
        patch.setattr("shared.domain.folding.charge_usage", lambda *_: 1 / 0)
        meterline.apply([record])
    with pytest.raises(client.exceptions.ConditionalCheckFailedException):
        client.update_item(**held[0])
    assert redrive(event)[0] == 200
    assert_whole(meterline, "zombie", 2)


def test_long_after_the_stream_has_lost_it_a_record_is_redriven_as_ever(
    meterline: Stack,
) -> None:
    event = poisoned(meterline, "outage")
    now = meterline.runtime.clock.now() + timedelta(days=3)
    clock = SimpleNamespace(now=lambda: now)
    service = Redrive(
        meterline.runtime.store,
        meterline.runtime.event_index,
        meterline.runtime.catalogue,
        clock,
        meterline.runtime.grace,
        meterline.runtime.revaluing.revalue,
    )
    assert service.redrive("outage", event.key, "op").record.redriven_at == now
    assert_whole(meterline, "outage", 5)


@pytest.mark.parametrize("cured", [False, True])
def test_a_verdict_stands_when_its_record_comes_again_days_later(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch, cured: bool
) -> None:
    """A shard is not blocked by it, and a record that could now be applied is not, but by hand."""
    customer = "overdue-cured" if cured else "overdue"
    event = usage(customer, 1, MARCH)
    meterline.apply([usage_record(usage(customer, 0, MARCH), 1)])
    meterline.store(event)
    record = usage_record(event, 2)
    with monkeypatch.context() as patch:
        patch.setattr("shared.domain.folding.charge_usage", lambda *_: 1 / 0)
        meterline.apply([record])
    assert listed(meterline, customer) == [event.key]
    later = meterline.runtime.clock.now() + timedelta(days=3)
    aggregator = replace(meterline.runtime.aggregator, clock=SimpleNamespace(now=lambda: later))
    monkeypatch.setitem(meterline.runtime.__dict__, "aggregator", aggregator)
    if not cured:
        record["dynamodb"]["NewImage"]["data"]["S"] = "{"
    assert meterline.apply([record])["batchItemFailures"] == []
    assert counted(meterline, customer)[0] == 1
    assert redrive(event)[0] == 200
    assert counted(meterline, customer)[0] == 2
