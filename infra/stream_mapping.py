"""The event source mapping of a table's stream, with every setting that correctness leans on."""

import json
from collections.abc import Mapping

from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.permissions import queue_statement, stream_statements


class StreamMapping(Construct):
    """Delivers a stream's records in order, without ever giving one up.

    One batch of a shard at a time and from the oldest record on: a function keeps a checkpoint
    per shard, and whatever is skipped or handled beside it would never be counted. Retries and
    record age are unlimited for the same reason; `failures` receives only what expired.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        table: dynamodb.Table,
        function: lambda_.Function,
        failures: sqs.Queue,
        pattern: Mapping[str, object],
        batch_size: int,
        tumbling_window_seconds: int | None = None,
        batching_window_seconds: int = 0,
    ) -> None:
        super().__init__(scope, id)
        for statement in stream_statements(table):
            function.add_to_role_policy(statement)
        function.add_to_role_policy(queue_statement(failures, "SendMessage"))
        self.resource = lambda_.CfnEventSourceMapping(
            self,
            "Resource",
            event_source_arn=table.table_stream_arn,
            function_name=function.function_name,
            starting_position="TRIM_HORIZON",
            batch_size=batch_size,
            maximum_batching_window_in_seconds=batching_window_seconds,
            parallelization_factor=1,
            tumbling_window_in_seconds=tumbling_window_seconds,
            filter_criteria=lambda_.CfnEventSourceMapping.FilterCriteriaProperty(
                filters=[lambda_.CfnEventSourceMapping.FilterProperty(pattern=json.dumps(pattern))]
            ),
            function_response_types=["ReportBatchItemFailures"],
            maximum_retry_attempts=-1,
            maximum_record_age_in_seconds=-1,
            bisect_batch_on_function_error=True,
            destination_config=lambda_.CfnEventSourceMapping.DestinationConfigProperty(
                on_failure=lambda_.CfnEventSourceMapping.OnFailureProperty(
                    destination=failures.queue_arn
                )
            ),
        )
        # Lambda checks that it may read the stream when the mapping is made.
        self.resource.node.add_dependency(function.role)
