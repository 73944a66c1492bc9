"""Test clocks as items, and the removal of everything that lived on one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.billing_items import (
    register_partition,
    usage_partition,
    value_partition,
)
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.reads import chunks
from shared.services.store import CatalogueSource
from shared.services.test_clocks import TestClock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

DELETES_A_REQUEST = 25


class DynamoClockStore:
    """See ClockStore."""

    def __init__(
        self,
        client: "DynamoDBClient",
        events_table: str,
        billing_table: str,
        catalogue: CatalogueSource,
    ) -> None:
        self._client: Any = client
        self._events_table = events_table
        self._billing_table = billing_table
        self._catalogue = catalogue

    def create(self, clock: TestClock) -> None:
        request = {**self._put(clock), "ConditionExpression": "attribute_not_exists(pk)"}
        retrying(lambda: self._client.put_item(**request))

    def move(self, clock: TestClock) -> None:
        request = {
            **self._put(clock),
            "ConditionExpression": "#now <= :now",
            "ExpressionAttributeNames": {"#now": "now"},
            "ExpressionAttributeValues": to_item({":now": clock.now}),
        }
        retrying(lambda: self._client.put_item(**request))

    def _put(self, clock: TestClock) -> dict[str, Any]:
        item = to_item({"pk": f"CLOCK#{clock.id}", "sk": "CLOCK", "now": clock.now})
        return {"TableName": self._billing_table, "Item": item}

    def delete(self, clock_id: str, customers: Sequence[str]) -> None:
        for customer in customers:
            self._clear(self._events_table, customer)
            for meter in self._catalogue.fresh().meters:
                for partition_of in (usage_partition, value_partition, register_partition):
                    self._clear(self._billing_table, partition_of(meter, customer))
            partition = customer_partition(customer)
            for key in self._keys(self._billing_table, partition):
                kind, _, rest = key["sk"]["S"].partition("#")
                if kind == "INVOICE":
                    self._clear(self._billing_table, "INVOICE#" + rest.rpartition("#")[2])
            self._clear(self._billing_table, f"IDEMPOTENCY#{customer}")
            self._clear(self._billing_table, partition)
        self._clear(self._billing_table, f"NUMBERS#TEST-{clock_id}")
        self._clear(self._billing_table, f"CLOCK#{clock_id}")

    def _keys(self, table: str, partition: str) -> Iterator[Mapping[str, Any]]:
        request: dict[str, Any] = {
            "TableName": table,
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": to_item({":pk": partition}),
            "ProjectionExpression": "pk, sk",
            "ConsistentRead": True,
        }
        while True:
            answer: dict[str, Any] = retrying(lambda: self._client.query(**request))
            yield from answer["Items"]
            if "LastEvaluatedKey" not in answer:
                return
            request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]

    def _clear(self, table: str, partition: str) -> None:
        """Deletes a whole partition."""
        for keys in chunks(self._keys(table, partition), DELETES_A_REQUEST):
            left = {table: [{"DeleteRequest": {"Key": dict(key)}} for key in keys]}
            while left:
                left = self._write(left)

    def _write(self, requests: dict[str, Any]) -> dict[str, Any]:
        """Makes a batch of writes; returns those that are still to be made."""
        answer: dict[str, Any] = retrying(
            lambda: self._client.batch_write_item(RequestItems=requests)
        )
        return answer.get("UnprocessedItems") or {}
