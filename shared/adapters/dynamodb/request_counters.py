"""Counters of requests as items of the billing table, one for a key and minute."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.domain.errors import UnavailableError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

# Long past the window on any machine's clock; then DynamoDB removes the item, free of charge.
KEPT = timedelta(hours=1)


class DynamoRequestCounters:
    """See RequestCounters. One write unit a request; `table` is the billing table's name."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client: Any = client
        self._table = table

    def count(self, key_id: str, window: datetime, limit: int) -> bool:
        update = {
            "TableName": self._table,
            "Key": to_item({"pk": f"KEY#{key_id}", "sk": f"REQUESTS#{window:%Y-%m-%dT%H:%M}"}),
            "UpdateExpression": "ADD #requests :one SET #ttl = :ttl",
            "ConditionExpression": "attribute_not_exists(#requests) OR #requests < :limit",
            "ExpressionAttributeNames": {"#requests": "requests", "#ttl": "ttl"},
            "ExpressionAttributeValues": to_item(
                {":one": 1, ":limit": limit, ":ttl": int((window + KEPT).timestamp())}
            ),
        }
        try:
            # Once: a request does not wait for its own counting longer than it must.
            retrying(lambda: self._client.update_item(**update), attempts=1)
        except ConditionFailedError:
            return False
        except ClientError as error:
            raise UnavailableError("The counter of requests cannot be written.") from error
        return True
