"""Reading one table: by key, by prefix, by time, page after page."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import Item, to_item
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.reads import batch_get

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class TableReads:
    """Reads of a table, consistent where not said otherwise, tried again while they are refused."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client: Any = client
        self._table = table

    def _get(self, pk: str, sk: str) -> Item | None:
        key = to_item({"pk": pk, "sk": sk})
        answer: dict[str, Any] = retrying(
            lambda: self._client.get_item(TableName=self._table, Key=key, ConsistentRead=True)
        )
        return answer.get("Item")

    def _batch_get(self, keys: Sequence[Mapping[str, str]]) -> list[Item]:
        pairs = [(key["pk"], key["sk"]) for key in keys]
        return [dict(item) for item in batch_get(self._client, self._table, pairs).values()]

    def _prefixed(
        self, partition: str, prefix: str, *, newest_first: bool = False
    ) -> Iterator[Item]:
        values = {":pk": partition, ":prefix": prefix}
        condition = "pk = :pk AND begins_with(sk, :prefix)"
        return self._query(condition, values, ScanIndexForward=not newest_first)

    def _between(self, partition: str, start: datetime, end: datetime, unit: str) -> Iterator[Item]:
        """The items whose sort keys begin with a time in [start, end), whole units of it."""
        last = end - datetime.resolution
        values = {
            ":pk": partition,
            ":start": start.strftime(unit),
            # "~" sorts after the "#" that follows the time: the last one is there as well.
            ":end": f"{last.strftime(unit)}~",
        }
        return self._query("pk = :pk AND sk BETWEEN :start AND :end", values)

    def _query(
        self, condition: str, values: Mapping[str, object], **options: object
    ) -> Iterator[Item]:
        """Every item of a query, page after page, consistently unless an option says otherwise."""
        request = {
            "TableName": self._table,
            "KeyConditionExpression": condition,
            "ExpressionAttributeValues": to_item(values),
            "ConsistentRead": True,
            **options,
        }
        while True:
            answer = retrying(lambda: self._client.query(**request))
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _all_of_kind(self, kind: str) -> Iterator[Item]:
        """Every item of the kind, in order; a new one may be missing a moment."""
        values = {":kind": kind}
        return self._query("kind = :kind", values, IndexName="by_kind", ConsistentRead=False)

    def _list_kind(
        self, kind: str, limit: int, cursor: str | None, *, newest_first: bool = False
    ) -> tuple[list[Item], str | None]:
        return self._page(
            IndexName="by_kind",
            KeyConditionExpression="kind = :kind",
            ExpressionAttributeValues=to_item({":kind": kind}),
            ScanIndexForward=not newest_first,
            limit=limit,
            cursor=cursor,
        )

    def _page_prefixed(
        self, partition: str, prefix: str, limit: int, cursor: str | None, *, newest_first: bool
    ) -> tuple[list[Item], str | None]:
        """A page of the items whose sort keys have the prefix, consistently."""
        return self._page(
            KeyConditionExpression="pk = :pk AND begins_with(sk, :prefix)",
            ExpressionAttributeValues=to_item({":pk": partition, ":prefix": prefix}),
            ConsistentRead=True,
            ScanIndexForward=not newest_first,
            limit=limit,
            cursor=cursor,
        )

    def _page(
        self, *, limit: int, cursor: str | None, **request: object
    ) -> tuple[list[Item], str | None]:
        """Up to `limit` items after the cursor, which is the last item's key as JSON text."""
        if cursor is not None:
            request["ExclusiveStartKey"] = json.loads(cursor)
        answer = retrying(lambda: self._client.query(TableName=self._table, Limit=limit, **request))
        last = answer.get("LastEvaluatedKey")
        return answer["Items"], json.dumps(last, separators=(",", ":")) if last else None
