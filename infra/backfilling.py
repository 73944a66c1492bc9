"""Backfill: the history of new meters, one message for one customer."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.permissions import queue_statement
from infra.queues import consume, dead_letter_queue, work_queue

TIMEOUT_SECONDS = 600


class Backfilling(Construct):
    """`requesters` are the functions that order backfills."""

    def __init__(
        self, scope: Construct, id: str, *, runtime: Runtime, requesters: list[AppFunction]
    ) -> None:
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
        self.function = AppFunction(
            self,
            "Backfill",
            runtime=runtime,
            module="backfill",
            timeout=Duration.seconds(TIMEOUT_SECONDS),
            memory_mib=1024,
        )
        for function in (self.function, *requesters):
            function.add_environment("BACKFILL_QUEUE_URL", self.queue.queue_url)
            function.add_to_role_policy(queue_statement(self.queue, "SendMessage"))
        consume(self, self.queue, self.function, batch_size=10)
