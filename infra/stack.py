"""The whole system as one stack: two tables and what reads and writes them."""

from aws_cdk import CfnOutput, IStackSynthesizer, Stack
from constructs import Construct

from infra.aggregation import Aggregation
from infra.api import Api
from infra.archive import Archive
from infra.backfilling import Backfilling
from infra.billing_run import BillingRun
from infra.bundle import Bundle
from infra.earnings import Earnings
from infra.following import Following
from infra.function import make_runtime
from infra.monitoring import Monitoring
from infra.permissions import secret_arn
from infra.reactions import Reactions
from infra.reconciliation import Reconciliation
from infra.stage import Stage
from infra.tables import Tables

# What streams drive: balances, and what follows from them and from usage, fall behind with these.
DRIVEN = ("Aggregate", "React", "FollowUsage")


class MeterlineStack(Stack):
    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        stage: Stage,
        bundle: Bundle,
        synthesizer: IStackSynthesizer,
        termination_protection: bool,
    ) -> None:
        super().__init__(
            scope,
            id,
            description="Meterline: usage metering and billing.",
            synthesizer=synthesizer,
            termination_protection=termination_protection,
        )
        self.tables = Tables(self, "Tables", stage=stage)
        runtime = make_runtime(self, stage, bundle, self.tables)
        self.api = Api(self, "Api", runtime=runtime)
        self.aggregation = Aggregation(self, "Aggregation", runtime=runtime)
        self.archive = Archive(self, "Archive", runtime=runtime)
        self.reactions = Reactions(self, "Reactions", runtime=runtime)
        self.following = Following(self, "Following", runtime=runtime)
        self.earnings = Earnings(self, "Earnings", runtime=runtime)
        self.billing_run = BillingRun(self, "BillingRun", runtime=runtime)
        self.reconciliation = Reconciliation(self, "Reconciliation", runtime=runtime)
        self.backfilling = Backfilling(
            self, "Backfilling", runtime=runtime, requesters=[self.api.api]
        )
        self.functions = {
            "Authorizer": self.api.authorizer,
            "Ingest": self.api.ingest,
            "Api": self.api.api,
            "Aggregate": self.aggregation.function,
            "Archive": self.archive.function,
            "React": self.reactions.function,
            "FollowUsage": self.following.function,
            "SettleEarnings": self.earnings.settle,
            "StartBillingRun": self.billing_run.start,
            "BillCustomer": self.billing_run.bill,
            "StartReconciliation": self.reconciliation.start,
            "ReconcileCustomer": self.reconciliation.reconcile,
            "Backfill": self.backfilling.function,
        }
        self.monitoring = Monitoring(
            self,
            "Monitoring",
            http_api=self.api.http_api,
            functions=self.functions,
            stream_functions={name: self.functions[name] for name in DRIVEN},
            dead_letters={
                "Aggregate": self.aggregation.failures,
                "Archive": self.archive.failures,
                "React": self.reactions.failures,
                "FollowUsage": self.following.failures,
                "SettleEarnings": self.earnings.failures,
                "BillCustomer": self.billing_run.failures,
                "Schedule": self.billing_run.schedule_failures,
                "ReconcileCustomer": self.reconciliation.failures,
                "ReconciliationSchedule": self.reconciliation.schedule_failures,
                "Backfill": self.backfilling.failures,
            },
        )
        self._add_outputs()

    def _add_outputs(self) -> None:
        outputs = {
            "ApiUrl": self.api.http_api.api_endpoint,
            "ApiId": self.api.http_api.api_id,
            "EventsTableName": self.tables.events.table_name,
            "BillingTableName": self.tables.billing.table_name,
            "SecretArn": secret_arn(self.api.secret),
            "BillingQueueUrl": self.billing_run.queue.queue_url,
            "AggregateMappingId": self.aggregation.mapping.resource.ref,
            "ReactMappingId": self.reactions.mapping.resource.ref,
            "FollowUsageMappingId": self.following.mapping.resource.ref,
            "ArchiveMappingId": self.archive.mapping.resource.ref,
            "ArchiveBucketName": self.archive.bucket.bucket_name,
            "ArchiveDatabase": self.archive.database,
            "ArchiveWorkgroup": self.archive.workgroup.ref,
            "ScheduleName": self.billing_run.schedule.ref,
            "ReconciliationQueueUrl": self.reconciliation.queue.queue_url,
            "ReconciliationScheduleName": self.reconciliation.schedule.ref,
            "BackfillQueueUrl": self.backfilling.queue.queue_url,
            "AlarmTopicArn": self.monitoring.topic.topic_arn,
        }
        outputs |= {
            f"{name}FunctionName": function.function_name
            for name, function in self.functions.items()
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
