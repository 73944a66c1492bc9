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


RUNBOOK = "Runbook: docs/operations.md, "
EARNINGS = (
    ("EarningsDelayed", "Earnings are delayed"),
    ("EarningsWaiting", "Earnings are delayed"),
    ("EarningsOfNobody", "Usage earns for nobody"),
    ("EarningsUnclaimed", "Earnings are unclaimed"),
)


class Monitoring(Construct):
    """Alarms notify one topic; subscribe to it whoever is on duty.

    `stream_functions` are those that a stream drives, and `dead_letters` the queues in which
    every message stands for work that was given up. Each alarm names its section of the runbook.
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
            self._alarm(
                f"{name}Behind", age, "Usage is behind", threshold=10 * 60 * 1000, periods=2
            )
        for name, queue in dead_letters.items():
            depth = queue.metric_approximate_number_of_messages_visible(period=PERIOD)
            self._alarm(f"{name}DeadLetters", depth, "Work was given up")
        for name, function in functions.items():
            errors = function.metric_errors(period=PERIOD)
            self._alarm(f"{name}Errors", errors, "A function fails")
            throttles = function.metric_throttles(period=PERIOD)
            self._alarm(f"{name}Throttles", throttles, "A function is throttled")
        errors = http_api.metric_server_error(statistic="Sum", period=PERIOD)
        self._alarm("ApiServerErrors", errors, "The API answers 5xx")
        for name in ("EventsLackingValue", "EventsConflicting"):
            self._alarm(name, _counter("ingest", name), "Events do not count as they were meant")
        not_backfilled = _counter("backfill", "BackfillDelayed")
        self._alarm("BackfillDelayed", not_backfilled, "A backfill is delayed", periods=3)
        quarantined = _counter("aggregate", "RecordsQuarantined")
        self._alarm("RecordsQuarantined", quarantined, "A record is in quarantine")
        over_cap = _counter("aggregate", "UsageOverCap")
        self._alarm("UsageOverCap", over_cap, "Usage is over the cap of dimension values")
        contradictions = _counter("api", "LineContradictions")
        self._alarm("LineContradictions", contradictions, "A line contradicts its events")
        delayed = _counter("aggregate", "BatchesDelayed")
        self._alarm("BatchesDelayed", delayed, "Usage is behind", threshold=10, periods=2)
        not_noted = _counter("aggregate", "EventTypesNotNoted")
        self._alarm("EventTypesNotNoted", not_noted, "Event types are not noted")
        not_asked = _counter("conversions", "ConversionsNotRecorded")
        self._alarm("ConversionsNotRecorded", not_asked, "Conversions are not recorded")
        not_followed = _counter("follow_usage", "UsageNotFollowed")
        self._alarm("UsageNotFollowed", not_followed, "Rewards are delayed", periods=3)
        given_up = _counter("follow_usage", "UsageGivenUp")
        self._alarm("UsageGivenUp", given_up, "Rewards are delayed")
        waiting = _counter("follow_usage", "RewardsWaiting")
        self._alarm("RewardsWaiting", waiting, "Rewards wait for room")
        for name, section in EARNINGS:
            self._alarm(name, _counter("settle_earnings", name), section)
        uncounted = _counter("rate_limits", "RequestsNotCounted")
        self._alarm("RequestsNotCounted", uncounted, "Requests are not counted")
        billing = _counter("bill_customer", "BillingDelayed")
        self._alarm("BillingDelayed", billing, "Billing is delayed", periods=3)
        self._watch_archive(functions["Archive"])
        self._watch_reconciliation()

    def _watch_archive(self, function: lambda_.Function) -> None:
        # Nobody waits for the archive; but the stream keeps a record for no longer than a day.
        age = function.metric("IteratorAge", statistic="Maximum", period=PERIOD)
        hour = 60 * 60 * 1000
        self._alarm("ArchiveBehind", age, "The archive is behind", threshold=hour, periods=2)
        delayed = _counter("archive", "ArchiveDelayed")
        self._alarm("ArchiveDelayed", delayed, "The archive is behind", periods=3)
        unreadable = _counter("archive", "EventsUnreadable")
        self._alarm("EventsUnreadable", unreadable, "An event is archived unread")

    def _watch_reconciliation(self) -> None:
        held = _counter("bill_customer", "BillingHeld")
        self._alarm("BillingHeld", held, "Numbers contradict")
        contradictions = _counter("reconcile_customer", "Contradictions")
        self._alarm("Contradictions", contradictions, "Numbers contradict")
        repairs = _counter("reconcile_customer", "RepairsMade")
        self._alarm("RepairsMade", repairs, "Lost usage was repaired")
        spanned = _counter("reconcile_customer", "LedgerGapsSpanned")
        self._alarm("LedgerGapsSpanned", spanned, "Lost usage was repaired")
        delayed = _counter("reconcile_customer", "ReconciliationDelayed")
        self._alarm("ReconciliationDelayed", delayed, "Numbers are not known to be right")
        # Reported every hour; each customer has a pass a day, and two hours to spare.
        since = _counter("start_reconciliation", "HoursSinceClean").with_(statistic="Maximum")
        self._alarm("NotClean", since, "Numbers are not known to be right", threshold=26)

    def _alarm(
        self,
        id: str,
        metric: cloudwatch.IMetric,
        section: str,
        *,
        threshold: int = 1,
        periods: int = 1,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            id,
            alarm_description=f"{RUNBOOK}«{section}».",
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=(cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD),
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))


def _counter(service: str, name: str) -> cloudwatch.Metric:
    """A counter that the functions log; it exists, and costs, only once it counted something."""
    return cloudwatch.Metric(
        namespace="Meterline",
        metric_name=name,
        dimensions_map={"service": service},
        statistic="Sum",
        period=PERIOD,
    )
