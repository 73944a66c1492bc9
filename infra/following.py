"""What follows from usage: rewards."""

from aws_cdk import Duration
from constructs import Construct

from infra.function import AppFunction, Runtime
from infra.queues import dead_letter_queue
from infra.stream_mapping import StreamMapping


class Following(Construct):
    """Only usage hours pass. It counts them anew, so a few changes of one are followed as one."""

    def __init__(self, scope: Construct, id: str, *, runtime: Runtime) -> None:
        super().__init__(scope, id)
        self.failures = dead_letter_queue(self, "Failures", runtime.stage)
        self.function = AppFunction(
            self, "FollowUsage", runtime=runtime, module="follow_usage", timeout=Duration.minutes(5)
        )
        self.mapping = StreamMapping(
            self,
            "Mapping",
            table=runtime.tables.billing,
            function=self.function,
            failures=self.failures,
            pattern={
                "eventName": ["INSERT", "MODIFY"],
                "dynamodb": {"Keys": {"pk": {"S": [{"prefix": "U#"}]}}},
            },
            batch_size=200,
            batching_window_seconds=2,
        )
