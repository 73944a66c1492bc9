"""Barriers: items put behind a customer's events, so that the stream itself says it has passed."""

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.services.store import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SORT_KEY_PREFIX = "barrier#"
PASSED_KEPT = timedelta(days=7)


class DynamoBarrierStore:
    """See BarrierStore. Barriers are sent through `events_table`, noted in `billing_table`.

    A barrier has no place in the index by time: it is no event and only travels the stream.
    """

    def __init__(
        self, client: "DynamoDBClient", events_table: str, billing_table: str, clock: Clock
    ) -> None:
        self._client: Any = client
        self._events_table = events_table
        self._billing_table = billing_table
        self._clock = clock

    def send(self, customer: str, token: str) -> None:
        request = {
            "TableName": self._events_table,
            "Item": to_item({"pk": customer, "sk": SORT_KEY_PREFIX + token}),
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        try:
            retrying(lambda: self._client.put_item(**request))
        except ConditionFailedError:
            return  # A repeat: the barrier is on its way, or through.

    def mark_passed(self, customer: str, token: str) -> None:
        kept_until = int((self._clock.now() + PASSED_KEPT).timestamp())
        item = to_item({**self._key(customer, token), "ttl": kept_until})
        retrying(lambda: self._client.put_item(TableName=self._billing_table, Item=item))

    def has_passed(self, customer: str, token: str) -> bool:
        request = {
            "TableName": self._billing_table,
            "Key": to_item(self._key(customer, token)),
            "ConsistentRead": True,
        }
        answer: dict[str, Any] = retrying(lambda: self._client.get_item(**request))
        return "Item" in answer

    def _key(self, customer: str, token: str) -> dict[str, str]:
        return {"pk": customer_partition(customer), "sk": f"BARRIER#{token}"}
