"""What the stream mappings must never lose: each of these, broken, would count less, silently."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.streams.filters import filter_records
from tests.infra.assembly import Assembly, Properties, reference

RECORDS = Path(__file__).parent.parent.parent / "events"


def mapping_of(assembly: Assembly, function: str) -> Properties:
    mappings = assembly.properties("AWS::Lambda::EventSourceMapping").values()
    [found] = [each for each in mappings if reference(each["FunctionName"]).endswith(function)]
    return found


def passes(mapping: Properties) -> Callable[[dict[str, Any]], bool]:
    return filter_records(each["Pattern"] for each in mapping["FilterCriteria"]["Filters"])


def records(name: str) -> dict[str, dict[str, Any]]:
    """The records of a stream as Lambda delivers them, by what happened to the item."""
    return json.loads((RECORDS / name).read_text())


@pytest.mark.parametrize("function", ["Aggregate", "ArchiveEvents", "React", "FollowUsage"])
class TestEveryStream:
    def test_one_batch_of_a_shard_at_a_time_from_the_oldest_record(
        self, assembly: Assembly, function: str
    ) -> None:
        mapping = mapping_of(assembly, function)
        assert mapping["ParallelizationFactor"] == 1
        assert mapping["StartingPosition"] == "TRIM_HORIZON"

    def test_no_record_is_given_up_and_one_that_expires_is_kept(
        self, assembly: Assembly, function: str
    ) -> None:
        mapping = mapping_of(assembly, function)
        assert mapping["MaximumRetryAttempts"] == -1
        assert mapping["MaximumRecordAgeInSeconds"] == -1
        destination = reference(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        assert destination in assembly.resources("AWS::SQS::Queue")

    def test_a_failure_repeats_only_the_records_from_it_on(
        self, assembly: Assembly, function: str
    ) -> None:
        mapping = mapping_of(assembly, function)
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["BisectBatchOnFunctionError"] is True

    def test_the_mapping_is_enabled(self, assembly: Assembly, function: str) -> None:
        assert mapping_of(assembly, function).get("Enabled", True) is True


class TestAggregate:
    def test_reads_the_stream_of_usage_events(self, assembly: Assembly) -> None:
        mapping = mapping_of(assembly, "Aggregate")
        assert reference(mapping["EventSourceArn"]) == "TablesUsageEvents.StreamArn"

    def test_a_tumbling_window_names_the_shard(self, assembly: Assembly) -> None:
        assert mapping_of(assembly, "Aggregate")["TumblingWindowInSeconds"] > 0

    def test_batches_do_not_wait(self, assembly: Assembly) -> None:
        assert mapping_of(assembly, "Aggregate")["MaximumBatchingWindowInSeconds"] <= 1

    @pytest.mark.parametrize(
        ("event_name", "expected"), [("INSERT", True), ("MODIFY", False), ("REMOVE", False)]
    )
    def test_only_new_events_count(
        self, assembly: Assembly, event_name: str, expected: bool
    ) -> None:
        record = records("stream_usage_events.json")[event_name]
        assert record["eventName"] == event_name
        assert passes(mapping_of(assembly, "Aggregate"))(record) is expected


class TestReact:
    def test_reads_the_stream_of_the_billing_table(self, assembly: Assembly) -> None:
        mapping = mapping_of(assembly, "React")
        assert reference(mapping["EventSourceArn"]) == "TablesBilling.StreamArn"

    @pytest.mark.parametrize(
        ("record", "expected"),
        [
            ("account opened", True),
            ("account changed", True),
            ("account removed", False),
            ("ledger entry added", False),
        ],
    )
    def test_only_versions_of_accounts_pass(
        self, assembly: Assembly, record: str, expected: bool
    ) -> None:
        image = records("stream_billing.json")[record]
        assert passes(mapping_of(assembly, "React"))(image) is expected


class TestFollowUsage:
    def test_reads_the_stream_of_the_billing_table(self, assembly: Assembly) -> None:
        mapping = mapping_of(assembly, "FollowUsage")
        assert reference(mapping["EventSourceArn"]) == "TablesBilling.StreamArn"

    @pytest.mark.parametrize(
        ("event_name", "partition", "expected"),
        [
            ("INSERT", "U#messages#acme", True),
            ("MODIFY", "U#messages#acme", True),
            ("REMOVE", "U#messages#acme", False),
            ("MODIFY", "C#acme", False),
            ("INSERT", "R#messages#acme", False),
        ],
    )
    def test_only_usage_hours_pass(
        self, assembly: Assembly, event_name: str, partition: str, expected: bool
    ) -> None:
        keys = {"pk": {"S": partition}, "sk": {"S": "2026-03-10T12#"}}
        record = {"eventName": event_name, "dynamodb": {"Keys": keys}}
        assert passes(mapping_of(assembly, "FollowUsage"))(record) is expected


class TestBillingQueue:
    def test_one_failed_customer_does_not_repeat_the_others(self, assembly: Assembly) -> None:
        mapping = mapping_of(assembly, "BillCustomer")
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]

    def test_a_message_stays_invisible_while_it_may_still_be_worked_on(
        self, assembly: Assembly
    ) -> None:
        queue = assembly.properties("AWS::SQS::Queue")["BillingRunQueue"]
        timeout = assembly.functions()["bill_customer"]["Timeout"]
        assert queue["VisibilityTimeout"] >= 6 * timeout


@pytest.mark.parametrize(
    ("table", "view"),
    [("TablesUsageEvents", "NEW_IMAGE"), ("TablesBilling", "NEW_AND_OLD_IMAGES")],
)
def test_streams_carry_the_images_that_are_read(assembly: Assembly, table: str, view: str) -> None:
    properties = assembly.properties("AWS::DynamoDB::Table")[table]
    assert properties["StreamSpecification"]["StreamViewType"] == view
