"""The billing run: a schedule finds who is due and queues them, one message bills one customer."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.permissions import queue_statement
from infra.queues import consume, dead_letter_queue, work_queue
from infra.schedule import schedule


class BillingRun(Construct):
    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        bill_timeout = Duration.seconds(120)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.queue = work_queue(
            self,
            "Queue",
            runtime.stage,
            # Six times the timeout, so that a message still being retried is not delivered twice.
            visibility=Duration.seconds(6 * 120),
            dead_letters=self.failures,
        )
        self.start = AppFunction(
            self,
            "StartBillingRun",
            runtime=runtime,
            module="start_billing_run",
            # Ten orders a request, one request after another: some 100,000 customers fit.
            timeout=Duration.minutes(15),
            environment={"BILLING_QUEUE_URL": self.queue.queue_url},
        )
        self.start.add_to_role_policy(queue_statement(self.queue, "SendMessage"))
        self.bill = AppFunction(
            self, "BillCustomer", runtime=runtime, module="bill_customer", timeout=bill_timeout
        )
        # Closings race for one run of invoice numbers: more of them at once would only collide.
        consume(self, self.queue, self.bill, batch_size=1, maximum_concurrency=5)
        self.schedule_failures = dead_letter_queue(self, "ScheduleFailures", runtime.stage)
        self.schedule = schedule(
            self,
            description="Starts a billing run for everyone who is due.",
            expression="rate(15 minutes)",
            function=self.start,
            failures=self.schedule_failures,
        )
