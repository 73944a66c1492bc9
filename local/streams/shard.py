"""A shard of a real DynamoDB stream, as the records that Lambda would send."""

import base64
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from local.streams.model import Cursor, StreamRecord

# Iterators end after 15 minutes and with the engine; records end after 24 hours.
_OUTDATED = ("ExpiredIteratorException", "TrimmedDataAccessException")
RECORDS_PER_READ = 1000


class DynamoDbShard:
    """Reads one shard through DynamoDB Streams, oldest record first.

    On AWS sequence numbers rise within a shard for ever. The emulator makes them from the
    machine's clock, so they fall when that clock is set back, and a function that remembers the
    highest number it has seen would skip what follows. Each record therefore shows the function
    the greater of its own number and the last one shown plus one. That depends only on the cursor
    read from, so a redelivered record shows the same number again.
    """

    def __init__(self, client: Any, stream_arn: str, shard_id: str) -> None:
        self.shard_id = shard_id
        self._client = client
        self._stream_arn = stream_arn
        self._iterator: str | None = None
        self._iterator_is_after: Cursor | None = None

    def read(self, after: Cursor | None) -> list[StreamRecord]:
        """The next records after a cursor, from the oldest when the stream forgot the cursor."""
        if self._iterator is None or self._iterator_is_after != after:
            self._iterator = self._iterator_after(after)
        try:
            page = self._client.get_records(ShardIterator=self._iterator, Limit=RECORDS_PER_READ)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _OUTDATED:
                raise
            self._iterator = None
            return []
        records = []
        last = after
        for change in page["Records"]:
            records.append(self._as_delivered(change, last))
            last = records[-1].cursor
        self._iterator, self._iterator_is_after = page.get("NextShardIterator"), last
        return records

    def _iterator_after(self, cursor: Cursor | None) -> str:
        shard = {"StreamArn": self._stream_arn, "ShardId": self.shard_id}
        if cursor is not None:
            try:
                answer = self._client.get_shard_iterator(
                    **shard,
                    ShardIteratorType="AFTER_SEQUENCE_NUMBER",
                    SequenceNumber=cursor.stream_number,
                )
                return str(answer["ShardIterator"])
            except ClientError as error:
                if error.response["Error"]["Code"] not in _OUTDATED:
                    raise
        answer = self._client.get_shard_iterator(**shard, ShardIteratorType="TRIM_HORIZON")
        return str(answer["ShardIterator"])

    def _as_delivered(self, record: dict[str, Any], previous: Cursor | None) -> StreamRecord:
        change = wire_format(record["dynamodb"])
        # The emulator pads its numbers with zeros, AWS does not.
        number = int(change["SequenceNumber"])
        if previous is not None:
            number = max(number, int(previous.number) + 1)
        body = {
            **{name: value for name, value in record.items() if name != "dynamodb"},
            "dynamodb": {**change, "SequenceNumber": str(number)},
            "eventSourceARN": self._stream_arn,
        }
        return StreamRecord(Cursor(change["SequenceNumber"], str(number)), body)


def wire_format(value: Any) -> Any:
    """What boto3 parsed, back in JSON: binary as base64, times as seconds since 1970."""
    if isinstance(value, dict):
        return {name: wire_format(item) for name, item in value.items()}
    if isinstance(value, list | set | tuple):
        return [wire_format(item) for item in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, datetime):
        return value.timestamp()
    return value
