"""The archive function on a real stream and a real bucket, with batches cut, repeated, refused."""

import gzip
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from functions import archive
from functions._runtime import runtime
from local.emulator import Aws
from local.streams.consumer import ShardConsumer, Step
from local.streams.filters import filter_records
from local.streams.model import Event, Faults, Mapping
from local.streams.progress import MemoryProgress
from local.streams.shard import DynamoDbShard
from shared.adapters.dynamodb.usage_events import to_item
from tests.integration.conftest import Tables, synthesized_template
from tests.support.builders import DAY, MARCH, usage
from tests.support.stack import Stack, stack
from tests.support.streams import insert_record, shard_ids, usage_record


@pytest.fixture
def bucket(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"archive-{uuid.uuid4().hex[:8]}"
    aws.client("s3").create_bucket(Bucket=name)
    monkeypatch.setenv("ARCHIVE_BUCKET", name)
    return name


@pytest.fixture
def meterline(aws: Aws, bucket: str, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as found:
        yield found


def archived(aws: Aws, bucket: str) -> dict[str, list[dict[str, Any]]]:
    """The lines of each file, by its key."""
    client = aws.client("s3")
    found = client.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        each["Key"]: [
            json.loads(line)
            for line in gzip.decompress(
                client.get_object(Bucket=bucket, Key=each["Key"])["Body"].read()
            ).splitlines()
        ]
        for each in found
    }


def identities(files: dict[str, list[dict[str, Any]]]) -> Counter[str]:
    return Counter(line["id"] for lines in files.values() for line in lines)


def pattern() -> str:
    """The filter of the mapping as it is deployed."""
    template = synthesized_template()
    logical_id = template["Outputs"]["ArchiveMappingId"]["Value"]["Ref"]
    criteria = template["Resources"][logical_id]["Properties"]["FilterCriteria"]
    return str(criteria["Filters"][0]["Pattern"])


def test_every_event_of_the_stream_is_archived_however_batches_are_cut_and_repeated(
    aws: Aws, bucket: str, meterline: Stack
) -> None:
    events = [usage("acme", n, MARCH + n % 3 * DAY) for n in range(40)]
    meterline.store(*events)
    meterline.runtime.barriers.send("acme", "token")
    lost = iter([True, False] * 20)
    cuts = iter([7, 3, 11, 2, 5] * 20)
    faults = Faults(regroup=lambda due: min(due, next(cuts)), lose_acknowledgement=lost.__next__)
    drive(aws, meterline, faults)
    files = archived(aws, bucket)
    found = identities(files)
    assert found.keys() == {event.id for event in events}
    assert max(found.values()) > 1, "the faults had no effect"
    for key, lines in files.items():
        assert {f"events/dt={line['received_at'][:10]}" for line in lines} == {
            key.rpartition("/")[0]
        }


def drive(aws: Aws, meterline: Stack, faults: Faults) -> None:
    """Delivers the stream's records to the function until none is left."""
    arn = aws.client("dynamodb").describe_table(TableName=meterline.events_table)["Table"]
    client = aws.client("dynamodbstreams")

    def refuse(message: Event) -> None:
        raise AssertionError(f"no record may be given up: {message}")

    mapping = Mapping(
        "archive",
        arn["LatestStreamArn"],
        batch_size=10_000,
        matches=filter_records([pattern()]),
        reports_item_failures=True,
        bisects=True,
    )
    for shard in shard_ids(client, mapping.stream_arn):
        consumer = ShardConsumer(
            mapping=mapping,
            shard=DynamoDbShard(client, mapping.stream_arn, shard),
            store=MemoryProgress(),
            invoke=lambda event: archive.handler(event, None),
            discard=refuse,
            now=time.time,
            faults=faults,
        )
        while consumer.step() is not Step.IDLE:
            pass


def test_a_batch_that_cannot_be_stored_comes_back_whole(
    aws: Aws, bucket: str, meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = [usage_record(usage("acme", n, MARCH), 100 + n) for n in range(3)]
    monkeypatch.setenv("ARCHIVE_BUCKET", f"missing-{uuid.uuid4().hex}")
    runtime.cache_clear()
    answer = archive.handler({"Records": records}, None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "100"}]}
    monkeypatch.setenv("ARCHIVE_BUCKET", bucket)
    runtime.cache_clear()
    assert archive.handler({"Records": records}, None) == {"batchItemFailures": []}
    assert identities(archived(aws, bucket)) == {"0": 1, "1": 1, "2": 1}


def test_what_is_no_event_is_archived_as_it_is_and_counted_and_the_others_go_on(
    aws: Aws, bucket: str, meterline: Stack, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = to_item(usage("acme", "broken", MARCH))
    broken["data"] = {"S": "[1"}
    timeless = {**to_item(usage("acme", "timeless", MARCH)), "received_at": {"S": "../.."}}
    records = [
        insert_record(broken, 1),
        usage_record(usage("acme", "fine", MARCH), 2),
        insert_record(timeless, 3),
    ]
    assert archive.handler({"Records": records}, None) == {"batchItemFailures": []}
    files = archived(aws, bucket)
    [fine] = [lines for key, lines in files.items() if key.startswith("events/dt=2026-03-01/")]
    assert [line["id"] for line in fine] == ["fine"]
    [set_aside] = [ls for key, ls in files.items() if key.startswith("quarantine/dt=2026-03-01/")]
    assert [line["reason"] for line in set_aside] == ["JSONDecodeError", "ValueError"]
    images = [json.loads(line["image"]) for line in set_aside]
    assert [image["id"]["S"] for image in images] == ["broken", "timeless"]
    assert images[0]["fingerprint"] == records[0]["dynamodb"]["NewImage"]["fingerprint"]
    counted = [json.loads(text) for text in capsys.readouterr().out.splitlines() if "_aws" in text]
    [counters] = [each for each in counted if each["service"] == "archive"]
    assert (counters["EventsArchived"], counters["EventsUnreadable"]) == (1, 2)


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Downloaded files go where the test ends."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


# A week that is not among the days of the tests above.
MONDAY = MARCH + 64 * DAY
WEEK = ["--from", "2026-05-04", "--to", "2026-05-11"]


def test_a_check_finds_what_the_archive_lacks_and_history_puts_it_there(
    aws: Aws,
    bucket: str,
    meterline: Stack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    meterline.store(*(usage("weekly", n, MONDAY + n % 2 * DAY) for n in range(6)))
    drive(aws, meterline, Faults(regroup=lambda due: min(due, 4)))
    capsys.readouterr()
    assert main(["archive", "check", *WEEK]) == 0
    assert capsys.readouterr().out.count("  equal\n") == 2
    lost = [key for key in archived(aws, bucket) if "dt=2026-05-05" in key]
    for key in lost:
        aws.client("s3").delete_object(Bucket=bucket, Key=key)
    assert main(["archive", "check", "--json", *WEEK]) == 1
    assert json.loads(capsys.readouterr().out) == [
        {"day": "2026-05-04", "table": 3, "archive": 3, "equal": True},
        {"day": "2026-05-05", "table": 3, "archive": 0, "equal": False},
    ]
    assert main(["archive", "history", *WEEK]) == 0
    assert capsys.readouterr().out == "6 events in 2 files\n"
    assert main(["archive", "check", *WEEK]) == 0


def test_history_takes_what_is_no_event_to_quarantine_and_says_so(
    aws: Aws,
    bucket: str,
    meterline: Stack,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = {**to_item(usage("weekly", "broken", MONDAY + 3 * DAY)), "data": {"S": "[1"}}
    table = {"TableName": meterline.events_table}
    aws.client("dynamodb").put_item(**table, Item=broken)
    thursday = ["--from", "2026-05-07", "--to", "2026-05-08"]
    assert main(["archive", "history", *thursday]) == 0
    assert f"cannot be read as an event: weekly {broken['sk']['S']}" in capsys.readouterr().err
    [[line]] = archived(aws, bucket).values()
    assert json.loads(line["image"])["id"] == {"S": "broken"}
    assert main(["archive", "check", *thursday]) == 0
    assert "cannot be read" in capsys.readouterr().err


def test_files_are_downloaded_once_and_asked_as_a_whole(
    aws: Aws,
    bucket: str,
    meterline: Stack,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for group in (range(3), range(2, 5)):
        records = [usage_record(usage("weekly", n, MONDAY), n + 1) for n in group]
        archive.handler({"Records": records}, None)
    capsys.readouterr()
    query = ["sql", "SELECT count(*) AS n FROM events", "--output", "json", *WEEK]
    assert main(query) == 0
    client = aws.client("s3")
    monkeypatch.setattr(client, "get_object", None)
    monkeypatch.setattr("boto3.client", lambda service: client)
    assert main([*query, "--archive", f"s3://{bucket}"]) == 0
    assert capsys.readouterr().out == '[{"n": 5}]\n' * 2
