"""Queues: encrypted, on AWS reached by TLS only, each with somewhere to put what failed."""

from aws_cdk import Duration
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.acknowledgements import acknowledge
from infra.function import AppFunction
from infra.permissions import queue_statement
from infra.stage import Stage


def dead_letter_queue(scope: Construct, id: str, stage: Stage) -> sqs.Queue:
    """Keeps what could not be processed for as long as SQS can, fourteen days."""
    queue = sqs.Queue(
        scope,
        id,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=stage.protected,
        retention_period=Duration.days(14),
        removal_policy=stage.removal_policy,
    )
    _acknowledge_plain_http(queue, stage)
    acknowledge(queue, "SQS3", "It is a dead-letter queue: of a stream mapping or a schedule.")
    return queue


def work_queue(
    scope: Construct, id: str, stage: Stage, *, visibility: Duration, dead_letters: sqs.Queue
) -> sqs.Queue:
    """A message that failed five times moves to `dead_letters`."""
    queue = sqs.Queue(
        scope,
        id,
        encryption=sqs.QueueEncryption.SQS_MANAGED,
        enforce_ssl=stage.protected,
        visibility_timeout=visibility,
        retention_period=Duration.days(14),
        removal_policy=stage.removal_policy,
        dead_letter_queue=sqs.DeadLetterQueue(max_receive_count=5, queue=dead_letters),
    )
    _acknowledge_plain_http(queue, stage)
    return queue


def consume(
    scope: Construct,
    queue: sqs.Queue,
    function: AppFunction,
    *,
    batch_size: int,
    maximum_concurrency: int | None = None,
) -> None:
    """Hands the queue's messages to the function, which names those that failed."""
    function.add_to_role_policy(
        queue_statement(queue, "ReceiveMessage", "DeleteMessage", "GetQueueAttributes")
    )
    scaling = (
        lambda_.CfnEventSourceMapping.ScalingConfigProperty(maximum_concurrency=maximum_concurrency)
        if maximum_concurrency
        else None
    )
    lambda_.CfnEventSourceMapping(
        scope,
        "Mapping",
        event_source_arn=queue.queue_arn,
        function_name=function.function_name,
        batch_size=batch_size,
        scaling_config=scaling,
        function_response_types=["ReportBatchItemFailures"],
    ).node.add_dependency(function.role)


def _acknowledge_plain_http(queue: sqs.Queue, stage: Stage) -> None:
    if not stage.protected:
        acknowledge(queue, "SQS4", "The local AWS speaks plain HTTP, on the loopback address.")
