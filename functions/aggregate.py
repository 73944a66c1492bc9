"""usage-events stream → usage hours and accounts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from aws_lambda_powertools import Logger

from functions._metrics import count
from functions._runtime import runtime
from functions._streams import decode_image, shard_of
from shared.adapters.dynamodb.barriers import SORT_KEY_PREFIX
from shared.adapters.dynamodb.usage_events import from_item
from shared.domain.errors import MeterlineError, UnreadableError
from shared.services.aggregate import Outcome
from shared.services.setting_aside import StreamRecord

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Applies a batch; answers with the first record to deliver again, if any, and the state.

    A window's final call has no records. The state is not used, but must be passed on.
    """
    answer: dict[str, Any] = {"state": event.get("state") or {}, "batchItemFailures": []}
    records = event.get("Records") or []
    if not records:
        return answer
    read = [read_record(record) for record in records]
    outcome = runtime().aggregator.apply(shard_of(event), read)
    _report(outcome)
    _note_types(read)
    answer["batchItemFailures"] = [
        {"itemIdentifier": number}
        for number in (record["dynamodb"]["SequenceNumber"] for record in records)
        if int(number) == outcome.failed_from
    ]
    return answer


def read_record(record: Mapping[str, Any]) -> StreamRecord:
    """One stream record; what cannot be read as an event carries the reason."""
    change = record["dynamodb"]
    image = change["NewImage"]
    sequence = int(change["SequenceNumber"])
    customer, key = image["pk"]["S"], image["sk"]["S"]
    if key.startswith(SORT_KEY_PREFIX):
        return StreamRecord(sequence, customer, key, barrier=key.removeprefix(SORT_KEY_PREFIX))
    raw = json.dumps(image, separators=(",", ":"), sort_keys=True)
    try:
        stored = from_item(decode_image(image))
    except (MeterlineError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        unreadable = UnreadableError(f"unreadable record: {type(error).__name__}")
        return StreamRecord(sequence, customer, key, raw=raw, error=unreadable)
    return StreamRecord(sequence, customer, key, event=stored, raw=raw)


def _note_types(records: Sequence[StreamRecord]) -> None:
    """Notes what the events look like. Usage does not wait for it: it has counted already."""
    try:
        runtime().event_types.note(record.event for record in records if record.event)
    except MeterlineError as error:
        count("aggregate", {"EventTypesNotNoted": 1})
        logger.warning("event types not noted", extra={"error": error.detail})


def _report(outcome: Outcome) -> None:
    counters = {
        "EventsApplied": outcome.applied,
        "RecordsQuarantined": outcome.quarantined,
        "UsageOverCap": outcome.over_cap,
        "WriteConflicts": outcome.conflicts,
        "BatchesDelayed": int(outcome.error is not None),
    }
    count("aggregate", counters)
    if outcome.error is not None:
        logger.warning(
            "part of the batch is to be delivered again",
            extra={"from": outcome.failed_from, "error": outcome.error.detail},
        )
