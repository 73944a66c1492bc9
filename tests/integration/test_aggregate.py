"""Events to totals, balances and ledger, through the real handlers on a real DynamoDB engine."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from functions._streams import ShardUnknownError
from local.emulator import Aws
from shared.domain.accounts import Account
from shared.domain.catalogue import Allowance
from shared.domain.events import utc_text
from shared.domain.subscriptions import Target, schedule_change
from shared.services.changes import SaveAccount, SaveSubscription
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, HOUR, MARCH, a_plan, usage
from tests.support.faults import hooked
from tests.support.stack import Stack, stack
from tests.support.streams import batch, insert_record, usage_record


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


def account_of(meterline: Stack, customer: str) -> Account:
    account = meterline.runtime.store.account(customer)
    assert account is not None
    return account


def in_quarantine(meterline: Stack, customer: str) -> list[Any]:
    items = meterline.runtime.store.quarantine(1000, None).items
    return [record for record in items if record.customer == customer]


def api_event(events: list[dict[str, Any]]) -> dict[str, Any]:
    """POST /v1/events, as API Gateway passes it on."""
    caller = {"principal": "key1", "scopes": "admin", "customer": ""}
    return {
        "version": "2.0",
        "rawPath": "/v1/events",
        "rawQueryString": "",
        "headers": {"content-type": "application/json"},
        "requestContext": {
            "http": {"method": "POST", "path": "/v1/events"},
            "authorizer": {"lambda": caller},
            "requestId": "r",
        },
        "body": json.dumps(events),
        "isBase64Encoded": False,
    }


def test_from_a_request_to_hours_account_and_ledger(meterline: Stack) -> None:
    now = datetime.now(UTC)
    sent = [
        {
            "specversion": "1.0",
            "type": "chat",
            "source": "tests",
            "id": str(n),
            "subject": "flow",
            "time": utc_text(now - timedelta(seconds=n)),
            "data": {"tokens": 7, "model": "small"},
        }
        for n in range(5)
    ]
    assert meterline.ingest(api_event(sent))["statusCode"] == 200
    meterline.pump().run()
    account = account_of(meterline, "flow")
    assert [t.count for t in account.current.totals] == [0, 5, 5, 0]
    assert [t.value for t in account.current.totals] == [0, 35, 5, 0]
    hours = meterline.runtime.store.usage_between(
        "tokens", "flow", now - timedelta(hours=2), now + timedelta(hours=1)
    )
    assert sum(q.value for hour in hours for q in hour.quarters) == 35
    [opening, drawn] = meterline.ledger("flow")
    assert (opening.kind, drawn.kind) == ("opening", "usage")
    assert (opening.to_version, drawn.to_version) == (1, account.version)
    assert drawn.changes.keys() == {"meter:messages"}


def test_a_batch_that_names_no_shard_is_refused(meterline: Stack) -> None:
    event = batch([usage_record(usage("nowhere", 1, MARCH), 1)])
    del event["shardId"]
    with pytest.raises(ShardUnknownError):
        meterline.aggregate(event)
    assert meterline.runtime.store.account("nowhere") is None


def test_the_state_is_passed_on_also_by_a_windows_last_empty_call(meterline: Stack) -> None:
    final = {**batch([]), "isFinalInvokeForWindow": True}
    assert meterline.aggregate(final) == {"state": {"kept": 1}, "batchItemFailures": []}


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("not-json", "{"),
        ("a-list", "[1]"),
        ("nested", '{"tokens": {"a": 1}, "model": "small"}'),
        ("not-finite", '{"tokens": NaN}'),
        ("out-of-bounds", '{"tokens": 1e40, "model": "small"}'),
    ],
)
def test_a_poisoned_record_is_set_aside_once_and_the_batch_goes_on(
    meterline: Stack, name: str, stored: str
) -> None:
    records = [usage_record(usage(name, n, MARCH + HOUR), n) for n in range(1, 4)]
    records[1]["dynamodb"]["NewImage"]["data"]["S"] = stored
    for _ in range(3):
        assert meterline.apply(records)["batchItemFailures"] == []
    [kept] = in_quarantine(meterline, name)
    assert kept.not_applied == ("account", "usage:*")
    assert json.loads(kept.record)["data"]["S"] == stored
    account = account_of(meterline, name)
    assert account.current.totals[2].count == 2
    # Healed, but the verdict stands until it is redriven: a late delivery does not apply it.
    healed = usage_record(usage(name, 2, MARCH + HOUR), 2)
    assert meterline.apply([healed, *records[2:]])["batchItemFailures"] == []
    assert account_of(meterline, name) == account


def test_a_stamp_of_a_catalogue_that_never_was_blocks_nobody(meterline: Stack) -> None:
    stamped = usage_record(usage("stamped", 1, MARCH, catalogue_version=999), 1)
    others = [usage_record(usage(name, 1, MARCH), 2) for name in ("stamped", "unstamped")]
    assert meterline.apply([stamped, *others])["batchItemFailures"] == []
    [kept] = in_quarantine(meterline, "stamped")
    assert kept.reason == "unratable"
    assert account_of(meterline, "unstamped").current.totals[2].count == 1


def test_a_phase_whose_plan_is_gone_sets_its_usage_aside(meterline: Stack) -> None:
    meterline.apply([usage_record(usage("planless", 1, MARCH), 1)])
    account = account_of(meterline, "planless")
    phase = replace(account.current, plan_version=77)
    broken = replace(account, version=account.version + 1, phases=(phase,))
    meterline.runtime.store.commit([SaveAccount(broken, account.version)])
    records = [usage_record(usage("planless", n, MARCH), n) for n in (2, 3)]
    for _ in range(2):
        assert meterline.apply(records)["batchItemFailures"] == []
    kept = in_quarantine(meterline, "planless")
    assert {record.reason for record in kept} == {"not-found"}
    assert {record.not_applied for record in kept} == {
        ("account", "usage:messages", "usage:tokens")
    }


def test_a_plan_newer_than_the_catalogue_at_hand_is_looked_up_not_quarantined(
    meterline: Stack,
) -> None:
    meterline.apply([usage_record(usage("moved", 1, MARCH), 1)])
    held = meterline.runtime.catalogue.fresh()
    meterline.publish(a_plan(key="side", version=1, default=False))
    store = meterline.runtime.store
    terms = store.subscription("moved")
    assert terms is not None
    side = a_plan(key="side", version=1)
    store.commit([SaveSubscription(schedule_change(terms, Target(side)))])
    source = meterline.runtime.catalogue
    source._catalogue = held  # type: ignore[attr-defined]
    source._checked_at_seconds = float("inf")  # type: ignore[attr-defined]
    assert meterline.apply([usage_record(usage("moved", 2, APRIL), 2)])["batchItemFailures"] == []
    assert in_quarantine(meterline, "moved") == []
    assert account_of(meterline, "moved").current.plan == "side"


def test_one_customers_trouble_delays_only_what_follows_it(meterline: Stack) -> None:
    """The first record of the customer whose writes fail is named; the others' are applied."""
    client = meterline.runtime.dynamodb
    records = [usage_record(usage(name, 1, MARCH), n) for n, name in enumerate("xyz", start=7)]

    def throttle(params: dict[str, Any], **_: Any) -> None:
        if "C#y" in json.dumps(params, default=str):
            raise_throttle()

    def raise_throttle() -> None:
        raise client.exceptions.ProvisionedThroughputExceededException(
            {"Error": {"Code": "ProvisionedThroughputExceededException", "Message": ""}}, "Any"
        )

    with hooked(client, "provide-client-params", throttle):
        answer = meterline.apply(records)
    assert answer["batchItemFailures"] == [{"itemIdentifier": "8"}]
    assert meterline.runtime.store.account("y") is None
    assert meterline.apply(records[1:])["batchItemFailures"] == []
    assert [account_of(meterline, name).current.totals[2].count for name in "xyz"] == [1, 1, 1]


def test_two_shards_of_one_customer_at_once_lose_nothing(meterline: Stack) -> None:
    """A hot customer's records come from two shards, each with an aggregator of its own."""
    meterline.apply([usage_record(usage("hot", "first", MARCH), 1)])
    each = 24

    def drive(shard: str) -> None:
        records = [usage_record(usage("hot", f"{shard}{n}", MARCH + HOUR), n) for n in range(each)]
        left = [records[n : n + 4] for n in range(0, each, 4)]
        while left:
            if not meterline.apply(left[0], shard)["batchItemFailures"]:
                del left[0]

    threads = [threading.Thread(target=drive, args=(shard,)) for shard in ("east", "west")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    account = account_of(meterline, "hot")
    messages = account.current.totals[2]
    assert (messages.count, messages.value) == (2 * each + 1, 2 * each + 1)
    assert messages.amount == messages.drawn + messages.overage
    [hour] = meterline.runtime.store.usage_between("tokens", "hot", MARCH + HOUR, MARCH + 2 * HOUR)
    assert sum(q.count for q in hour.quarters) == 2 * each
    assert set(account.checkpoints.positions) == set(hour.checkpoints.positions) | {
        key for key in account.checkpoints.positions if account.checkpoints.applied("shard-1", 1)
    }


def test_a_barrier_passes_behind_what_it_followed(meterline: Stack) -> None:
    barriers = meterline.runtime.barriers
    behind = insert_record({"pk": {"S": "fence"}, "sk": {"S": "barrier#one"}}, 2)
    client = meterline.runtime.dynamodb
    records = [usage_record(usage("fence", 1, MARCH), 1), behind]

    def refuse(params: dict[str, Any], **_: Any) -> None:
        raise client.exceptions.InternalServerError({"Error": {"Code": "InternalServerError"}}, "")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.sleep", lambda _: None)
        with hooked(client, "provide-client-params", refuse):
            answer = meterline.apply(records)
    assert answer["batchItemFailures"] == [{"itemIdentifier": "1"}]
    assert not barriers.has_passed("fence", "one")
    meterline.apply(records)
    assert barriers.has_passed("fence", "one")


def test_metering_goes_on_where_no_plan_prices_the_meter(meterline: Stack) -> None:
    free = a_plan(key="basic", version=2, rates=(), allowances=(Allowance("messages", Decimal(3)),))
    meterline.publish(free)
    version = meterline.runtime.catalogue.newest().version
    event = usage("unpriced", 1, MARCH, catalogue_version=version)
    meterline.apply([usage_record(event, 1)])
    account = account_of(meterline, "unpriced")
    [messages] = account.current.totals
    assert (messages.count, messages.covered, messages.amount) == (1, 1, 0)
    [hour] = meterline.runtime.store.usage_between("tokens", "unpriced", MARCH, MARCH + HOUR)
    assert sum(q.value for q in hour.quarters) == 7
