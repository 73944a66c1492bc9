"""Raw usage events as items of the usage-events table."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from time import sleep
from typing import TYPE_CHECKING, Any, get_args

from botocore.exceptions import ClientError, HTTPClientError

from shared.adapters.dynamodb.attributes import from_attribute, to_attribute
from shared.adapters.dynamodb.errors import delay_seconds, is_transient
from shared.adapters.dynamodb.reads import batch_get, chunks
from shared.domain.errors import UnreadableError
from shared.domain.events import (
    Correction,
    CorrectionRole,
    UsageEvent,
    canonical_json,
    utc_text,
    utc_time,
)
from shared.services.ingest import EventKey, Insertion

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

STATEMENTS_PER_REQUEST = 25
MAX_CONCURRENT_REQUESTS = 8
MAX_INSERT_ATTEMPTS = 4

logger = logging.getLogger("meterline")


def lane(customer: str, month: str) -> str:
    """The partition of the index by time: one lane per customer and month ("YYYY-MM")."""
    return f"{customer}#{month}#0"


def to_item(event: UsageEvent) -> dict[str, dict[str, Any]]:
    """The event as attribute values."""
    occurred_at = utc_text(event.occurred_at)
    item: dict[str, dict[str, Any]] = {
        "pk": {"S": event.customer},
        "sk": {"S": event.key},
        "source": {"S": event.source},
        "id": {"S": event.id},
        "type": {"S": event.type},
        "lane": {"S": lane(event.customer, occurred_at[:7])},
        "occurred_at": {"S": occurred_at},
        "received_at": {"S": utc_text(event.received_at)},
        "catalogue": {"N": str(event.catalogue_version)},
        "data": {"S": canonical_json(event.data)},
        "fingerprint": {"B": event.fingerprint},
    }
    if event.extensions:
        item["extensions"] = {"S": canonical_json(event.extensions)}
    if event.correction:
        item["correction"] = to_attribute(_correction_members(event.correction))
    return item


def _correction_members(correction: Correction) -> dict[str, object]:
    members = {
        "n": correction.number,
        "role": correction.role,
        "actor": correction.actor,
        "corrected_at": correction.corrected_at,
        "sent_at": correction.sent_at,
        "reason": correction.reason,
    }
    return {name: value for name, value in members.items() if value is not None}


def _read_correction(attribute: Mapping[str, Any]) -> Correction:
    stored = from_attribute(attribute)
    if stored["role"] not in get_args(CorrectionRole):
        raise ValueError("no such role")
    return Correction(
        number=int(stored["n"]),
        role=stored["role"],
        actor=stored["actor"],
        corrected_at=utc_time(stored["corrected_at"]),
        sent_at=utc_time(stored["sent_at"]),
        reason=stored.get("reason"),
    )


def from_item(item: Mapping[str, Mapping[str, Any]]) -> UsageEvent:
    """The event of attribute values: of an item that was read, or of a stream record's image.

    Raises: KeyError, ValueError for an item that is no event.
    """
    data = json.loads(item["data"]["S"], parse_int=Decimal, parse_float=Decimal)
    if not isinstance(data, dict) or not all(map(_is_flat, data.values())):
        raise ValueError("data is not a flat object")
    return UsageEvent(
        customer=item["pk"]["S"],
        source=item["source"]["S"],
        id=item["id"]["S"],
        type=item["type"]["S"],
        occurred_at=utc_time(item["occurred_at"]["S"]),
        received_at=utc_time(item["received_at"]["S"]),
        catalogue_version=int(item["catalogue"]["N"]),
        data=data,
        extensions=json.loads(item["extensions"]["S"]) if "extensions" in item else {},
        correction=_read_correction(item["correction"]) if "correction" in item else None,
    )


def read_event(item: Mapping[str, Mapping[str, Any]]) -> UsageEvent:
    """As from_item.

    Raises: UnreadableError for an item that is no event.
    """
    try:
        return from_item(item)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        raise UnreadableError(f"unreadable record: {type(error).__name__}") from error


def _is_flat(value: object) -> bool:
    return value is None or isinstance(value, str | bool | Decimal)


class DynamoEventStore:
    """See EventStore: inserts through PartiQL, which answers for each event by itself."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def insert(self, events: Sequence[UsageEvent]) -> Sequence[Insertion]:
        batches = list(chunks(events, STATEMENTS_PER_REQUEST))
        if len(batches) <= 1:
            return [verdict for batch in batches for verdict in self._insert_batch(batch)]
        with ThreadPoolExecutor(min(MAX_CONCURRENT_REQUESTS, len(batches))) as pool:
            return [v for verdicts in pool.map(self._insert_batch, batches) for v in verdicts]

    def fingerprints(self, keys: Iterable[EventKey]) -> Mapping[EventKey, bytes]:
        found = batch_get(self._client, self._table, keys, ["fingerprint"])
        return {key: bytes(item["fingerprint"]["B"]) for key, item in found.items()}

    def _insert_batch(self, events: Sequence[UsageEvent]) -> list[Insertion]:
        """One request, and again for what it could not do: an insert is safe to repeat."""
        statements = [self._statement(event) for event in events]
        verdicts: list[Insertion] = ["failed"] * len(events)
        left = list(range(len(events)))
        for attempt in range(MAX_INSERT_ATTEMPTS):
            if attempt:
                sleep(delay_seconds(attempt))
            for index, verdict in zip(
                left, self._execute([statements[i] for i in left]), strict=True
            ):
                verdicts[index] = verdict
            left = [index for index in left if verdicts[index] == "failed"]
            if not left:
                break
        return verdicts

    def _execute(self, statements: Sequence[Any]) -> list[Insertion]:
        try:
            answer = self._client.batch_execute_statement(Statements=statements)
        except HTTPClientError:
            # It may have been stored: a repeat will find out.
            return ["failed"] * len(statements)
        except ClientError as error:
            if not is_transient(error.response["Error"]["Code"]):
                raise
            return ["failed"] * len(statements)
        return [_verdict(response.get("Error", {})) for response in answer["Responses"]]

    def _statement(self, event: UsageEvent) -> dict[str, Any]:
        """An INSERT whose values are all parameters; a taken key makes it fail by itself."""
        item = to_item(event)
        members = ",".join(f"'{name}':?" for name in item)
        statement = f'INSERT INTO "{self._table}" VALUE {{{members}}}'
        return {"Statement": statement, "Parameters": list(item.values())}


def _verdict(error: Mapping[str, Any]) -> Insertion:
    if not error:
        return "stored"
    if error.get("Code") == "DuplicateItem":
        return "exists"
    logger.warning("an event was not stored: %s", error.get("Code"))
    return "failed"
