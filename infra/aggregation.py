"""Aggregation: new usage events, in stream order, to usage hours and account balances."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.queues import dead_letter_queue
from infra.stream_mapping import StreamMapping


class Aggregation(Construct):
    """The tumbling window is there for the `shardId` that comes with it and names checkpoints."""

    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.function = AppFunction(
            self,
            "Aggregate",
            runtime=runtime,
            module="aggregate",
            timeout=Duration.seconds(60),
            memory_mib=1024,
        )
        self.mapping = StreamMapping(
            self,
            "Mapping",
            table=runtime.tables.events,
            function=self.function,
            failures=self.failures,
            # Events are insert-only; a later change of one (redaction, TTL) must not count again.
            pattern={"eventName": ["INSERT"]},
            batch_size=500,
            tumbling_window_seconds=60,
        )
