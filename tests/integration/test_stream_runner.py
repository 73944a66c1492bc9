"""The stream runner on the emulator: real mappings, streams and function processes."""

import io
import json
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from local.emulator import ACCOUNT, Aws
from local.streams.runner import StreamRunner

TIMEOUT_SECONDS = 20
# Notes each event and fails on the records it is told to.
FUNCTION = """
import json, os
def handler(event, context):
    with open(os.environ["SEEN"], "a") as seen:
        seen.write(json.dumps(event) + "\\n")
    keys = [record["dynamodb"]["Keys"]["sk"]["S"] for record in event["Records"]]
    failed = [r["dynamodb"]["SequenceNumber"] for r, key in zip(event["Records"], keys)
              if key == "refused" and not os.path.exists(os.environ["SEEN"] + ".healed")]
    count = event["state"].get("count", 0) + len(keys)
    return {"state": {"count": count},
            "batchItemFailures": [{"itemIdentifier": number} for number in failed]}
"""


def eventually(check: Any) -> Any:
    """The first true answer of a check within the time limit."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(0.02)
    raise AssertionError("it did not happen in time")


@dataclass
class Bench:
    """One table, one function, their mapping, and runners that follow each other."""

    aws: Aws
    table: str
    folder: Path
    function: str = field(default_factory=lambda: f"probe-{uuid.uuid4().hex[:8]}")

    def deploy(self) -> None:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as contents:
            contents.writestr("probe.py", FUNCTION)
        self.lambda_ = self.aws.client("lambda")
        self.lambda_.create_function(
            FunctionName=self.function,
            Runtime="python3.13",
            Role=f"arn:aws:iam::{ACCOUNT}:role/probe",
            Handler="probe.handler",
            Code={"ZipFile": archive.getvalue()},
            Environment={"Variables": {"SEEN": str(self.folder / "seen")}},
        )
        description = self.aws.client("dynamodb").describe_table(TableName=self.table)
        self.mapping = self.lambda_.create_event_source_mapping(
            FunctionName=self.function,
            EventSourceArn=description["Table"]["LatestStreamArn"],
            StartingPosition="TRIM_HORIZON",
            BatchSize=10,
            FilterCriteria={"Filters": [{"Pattern": '{"eventName": ["INSERT"]}'}]},
            FunctionResponseTypes=["ReportBatchItemFailures"],
        )["UUID"]

    def runner(self) -> StreamRunner:
        mapping = {
            "Type": "AWS::Lambda::EventSourceMapping",
            "Properties": {"TumblingWindowInSeconds": 3600},
        }
        template = {"Resources": {"Mapping": mapping}}
        runner = StreamRunner(
            self.aws, {"Mapping": self.mapping}, template, self.folder / "progress"
        )
        runner.start()
        return runner

    def put(self, *keys: str) -> None:
        for key in keys:
            item = {"pk": {"S": "acme"}, "sk": {"S": key}, "blob": {"B": b"\x00\xff"}}
            self.aws.client("dynamodb").put_item(TableName=self.table, Item=item)

    def events(self) -> list[dict[str, Any]]:
        seen = self.folder / "seen"
        return [json.loads(line) for line in seen.read_text().splitlines()] if seen.exists() else []

    def keys(self) -> list[str]:
        return [
            record["dynamodb"]["Keys"]["sk"]["S"]
            for event in self.events()
            for record in event["Records"]
        ]


@pytest.fixture
def bench(
    aws: Aws, table_definitions: tuple[dict[str, Any], dict[str, Any]], tmp_path: Path
) -> Iterator[Bench]:
    bench = Bench(aws, f"usage-events-{uuid.uuid4().hex[:8]}", tmp_path)
    aws.client("dynamodb").create_table(TableName=bench.table, **table_definitions[0])
    bench.deploy()
    yield bench
    bench.lambda_.delete_event_source_mapping(UUID=bench.mapping)
    bench.lambda_.delete_function(FunctionName=bench.function)
    aws.client("dynamodb").delete_table(TableName=bench.table)


def test_a_function_gets_the_event_of_a_tumbling_window(bench: Bench) -> None:
    runner = bench.runner()
    bench.put("one")
    [event] = eventually(bench.events)
    runner.stop()
    mapping = bench.lambda_.get_event_source_mapping(UUID=bench.mapping)
    [record] = event["Records"]
    assert event["shardId"].startswith("shardId-")
    assert event["eventSourceARN"] == record["eventSourceARN"] == mapping["EventSourceArn"]
    assert (event["state"], event["isFinalInvokeForWindow"]) == ({}, False)
    assert record["dynamodb"]["NewImage"]["blob"] == {"B": "AP8="}
    assert mapping["State"] == "Disabled"


def test_only_what_the_filter_passes_arrives_and_in_order(bench: Bench) -> None:
    runner = bench.runner()
    bench.put("a", "b")
    bench.aws.client("dynamodb").delete_item(
        TableName=bench.table, Key={"pk": {"S": "acme"}, "sk": {"S": "a"}}
    )
    bench.put("c", "d")
    eventually(lambda: len(bench.keys()) == 4)
    runner.stop()
    assert bench.keys() == ["a", "b", "c", "d"]
    counts = [event["state"].get("count", 0) for event in bench.events()]
    assert counts == sorted(counts)


def test_a_refused_record_holds_up_its_shard_until_it_is_taken(bench: Bench) -> None:
    runner = bench.runner()
    bench.put("first", "refused", "last")
    eventually(lambda: bench.keys().count("refused") >= 2)
    (bench.folder / "seen.healed").touch()
    eventually(lambda: len(bench.events()) and bench.keys()[-1] == "last")
    runner.stop()
    assert bench.keys().count("first") == 1


def test_what_was_not_delivered_is_kept_for_the_next_runner(bench: Bench) -> None:
    runner = bench.runner()
    bench.put("refused")
    eventually(bench.events)
    bench.put("after")
    runner.stop()
    (bench.folder / "seen.healed").touch()
    runner = bench.runner()
    eventually(lambda: bench.keys()[-1] == "after")
    runner.stop()
