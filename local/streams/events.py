"""What Lambda sends for a stream, what it accepts in answer, and what it says of a lost batch."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from local.streams.model import Event, FunctionError, Mapping, StreamRecord, Window


def timestamp(seconds: float) -> str:
    """RFC 3339 in UTC to the second, as Lambda writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stream_event(
    mapping: Mapping,
    shard_id: str,
    window: Window | None,
    batch: Sequence[StreamRecord],
    final: bool = False,
) -> Event:
    """The event of one invocation; only a mapping with tumbling windows adds to the records."""
    event: Event = {"Records": [record.body for record in batch]}
    if window is None:
        return event
    return {
        **event,
        "window": {"start": timestamp(window.start), "end": timestamp(window.end)},
        "state": window.state,
        "shardId": shard_id,
        "eventSourceARN": mapping.stream_arn,
        "isFinalInvokeForWindow": final,
        # Only a state above 1 MB ends a window early; such a state is refused below.
        "isWindowTerminatedEarly": False,
    }


def returned_state(answer: Any) -> Event:
    """The state that a function with tumbling windows hands on; raises FunctionError."""
    state = answer.get("state") if isinstance(answer, dict) else None
    if not isinstance(state, dict):
        raise FunctionError("a function with tumbling windows must return its state")
    return state


def settled_count(answer: Any, batch: Sequence[StreamRecord]) -> int:
    """How many records of a batch the answer acknowledges: those before the first failure.

    Nothing, null and an empty list acknowledge all. An identifier that is empty, missing or not
    in the batch fails the whole batch, as Lambda has it.
    """
    failures = (answer or {}).get("batchItemFailures") if isinstance(answer, dict) else None
    if not failures:
        return len(batch)
    positions = {record.cursor.number: at for at, record in enumerate(batch)}
    return min(positions.get(failure.get("itemIdentifier"), 0) for failure in failures)


def discarded_batch(
    mapping: Mapping, shard_id: str, batch: Sequence[StreamRecord], reason: str, invocations: int
) -> Event:
    """The message for the on-failure destination: where the batch was, never its content."""
    return {
        "requestContext": {
            "functionArn": mapping.function,
            "condition": reason,
            "approximateInvokeCount": invocations,
        },
        "version": "1.0",
        "DDBStreamBatchInfo": {
            "shardId": shard_id,
            "startSequenceNumber": batch[0].cursor.number,
            "endSequenceNumber": batch[-1].cursor.number,
            "approximateArrivalOfFirstRecord": timestamp(batch[0].created_at),
            "approximateArrivalOfLastRecord": timestamp(batch[-1].created_at),
            "batchSize": len(batch),
            "streamArn": mapping.stream_arn,
        },
    }
