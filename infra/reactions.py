"""Reactions to every version of an account: the ledger journal and what hangs on it."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.queues import dead_letter_queue
from infra.stream_mapping import StreamMapping


class Reactions(Construct):
    """Only account items pass; everything else in the billing table is written by its users."""

    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.function = AppFunction(
            self, "React", runtime=runtime, module="react", timeout=Duration.seconds(60)
        )
        self.mapping = StreamMapping(
            self,
            "Mapping",
            table=runtime.tables.billing,
            function=self.function,
            failures=self.failures,
            pattern={
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": {"Keys": {"sk": {"S": ["ACCOUNT"]}}},
            },
            batch_size=100,
        )
