"""Alarms on what must not go unnoticed: usage falling behind, work given up, requests failing."""

from collections.abc import Mapping

from aws_cdk import Duration
from aws_cdk import aws_apigatewayv2 as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

PERIOD = Duration.minutes(5)


class Monitoring(Construct):
    """Alarms notify one topic; subscribe to it whoever is on duty.

    `stream_functions` are those that a stream drives, and `dead_letters` the queues in which
    every message stands for work that was given up.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        http_api: apigateway.HttpApi,
        functions: Mapping[str, lambda_.Function],
        stream_functions: Mapping[str, lambda_.Function],
        dead_letters: Mapping[str, sqs.Queue],
    ) -> None:
        super().__init__(scope, id)
        self.topic = sns.Topic(self, "Alarms", enforce_ssl=True)
        for name, function in stream_functions.items():
            # Balances are meant to follow within seconds; ten minutes behind is an incident.
            age = function.metric("IteratorAge", statistic="Maximum", period=PERIOD)
            self._alarm(f"{name}Behind", age, threshold=10 * 60 * 1000, periods=2)
        for name, queue in dead_letters.items():
            depth = queue.metric_approximate_number_of_messages_visible(period=PERIOD)
            self._alarm(f"{name}DeadLetters", depth, threshold=1)
        for name, function in functions.items():
            self._alarm(f"{name}Errors", function.metric_errors(period=PERIOD), threshold=1)
            self._alarm(f"{name}Throttles", function.metric_throttles(period=PERIOD), threshold=1)
        errors = http_api.metric_server_error(statistic="Sum", period=PERIOD)
        self._alarm("ApiServerErrors", errors, threshold=1)

    def _alarm(
        self, id: str, metric: cloudwatch.Metric, *, threshold: int, periods: int = 1
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=(cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
