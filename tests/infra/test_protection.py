"""What keeps data and time safe: protection in prod, and no test clocks where money moves."""

import re
from pathlib import Path

import pytest

from infra.stage import load_stage
from tests.infra.assembly import Assembly, reference
from tests.infra.conftest import run_app

TABLES = ("TablesUsageEvents", "TablesBilling")


@pytest.mark.parametrize("name", TABLES)
def test_tables_in_prod_can_be_restored_and_not_be_deleted(prod: Assembly, name: str) -> None:
    table = prod.resources("AWS::DynamoDB::Table")[name]
    recovery = table["Properties"]["PointInTimeRecoverySpecification"]
    assert recovery["PointInTimeRecoveryEnabled"] is True
    assert table["Properties"]["DeletionProtectionEnabled"] is True
    assert table["DeletionPolicy"] == "Retain"
    assert table["UpdateReplacePolicy"] == "Retain"


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_local_stage_go_with_the_stack(local: Assembly, name: str) -> None:
    table = local.resources("AWS::DynamoDB::Table")[name]
    assert table["Properties"]["DeletionProtectionEnabled"] is False
    assert table["DeletionPolicy"] == "Delete"


@pytest.mark.parametrize(
    "type_", ["AWS::S3::Bucket", "AWS::SecretsManager::Secret", "AWS::SQS::Queue"]
)
def test_what_prod_cannot_make_again_outlives_the_stack(prod: Assembly, type_: str) -> None:
    for resource in prod.resources(type_).values():
        assert resource["DeletionPolicy"] == "Retain"


def test_raw_events_never_expire(assembly: Assembly) -> None:
    events = assembly.properties("AWS::DynamoDB::Table")["TablesUsageEvents"]
    assert "TimeToLiveSpecification" not in events


def test_prod_has_no_test_clocks(prod: Assembly) -> None:
    functions = prod.functions()
    assert "test_clocks" not in functions
    assert {each["Environment"]["Variables"]["TEST_CLOCKS"] for each in functions.values()} == {"0"}
    routes = prod.properties("AWS::ApiGatewayV2::Route").values()
    assert not any("test-clocks" in route["RouteKey"] for route in routes)


@pytest.mark.parametrize("value", ["0", "1"])
def test_prod_refuses_to_be_given_test_clocks(value: str) -> None:
    with pytest.raises(ValueError, match="no test clocks"):
        load_stage("prod", value)


def test_the_app_hands_the_context_value_to_that_check(tmp_path: Path) -> None:
    result = run_app(tmp_path, stage="prod", test_clocks="1")
    assert result.returncode != 0
    assert "stage prod has no test clocks" in result.stderr


def test_the_local_stage_can_do_without_test_clocks() -> None:
    assert load_stage("local").test_clocks is True
    assert load_stage("local", "0").test_clocks is False


def test_an_unknown_stage_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown stage"):
        load_stage("production")


def test_logs_are_kept_for_a_limited_time(assembly: Assembly) -> None:
    groups = assembly.properties("AWS::Logs::LogGroup")
    assert all(group["RetentionInDays"] > 0 for group in groups.values())
    for function in assembly.functions().values():
        assert reference(function["LoggingConfig"]["LogGroup"]) in groups


def test_every_queue_has_a_dead_letter_queue_or_is_one(assembly: Assembly) -> None:
    queues = assembly.properties("AWS::SQS::Queue")
    with_redrive = {
        name: reference(queue["RedrivePolicy"]["deadLetterTargetArn"])
        for name, queue in queues.items()
        if "RedrivePolicy" in queue
    }
    failures = {
        reference(mapping["DestinationConfig"]["OnFailure"]["Destination"])
        for mapping in assembly.properties("AWS::Lambda::EventSourceMapping").values()
        if "DestinationConfig" in mapping
    }
    schedules = assembly.properties("AWS::Scheduler::Schedule").values()
    dead_letters = failures | set(with_redrive.values())
    dead_letters |= {reference(each["Target"]["DeadLetterConfig"]["Arn"]) for each in schedules}
    assert set(queues) == set(with_redrive) | dead_letters
    assert all(queue["SqsManagedSseEnabled"] is True for queue in queues.values())


def test_every_dead_letter_queue_and_stream_has_an_alarm(assembly: Assembly) -> None:
    watched = {
        (alarm["MetricName"], reference(dimension["Value"]).split(".")[0])
        for alarm in assembly.properties("AWS::CloudWatch::Alarm").values()
        for dimension in alarm["Dimensions"]
    }
    queues = assembly.properties("AWS::SQS::Queue")
    dead_letters = {name for name, queue in queues.items() if "RedrivePolicy" not in queue}
    assert {
        name for metric, name in watched if metric == "ApproximateNumberOfMessagesVisible"
    } == dead_letters
    driven = (
        "AggregationAggregate",
        "ArchiveArchiveEvents",
        "ReactionsReact",
        "FollowingFollowUsage",
    )
    assert {("IteratorAge", name) for name in driven} <= watched


def test_requests_are_throttled_and_logged_without_credentials(assembly: Assembly) -> None:
    [stage] = assembly.properties("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"]["ThrottlingRateLimit"] > 0
    assert stage["DefaultRouteSettings"]["ThrottlingBurstLimit"] > 0
    assert not re.search("authori|header|querystring", stage["AccessLogSettings"]["Format"])
