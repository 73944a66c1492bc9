"""Segments as items of one partition of the billing table, by key."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.audit import audit_item
from shared.adapters.dynamodb.errors import retrying
from shared.domain.segments import Segment
from shared.services.changes import PutAudit
from shared.services.store import Page

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PARTITION = "SEGMENTS"


class DynamoSegmentStore:
    """See SegmentStore. `table` is the billing table's name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client: Any = client
        self._table = table

    def get(self, key: str) -> Segment | None:
        read = {"TableName": self._table, "Key": _key(key), "ConsistentRead": True}
        item = retrying(lambda: self._client.get_item(**read)).get("Item")
        return _read(item) if item else None

    def list(self, limit: int, cursor: str | None) -> Page[Segment]:
        query: dict[str, Any] = {
            "TableName": self._table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": {":pk": {"S": PARTITION}},
            "ConsistentRead": True,
            "Limit": limit,
        }
        if cursor is not None:
            query["ExclusiveStartKey"] = json.loads(cursor)
        answer = retrying(lambda: self._client.query(**query))
        last = answer.get("LastEvaluatedKey")
        after = json.dumps(last, separators=(",", ":")) if last else None
        return Page(tuple(map(_read, answer["Items"])), after)

    def put(self, segment: Segment, audit: PutAudit) -> None:
        members = to_item({"name": segment.name, "filter": segment.filter})
        item = {**_key(segment.key), **members}
        self._write({"Put": {"TableName": self._table, "Item": item}}, audit)

    def delete(self, key: str, audit: PutAudit) -> None:
        self._write({"Delete": {"TableName": self._table, "Key": _key(key)}}, audit)

    def _write(self, write: Mapping[str, Any], audit: PutAudit) -> None:
        entry = {"Put": {"TableName": self._table, "Item": audit_item(audit)}}
        retrying(lambda: self._client.transact_write_items(TransactItems=[write, entry]))


def _key(key: str) -> dict[str, dict[str, str]]:
    return {"pk": {"S": PARTITION}, "sk": {"S": key}}


def _read(item: Mapping[str, Any]) -> Segment:
    stored = from_item(item)
    traits = {trait: tuple(values) for trait, values in stored["filter"].items()}
    return Segment(stored["sk"], stored["name"], traits)
