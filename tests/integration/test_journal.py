"""The ledger journal: every version once, in a chain, however the stream delivers."""

import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest

from local.emulator import Aws
from local.streams.filters import filter_records
from local.streams.model import StreamRecord
from local.streams.shard import DynamoDbShard
from shared.domain.ledger import LedgerEntry
from shared.services.billing_run import due_token
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, HOUR, MARCH, usage
from tests.support.faults import hooked
from tests.support.stack import Stack, stack
from tests.support.streams import ACCOUNTS, shard_ids, usage_record


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


def account_records(meterline: Stack, customer: str) -> list[dict[str, Any]]:
    """The billing stream's records that pass the mapping's filter, of one customer."""
    table = meterline.aws.client("dynamodb").describe_table(TableName=meterline.billing_table)
    arn = table["Table"]["LatestStreamArn"]
    client = meterline.aws.client("dynamodbstreams")
    passes = filter_records([ACCOUNTS])
    records: list[StreamRecord] = []
    for shard_id in shard_ids(client, arn):
        shard = DynamoDbShard(client, arn, shard_id)
        while page := shard.read(records[-1].cursor if records else None):
            records += page
    bodies = (record.body for record in records)
    mine = (b for b in bodies if b["dynamodb"]["Keys"]["pk"]["S"] == f"C#{customer}")
    return [body for body in mine if passes(body)]


def live_a_month(meterline: Stack, customer: str) -> None:
    """Usage, an opening, a close and breakage; seven versions."""
    for n in range(3):
        meterline.apply([usage_record(usage(customer, n, MARCH + n * HOUR), n + 1)])
    meterline.runtime.barriers.mark_passed(customer, due_token(APRIL + HOUR))
    meterline.runtime.billing_run.bill(customer, APRIL + HOUR)


def check_chain(meterline: Stack, customer: str) -> tuple[LedgerEntry, ...]:
    """Contiguous from nothing to the account, each entry's changes leading to its remainders."""
    entries = meterline.ledger(customer)
    balances: dict[tuple[str, str], int] = {}
    for before, entry in itertools.pairwise((None, *entries)):
        assert entry is not None
        assert entry.from_version == (before.to_version if before else 0)
        for unit, changes in entry.changes.items():
            for grant, nanos in changes.items():
                balances[unit, grant] = balances.get((unit, grant), 0) + nanos
        left = {(u, g): n for u, held in entry.remaining.items() for g, n in held.items()}
        assert {key: nanos for key, nanos in balances.items() if nanos} == left
    account = meterline.runtime.store.account(customer)
    assert account is not None
    assert entries[-1].to_version == account.version
    return entries


def test_people_and_aggregation_together_leave_no_gap(meterline: Stack) -> None:
    live_a_month(meterline, "month")
    meterline.react({"Records": account_records(meterline, "month")})
    entries = check_chain(meterline, "month")
    kinds = [entry.kind for entry in entries]
    assert kinds == ["opening", "usage", "usage", "usage", "opening", "close", "breakage"]
    assert entries[1].cause == {"usages": "2"}


def test_records_out_of_order_and_repeated_give_the_same_ledger(meterline: Stack) -> None:
    live_a_month(meterline, "shuffled")
    records = account_records(meterline, "shuffled") * 3
    random.Random(7).shuffle(records)
    for record in records:
        assert meterline.react({"Records": [record]}) == {"batchItemFailures": []}
    once = check_chain(meterline, "shuffled")
    meterline.react({"Records": records})
    assert check_chain(meterline, "shuffled") == once


def test_a_failed_write_delays_only_what_follows_it(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    live_a_month(meterline, "delayed")
    records = account_records(meterline, "delayed")
    client = meterline.runtime.dynamodb
    third = records[2]["dynamodb"]["SequenceNumber"]

    def throttle(params: dict[str, Any], **_: Any) -> None:
        if "000000000003" in str(params):
            raise client.exceptions.InternalServerError(
                {"Error": {"Code": "InternalServerError"}}, "PutItem"
            )

    monkeypatch.setattr("time.sleep", lambda _: None)
    with hooked(client, "provide-client-params", throttle):
        answer = meterline.react({"Records": records})
    assert answer == {"batchItemFailures": [{"itemIdentifier": third}]}
    meterline.react({"Records": records[2:]})
    check_chain(meterline, "delayed")
