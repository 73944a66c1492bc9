"""Streams for tests: records made by hand, and the real ones driven as Lambda would."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from local.emulator import Aws
from local.streams.consumer import ShardConsumer, Step
from local.streams.filters import filter_records
from local.streams.model import Event, Faults, Mapping
from local.streams.progress import MemoryProgress
from local.streams.shard import DynamoDbShard, wire_format
from shared.adapters.dynamodb.usage_events import to_item
from shared.domain.events import UsageEvent

ACCOUNTS = '{"eventName": ["INSERT", "MODIFY"], "dynamodb": {"Keys": {"sk": {"S": ["ACCOUNT"]}}}}'
INSERTS = '{"eventName": ["INSERT"]}'


def insert_record(item: dict[str, Any], sequence: int) -> Event:
    """The stream record of an item's insert, as Lambda delivers it."""
    return {
        "eventID": str(sequence),
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "dynamodb": {
            "ApproximateCreationDateTime": 1772323200.0,
            "Keys": {"pk": item["pk"], "sk": item["sk"]},
            "NewImage": wire_format(item),
            "SequenceNumber": str(sequence),
            "StreamViewType": "NEW_IMAGE",
        },
    }


def usage_record(event: UsageEvent, sequence: int) -> Event:
    """The stream record of a stored event."""
    return insert_record(to_item(event), sequence)


def batch(records: Sequence[Event], shard: str = "shard-1") -> Event:
    """The event of one invocation of a function with a tumbling window."""
    return {
        "Records": list(records),
        "shardId": shard,
        "window": {"start": "2026-03-01T00:00:00Z", "end": "2026-03-01T00:01:00Z"},
        "state": {"kept": 1},
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


def shard_ids(client: Any, arn: str) -> list[str]:
    """The shards of a stream."""
    description = client.describe_stream(StreamArn=arn)["StreamDescription"]
    return [shard["ShardId"] for shard in description["Shards"]]


@dataclass
class Pump:
    """Drives both tables' real streams through the two handlers, until nothing is left."""

    aws: Aws
    events_table: str
    billing_table: str
    aggregate: Callable[[Event], Any]
    react: Callable[[Event], Any]
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        window = {"tumbling_window_seconds": 60}
        usage = {"matches": filter_records([INSERTS]), "batch_size": 500, **window}
        accounts = {"matches": filter_records([ACCOUNTS])}
        self._consumers = [
            *self._consume(self.events_table, "aggregate", self.aggregate, **usage),
            *self._consume(self.billing_table, "react", self.react, **accounts),
        ]

    def run(self) -> None:
        """Delivers everything that the streams hold, and what follows from it."""
        moved = True
        while moved:
            steps = [consumer.step() for consumer in self._consumers]
            moved = any(step is not Step.IDLE for step in steps)

    def _consume(
        self, table: str, function: str, invoke: Callable[[Event], Any], **options: Any
    ) -> list[ShardConsumer]:
        arn = self.aws.client("dynamodb").describe_table(TableName=table)["Table"][
            "LatestStreamArn"
        ]
        client = self.aws.client("dynamodbstreams")
        mapping = Mapping(function, arn, reports_item_failures=True, bisects=True, **options)
        return [
            ShardConsumer(
                mapping=mapping,
                shard=DynamoDbShard(client, arn, shard),
                store=MemoryProgress(),
                invoke=invoke,
                discard=self._refuse,
                now=time.time,
                faults=self.faults,
            )
            for shard in shard_ids(client, arn)
        ]

    @staticmethod
    def _refuse(message: Event) -> None:
        raise AssertionError(f"no record may be given up: {message}")
