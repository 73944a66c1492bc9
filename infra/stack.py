"""The whole system as one stack: two tables and what reads and writes them."""

from aws_cdk import CfnOutput, IStackSynthesizer, Stack
from constructs import Construct

from infra.aggregation import Aggregation
from infra.api import Api
from infra.billing_run import BillingRun
from infra.bundle import Bundle
from infra.function import make_runtime
from infra.reactions import Reactions
from infra.stage import Stage
from infra.tables import Tables


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
        self.reactions = Reactions(self, "Reactions", runtime=runtime)
        self.billing_run = BillingRun(self, "BillingRun", runtime=runtime)
        self._add_outputs()

    def _add_outputs(self) -> None:
        outputs = {
            "ApiUrl": self.api.http_api.api_endpoint,
            "ApiId": self.api.http_api.api_id,
            "EventsTableName": self.tables.events.table_name,
            "BillingTableName": self.tables.billing.table_name,
            "SecretArn": self.api.secret.secret_arn,
            "BillingQueueUrl": self.billing_run.queue.queue_url,
            "AggregateMappingId": self.aggregation.mapping.resource.ref,
            "ReactMappingId": self.reactions.mapping.resource.ref,
            "AggregateFunctionName": self.aggregation.function.function_name,
            "ReactFunctionName": self.reactions.function.function_name,
            "StartBillingRunFunctionName": self.billing_run.start.function_name,
            "BillCustomerFunctionName": self.billing_run.bill.function_name,
        }
        for name, value in outputs.items():
            CfnOutput(self, name, value=value)
