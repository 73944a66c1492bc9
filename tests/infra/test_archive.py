"""The archive's bucket, its mapping, and what Athena is told about it."""

import base64
import json
from typing import Any

from cli.duck import COLUMNS, VIEW_SQL
from shared.services.archive import event_line
from tests.infra.assembly import Assembly, Properties, reference
from tests.infra.test_stream_mappings import mapping_of, passes, records
from tests.support.builders import MARCH, usage
from tests.support.streams import insert_record, usage_record

BUCKET = "ArchiveBucket"


def glue_table(assembly: Assembly, name: str) -> Properties:
    tables = assembly.properties("AWS::Glue::Table").values()
    [found] = [each["TableInput"] for each in tables if each["TableInput"]["Name"] == name]
    return found


def columns(table: Properties) -> dict[str, str]:
    return {each["Name"]: each["Type"] for each in table["StorageDescriptor"]["Columns"]}


def view(assembly: Assembly) -> dict[str, Any]:
    """What Athena reads out of the view's text."""
    text = glue_table(assembly, "events")["ViewOriginalText"]
    encoded = text.removeprefix("/* Presto View: ").removesuffix(" */")
    return json.loads(base64.b64decode(encoded))


def test_the_bucket_is_closed_encrypted_and_keeps_what_is_replaced(assembly: Assembly) -> None:
    bucket = assembly.properties("AWS::S3::Bucket")[BUCKET]
    assert all(bucket["PublicAccessBlockConfiguration"].values())
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert bucket["VersioningConfiguration"]["Status"] == "Enabled"


def test_in_prod_it_takes_tls_only_and_outlives_the_stack(prod: Assembly) -> None:
    [policy] = prod.properties("AWS::S3::BucketPolicy").values()
    [statement] = policy["PolicyDocument"]["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert prod.resources("AWS::S3::Bucket")[BUCKET]["DeletionPolicy"] == "Retain"


def test_no_rule_ever_deletes_an_event(assembly: Assembly) -> None:
    rules = assembly.properties("AWS::S3::Bucket")[BUCKET]["LifecycleConfiguration"]["Rules"]
    expiring = [rule for rule in rules if "ExpirationInDays" in rule]
    assert [rule["Prefix"] for rule in expiring] == ["query-results/"]
    [moving] = [rule for rule in rules if "Transitions" in rule]
    assert moving["Prefix"] == "events/"
    classes = {each["StorageClass"] for each in moving["Transitions"]}
    assert classes == {"STANDARD_IA", "GLACIER_IR"}, "Athena reads no class that is thawed first"


def test_batches_are_large_and_wait_to_be(prod: Assembly) -> None:
    mapping = mapping_of(prod, "ArchiveEvents")
    assert reference(mapping["EventSourceArn"]) == "TablesUsageEvents.StreamArn"
    assert mapping["BatchSize"] == 10_000
    assert mapping["MaximumBatchingWindowInSeconds"] == 300
    assert "TumblingWindowInSeconds" not in mapping


def test_new_events_pass_and_barriers_and_changes_do_not(assembly: Assembly) -> None:
    let_through = passes(mapping_of(assembly, "ArchiveEvents"))
    assert let_through(usage_record(usage("acme", 1, MARCH), 1))
    assert not let_through(insert_record({"pk": {"S": "acme"}, "sk": {"S": "barrier#t"}}, 2))
    examples = records("stream_usage_events.json")
    assert not let_through(examples["MODIFY"])
    assert not let_through(examples["REMOVE"])


def test_the_function_may_only_put_files_where_they_belong(assembly: Assembly) -> None:
    policies = assembly.properties("AWS::IAM::Policy")
    [statement] = policies["ArchiveWrite"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == "s3:PutObject"
    assert [reference(each) for each in statement["Resource"]] == [
        f"{BUCKET}/events/*",
        f"{BUCKET}/quarantine/*",
    ]
    function = assembly.functions()["archive"]
    assert reference(function["Environment"]["Variables"]["ARCHIVE_BUCKET"]) == BUCKET


def test_the_table_has_a_column_for_each_member_of_a_line(assembly: Assembly) -> None:
    table = glue_table(assembly, "archived_events")
    line = json.loads(event_line(usage("acme", 1, MARCH)).text)
    assert list(columns(table)) == list(line)
    kinds = {str: "string", int: "bigint", dict: "map<string,string>"}
    assert list(columns(table).values()) == [kinds[type(value)] for value in line.values()]


def test_partitions_follow_from_the_day_and_names_keep_their_case(assembly: Assembly) -> None:
    table = glue_table(assembly, "archived_events")
    assert table["PartitionKeys"] == [{"Name": "dt", "Type": "string"}]
    parameters = {name: reference(value) for name, value in table["Parameters"].items()}
    assert parameters["projection.enabled"] == "true"
    assert parameters["projection.dt.range"] == "2025-01-01,NOW+1DAYS"
    assert parameters["storage.location.template"] == f"s3://{BUCKET}/events/dt=${{dt}}/"
    partition = event_line(usage("acme", 1, MARCH)).partition
    assert partition == "events/dt=2026-03-01"
    serde = table["StorageDescriptor"]["SerdeInfo"]["Parameters"]
    assert serde == {"case.insensitive": "false", "ignore.malformed.json": "false"}


def test_the_view_names_its_columns_twice_alike(assembly: Assembly) -> None:
    table, definition = glue_table(assembly, "events"), view(assembly)
    assert table["Parameters"]["presto_view"] == "true"
    assert table["TableType"] == "VIRTUAL_VIEW"
    assert table["PartitionKeys"] == []
    assert definition["schema"] == f"meterline_{assembly.stage}"
    names = [each["name"] for each in definition["columns"]]
    assert (
        names == list(columns(table)) == [*columns(glue_table(assembly, "archived_events")), "dt"]
    )


def test_a_query_is_bounded_and_its_result_encrypted(assembly: Assembly) -> None:
    [group] = assembly.properties("AWS::Athena::WorkGroup").values()
    settings = group["WorkGroupConfiguration"]
    assert settings["EnforceWorkGroupConfiguration"] is True
    assert settings["BytesScannedCutoffPerQuery"] == 100 * 2**30
    result = settings["ResultConfiguration"]
    assert result["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}
    assert reference(result["OutputLocation"]) == f"s3://{BUCKET}/query-results/"


def test_athena_and_duckdb_are_told_the_same(prod: Assembly) -> None:
    assert view(prod)["originalSql"] == VIEW_SQL.read_text()
    types = {"string": "VARCHAR", "bigint": "BIGINT", "map<string,string>": "MAP(VARCHAR, VARCHAR)"}
    told = columns(glue_table(prod, "archived_events"))
    assert {name: types[type_] for name, type_ in told.items()} == COLUMNS
