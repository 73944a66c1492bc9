"""Raw events through the index by time."""

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.usage_events import lane, read_event
from shared.domain.errors import UnreadableError
from shared.domain.events import UsageEvent, utc_text, utc_time
from shared.services.event_list import EventFilter, Position

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# How many events a filtered read looks at: what it lets through is not known beforehand.
FILTERED_READ_LIMIT = 1000

logger = logging.getLogger("meterline")


class DynamoEventIndex:
    """See EventIndex."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client: Any = client
        self._table = table

    def get(self, customer: str, key: str) -> UsageEvent | None:
        identity = to_item({"pk": customer, "sk": key})
        read = {"TableName": self._table, "Key": identity, "ConsistentRead": True}
        item = retrying(lambda: self._client.get_item(**read)).get("Item")
        return read_event(item) if item else None

    def newest(
        self,
        wanted: EventFilter,
        start: datetime,
        end: datetime,
        after: Position | None,
        limit: int,
    ) -> tuple[list[UsageEvent], Position | None]:
        month = lane(wanted.customer, utc_text(start)[:7])
        last = end - timedelta(microseconds=1)
        query: dict[str, Any] = {
            "TableName": self._table,
            "IndexName": "by_time",
            "KeyConditionExpression": "lane = :lane AND occurred_at BETWEEN :start AND :last",
            "ExpressionAttributeValues": {":lane": month, ":start": start, ":last": last},
            "ScanIndexForward": False,
            "Limit": limit,
        }
        filters = {"type": wanted.type, "source": wanted.source, "id": wanted.id}
        asked = {name: value for name, value in filters.items() if value is not None}
        conditions = [f"#{name} = :{name}" for name in asked]
        names = {f"#{name}": name for name in asked}
        if wanted.property is not None:
            # It lets a few more through, such as 12 for 1, but need not send the others.
            conditions.append("(contains(#data, :text) OR contains(#data, :other))")
            names["#data"] = "data"
            name, value = wanted.property
            asked["text"] = f"{json.dumps(name)}:{json.dumps(value)}"
            asked["other"] = f"{json.dumps(name)}:{value}"
        if conditions:
            query["Limit"] = FILTERED_READ_LIMIT
            query["FilterExpression"] = " AND ".join(conditions)
            query["ExpressionAttributeNames"] = names
            query["ExpressionAttributeValues"] |= {f":{name}": v for name, v in asked.items()}
        query["ExpressionAttributeValues"] = to_item(query["ExpressionAttributeValues"])
        if after is not None:
            key = {"pk": wanted.customer, "sk": after.key, "lane": month}
            query["ExclusiveStartKey"] = to_item({**key, "occurred_at": after.occurred_at})
        page = retrying(lambda: self._client.query(**query))
        more = page.get("LastEvaluatedKey")
        position = Position(utc_time(more["occurred_at"]["S"]), more["sk"]["S"]) if more else None
        return list(filter(wanted.has_property, _readable(page["Items"]))), position


def _readable(items: Iterable[Mapping[str, Any]]) -> Iterator[UsageEvent]:
    """The events; what cannot be read as one is in quarantine, where people see it as it is."""
    for item in items:
        try:
            yield read_event(item)
        except UnreadableError:
            logger.exception("unreadable event", extra={"key": item["sk"]["S"]})
