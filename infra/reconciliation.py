"""Reconciliation: each customer in its hour of the day, one message for one customer."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.permissions import queue_statement
from infra.queues import consume, dead_letter_queue, work_queue
from infra.schedule import schedule

TIMEOUT_SECONDS = 600


class Reconciliation(Construct):
    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.queue = work_queue(
            self,
            "Queue",
            runtime.stage,
            # Six times the timeout, so that a message still being retried is not delivered twice.
            visibility=Duration.seconds(6 * TIMEOUT_SECONDS),
            dead_letters=self.failures,
        )
        orders = {"RECONCILIATION_QUEUE_URL": self.queue.queue_url}
        self.start = AppFunction(
            self,
            "StartReconciliation",
            runtime=runtime,
            module="start_reconciliation",
            timeout=Duration.seconds(120),
            environment=orders,
        )
        self.reconcile = AppFunction(
            self,
            "ReconcileCustomer",
            runtime=runtime,
            module="reconcile_customer",
            timeout=Duration.seconds(TIMEOUT_SECONDS),
            memory_mib=1024,
            environment=orders,
        )
        for function in (self.start, self.reconcile):
            function.add_to_role_policy(queue_statement(self.queue, "SendMessage"))
        consume(self, self.queue, self.reconcile, batch_size=10)
        self.schedule_failures = dead_letter_queue(self, "ScheduleFailures", runtime.stage)
        self.schedule = schedule(
            self,
            description="Starts the reconciliation of the customers whose hour it is.",
            expression="rate(1 hour)",
            function=self.start,
            failures=self.schedule_failures,
        )
