"""Drives every stream mapping of the deployed stack, one thread a shard."""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any

from local.emulator import Aws
from local.streams.consumer import ShardConsumer, Step
from local.streams.mappings import stream_mappings
from local.streams.model import Event, FunctionError, Mapping
from local.streams.progress import FileProgress
from local.streams.shard import DynamoDbShard

# Records wait half of the first on average; a shard that stays quiet is asked less often.
POLL_SECONDS = 0.05
QUIET_POLL_SECONDS = 0.2
QUIET_AFTER_POLLS = 40
FIRST_RETRY_SECONDS = 0.2
LAST_RETRY_SECONDS = 10.0
# Lambda's own limit: a client that gave up earlier would deliver the batch twice at once.
INVOKE_TIMEOUT_SECONDS = 900

logger = logging.getLogger(__name__)


class StreamRunner:
    """Consumers of all shards; `start` them, `stop` lets each finish its batch and keep the rest.

    `progress` is the folder of their progress files. `stop` must come before the emulator ends,
    because the emulator's streams end with it.
    """

    def __init__(
        self,
        aws: Aws,
        resource_ids: Table[str, str],
        template: Table[str, Any],
        progress: Path,
    ) -> None:
        self._aws = aws
        self._lambda = aws.client("lambda", read_timeout_seconds=INVOKE_TIMEOUT_SECONDS)
        self._streams = aws.client("dynamodbstreams")
        self._stopping = threading.Event()
        self._consumers = [
            self._consumer(mapping, queue_arn, shard_id, progress)
            for mapping, queue_arn in stream_mappings(self._lambda, resource_ids, template)
            for shard_id in self._shard_ids(mapping.stream_arn)
        ]
        self._threads = [
            threading.Thread(target=self._drive, args=(consumer,), daemon=True)
            for consumer in self._consumers
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()
        for consumer in self._consumers:
            consumer.close()

    def _shard_ids(self, stream_arn: str) -> list[str]:
        description = self._streams.describe_stream(StreamArn=stream_arn)["StreamDescription"]
        return [shard["ShardId"] for shard in description["Shards"]]

    def _consumer(
        self, mapping: Mapping, queue_arn: str | None, shard_id: str, progress: Path
    ) -> ShardConsumer:
        identity = json.dumps([mapping.function, mapping.stream_arn, shard_id])
        name = hashlib.sha256(identity.encode()).hexdigest()[:16]
        return ShardConsumer(
            mapping,
            DynamoDbShard(self._streams, mapping.stream_arn, shard_id),
            FileProgress(progress / f"{name}.json"),
            invoke=lambda event: self._invoke(mapping.function, event),
            discard=lambda message: self._discard(queue_arn, message),
            now=time.time,
        )

    def _invoke(self, function: str, event: Event) -> Any:
        answer = self._lambda.invoke(FunctionName=function, Payload=json.dumps(event))
        payload = answer["Payload"].read()
        if "FunctionError" in answer:
            logger.warning("%s failed: %s", function, payload.decode(errors="replace"))
            raise FunctionError
        return json.loads(payload) if payload else None

    def _discard(self, queue_arn: str | None, message: Event) -> None:
        logger.error("discarded a batch: %s", message)
        if queue_arn is None:
            return
        sqs = self._aws.client("sqs")
        url = sqs.get_queue_url(QueueName=queue_arn.rsplit(":", 1)[1])["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody=json.dumps(message))

    def _drive(self, consumer: ShardConsumer) -> None:
        """Step until stopped: at once after progress, ever later while there is none."""
        idle_polls = 0
        retry_seconds = FIRST_RETRY_SECONDS
        while not self._stopping.is_set():
            try:
                outcome = consumer.step()
            except Exception:
                # Throttled, or the emulator is away: nothing was settled, so try again.
                logger.exception("cannot drive %s", consumer.mapping.function)
                outcome = Step.FAILED
            if outcome is Step.FAILED:
                self._stopping.wait(retry_seconds)
                retry_seconds = min(retry_seconds * 2, LAST_RETRY_SECONDS)
                continue
            retry_seconds = FIRST_RETRY_SECONDS
            if outcome is Step.SETTLED:
                idle_polls = 0
                continue
            idle_polls += 1
            quiet = idle_polls > QUIET_AFTER_POLLS
            self._stopping.wait(QUIET_POLL_SECONDS if quiet else POLL_SECONDS)
