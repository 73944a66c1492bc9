"""Every raw event of the table, in no order, for what has to look at all of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import Item, to_item
from shared.adapters.dynamodb.errors import retrying

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoAllEvents:
    """Reads the whole table, half a read unit for each 4 KB of it, and leaves out barriers."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client: Any = client
        self._table = table

    def received(self, start: str, end: str) -> Iterator[Item]:
        """The items received in [start, end), RFC 3339 in UTC or the beginning of it.

        An item that is no event is among them if it has a time of receipt at all. What corrects
        an event is where that event is.
        """
        request: dict[str, Any] = {
            "TableName": self._table,
            "FilterExpression": (
                "attribute_not_exists(correction) AND received_at >= :start AND received_at < :end"
                " OR correction.sent_at >= :start AND correction.sent_at < :end"
            ),
            "ExpressionAttributeValues": to_item({":start": start, ":end": end}),
        }
        while True:
            page = retrying(lambda: self._client.scan(**request))
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
