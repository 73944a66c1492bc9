"""Segments as items of one partition of the billing table, by key."""

from collections.abc import Mapping
from typing import Any

from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.audit import audit_item
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.segments import Segment
from shared.services.changes import PutAudit
from shared.services.store import Page

PARTITION = "SEGMENTS"


class DynamoSegmentStore(TableReads):
    """See SegmentStore. `table` is the billing table's name."""

    def get(self, key: str) -> Segment | None:
        item = self._get(PARTITION, key)
        return _read(item) if item else None

    def list(self, limit: int, cursor: str | None) -> Page[Segment]:
        items, following = self._page(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": {"S": PARTITION}},
            ConsistentRead=True,
            limit=limit,
            cursor=cursor,
        )
        return Page(tuple(map(_read, items)), following)

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
