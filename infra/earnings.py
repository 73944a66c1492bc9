"""Earnings: a schedule accrues what closed days earned, and releases and pays what is due."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.queues import dead_letter_queue
from infra.schedule import schedule


class Earnings(Construct):
    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.settle = AppFunction(
            self,
            "SettleEarnings",
            runtime=runtime,
            module="settle_earnings",
            timeout=Duration.minutes(15),
        )
        self.failures = dead_letter_queue(self, "ScheduleFailures", runtime.stage)
        schedule(
            self,
            description="Accrues, releases and pays what customers earn.",
            expression="rate(1 hour)",
            function=self.settle,
            failures=self.failures,
        )
