"""The archive: every raw event as a file in S3, and what Athena needs to ask it questions."""

import base64
import json
from pathlib import Path

from aws_cdk import Aws, Duration
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.function import AppFunction, Runtime
from infra.queues import dead_letter_queue
from infra.stage import Stage
from infra.stream_mapping import StreamMapping

TIMEOUT = Duration.seconds(120)
TABLE = "archived_events"
VIEW = "events"
# Each event once; DuckDB runs the same text.
VIEW_SQL = Path(__file__).parent.parent / "shared" / "services" / "archive_events.sql"
FOLDERS = ("events", "quarantine")
TEXT_MAP = "map<string,string>"
# A line's members, in its order, with their types in Hive's words.
COLUMNS = {
    "customer": "string",
    "source": "string",
    "id": "string",
    "type": "string",
    "occurred_at": "string",
    "received_at": "string",
    "recorded_at": "string",
    "catalogue_version": "bigint",
    "corrections": "bigint",
    "data": "string",
    "properties": TEXT_MAP,
    "extensions": TEXT_MAP,
}
PARTITION = {"dt": "string"}
PRESTO_TYPES = {"string": "varchar", "bigint": "bigint", TEXT_MAP: "map(varchar,varchar)"}
# What one query may read: 100 GiB cost half a dollar.
SCAN_LIMIT_BYTES = 100 * 2**30


class Archive(Construct):
    """The stream's second reader; DynamoDB lets two read each shard without slowing each other."""

    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.bucket = self._bucket(runtime.stage)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.function = AppFunction(
            self,
            "ArchiveEvents",
            runtime=runtime,
            module="archive",
            timeout=TIMEOUT,
            environment={"ARCHIVE_BUCKET": self.bucket.bucket_name},
        )
        self._let_write()
        self.mapping = StreamMapping(
            self,
            "Mapping",
            table=runtime.tables.events,
            function=self.function,
            failures=self.failures,
            # Barriers travel the same stream and have nothing but their key.
            pattern={
                "eventName": ["INSERT"],
                "dynamodb": {"NewImage": {"received_at": {"S": [{"exists": True}]}}},
            },
            # As much as the payload of one invocation holds, or what came within the window:
            # few files, for which Athena waits less and S3 charges less.
            batch_size=10_000,
            batching_window_seconds=runtime.stage.archive_window_seconds,
        )
        self.database = f"meterline_{runtime.stage.name}"
        self._define_tables()
        self.workgroup = self._workgroup(runtime.stage)

    def _bucket(self, stage: Stage) -> s3.Bucket:
        months = Duration.days(30)
        bucket = s3.Bucket(
            self,
            "Bucket",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=stage.protected,
            versioned=True,
            removal_policy=stage.removal_policy,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="events-get-cheaper-with-age",
                    prefix="events/",
                    # Both classes answer at once, so every day can still be queried.
                    transitions=[
                        s3.Transition(
                            storage_class=s3.StorageClass.INFREQUENT_ACCESS,
                            transition_after=Duration.days(90),
                        ),
                        s3.Transition(
                            storage_class=s3.StorageClass.GLACIER_INSTANT_RETRIEVAL,
                            transition_after=Duration.days(365),
                        ),
                    ],
                ),
                s3.LifecycleRule(
                    id="what-was-replaced-or-deleted-can-be-restored-for-a-month",
                    noncurrent_version_expiration=months,
                    abort_incomplete_multipart_upload_after=Duration.days(1),
                ),
                s3.LifecycleRule(
                    id="results-of-queries-expire",
                    prefix="query-results/",
                    expiration=months,
                ),
            ],
        )
        acknowledge(bucket, "S1", "One function writes; CloudTrail's data events tell who reads.")
        if not stage.protected:
            acknowledge(bucket, "S10", "The local AWS speaks plain HTTP, on the loopback address.")
        return bucket

    def _let_write(self) -> None:
        """Only new files, only in the two folders; the function never reads what it wrote."""
        folders = [self.bucket.arn_for_objects(f"{name}/*") for name in FOLDERS]
        policy = iam.Policy(
            self,
            "Write",
            statements=[iam.PolicyStatement(actions=["s3:PutObject"], resources=folders)],
        )
        assert self.function.role
        policy.attach_to_role(self.function.role)
        reason = "Files are named by their content, which nobody knows before."
        bucket = self.bucket.stack.get_logical_id(self.bucket.node.default_child)
        for name in FOLDERS:
            acknowledge(policy, f"IAM5[Resource::<{bucket}.Arn>/{name}/*]", reason)
        self.function.node.add_dependency(policy)

    def _define_tables(self) -> None:
        database = glue.CfnDatabase(
            self,
            "Database",
            catalog_id=Aws.ACCOUNT_ID,
            database_input=glue.CfnDatabase.DatabaseInputProperty(
                name=self.database, description="Meterline: raw usage events."
            ),
        )
        location = f"s3://{self.bucket.bucket_name}/events"
        table = glue.CfnTable(
            self,
            "Table",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database,
            table_input=glue.CfnTable.TableInputProperty(
                name=TABLE,
                description="Lines of the archive's files; an event may stand in several.",
                table_type="EXTERNAL_TABLE",
                partition_keys=_columns(PARTITION),
                # Partitions follow from the date: nothing has to discover them.
                parameters={
                    "classification": "json",
                    "projection.enabled": "true",
                    "projection.dt.type": "date",
                    "projection.dt.format": "yyyy-MM-dd",
                    "projection.dt.range": "2025-01-01,NOW+1DAYS",
                    "storage.location.template": f"{location}/dt=${{dt}}/",
                },
                storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
                    columns=_columns(COLUMNS),
                    location=f"{location}/",
                    input_format="org.apache.hadoop.mapred.TextInputFormat",
                    output_format="org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
                    serde_info=glue.CfnTable.SerdeInfoProperty(
                        serialization_library="org.openx.data.jsonserde.JsonSerDe",
                        # Names of properties keep their case, and a broken line is an error.
                        parameters={"case.insensitive": "false", "ignore.malformed.json": "false"},
                    ),
                ),
            ),
        )
        table.node.add_dependency(database)
        view = glue.CfnTable(
            self,
            "View",
            catalog_id=Aws.ACCOUNT_ID,
            database_name=self.database,
            table_input=_view(self.database),
        )
        view.node.add_dependency(table)

    def _workgroup(self, stage: Stage) -> athena.CfnWorkGroup:
        return athena.CfnWorkGroup(
            self,
            "Workgroup",
            name=f"meterline-{stage.name}",
            description="Questions to Meterline's archive of raw events.",
            recursive_delete_option=not stage.protected,
            work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
                enforce_work_group_configuration=True,
                publish_cloud_watch_metrics_enabled=True,
                bytes_scanned_cutoff_per_query=SCAN_LIMIT_BYTES,
                engine_version=athena.CfnWorkGroup.EngineVersionProperty(
                    selected_engine_version="Athena engine version 3"
                ),
                result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                    output_location=f"s3://{self.bucket.bucket_name}/query-results/",
                    encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                        encryption_option="SSE_S3"
                    ),
                ),
            ),
        )


def _columns(types: dict[str, str]) -> list[glue.CfnTable.ColumnProperty]:
    return [glue.CfnTable.ColumnProperty(name=name, type=type_) for name, type_ in types.items()]


def _view(database: str) -> glue.CfnTable.TableInputProperty:
    """A view as Athena itself stores one: its SQL and columns as JSON, in base64."""
    columns = {**COLUMNS, **PARTITION}
    definition = {
        "originalSql": VIEW_SQL.read_text(),
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": n, "type": PRESTO_TYPES[type_]} for n, type_ in columns.items()],
    }
    encoded = base64.b64encode(json.dumps(definition).encode()).decode()
    return glue.CfnTable.TableInputProperty(
        name=VIEW,
        description="Each raw event once, as corrected last.",
        table_type="VIRTUAL_VIEW",
        partition_keys=[],
        parameters={"presto_view": "true", "comment": "Presto View"},
        view_original_text=f"/* Presto View: {encoded} */",
        view_expanded_text="/* Presto View */",
        storage_descriptor=glue.CfnTable.StorageDescriptorProperty(
            columns=_columns(columns),
            # Athena wants both named, although a view has neither files nor a serializer.
            location="",
            serde_info=glue.CfnTable.SerdeInfoProperty(name="-", serialization_library="-"),
        ),
    )
