"""A schedule that starts a function."""

import json

from aws_cdk import Aws
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.permissions import queue_statement


def schedule(
    scope: Construct,
    *,
    description: str,
    expression: str,
    function: lambda_.Function,
    failures: sqs.Queue,
) -> scheduler.CfnSchedule:
    """Invokes `function` with the time that the run was scheduled for, retrying for an hour."""
    # Only schedules of this account: the service acts for everybody's.
    own = {"StringEquals": {"aws:SourceAccount": Aws.ACCOUNT_ID}}
    trusted = iam.ServicePrincipal("scheduler.amazonaws.com", conditions=own)
    role = iam.Role(scope, "ScheduleRole", assumed_by=trusted)
    role.add_to_policy(
        iam.PolicyStatement(actions=["lambda:InvokeFunction"], resources=[function.function_arn])
    )
    role.add_to_policy(queue_statement(failures, "SendMessage"))
    return scheduler.CfnSchedule(
        scope,
        "Schedule",
        description=description,
        schedule_expression=expression,
        flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
        target=scheduler.CfnSchedule.TargetProperty(
            arn=function.function_arn,
            role_arn=role.role_arn,
            # A run judges what is due at the time it was scheduled for, however late it starts.
            input=json.dumps({"scheduled_at": "<aws.scheduler.scheduled-time>"}),
            dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                arn=failures.queue_arn
            ),
            retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                maximum_event_age_in_seconds=3600, maximum_retry_attempts=10
            ),
        ),
    )
