"""Backfills as items: one for each meter, and for a while one for each finished customer."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.adapters.dynamodb.audit import audit_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.backfilling import Backfill
from shared.domain.events import utc_time
from shared.services.changes import PutAudit
from shared.services.store import Clock

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

SORT_KEY = "BACKFILL"
KIND = "BACKFILL"
# Longer than a message can be on the queue and, after that, be sent again.
REMEMBERED = timedelta(days=30)


class DynamoBackfillStore(TableReads):
    """See BackfillStore."""

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        super().__init__(client, table)
        self._clock = clock

    def get(self, meter: str) -> Backfill | None:
        item = self._get(_partition(meter), SORT_KEY)
        return _read(item) if item else None

    def all(self) -> Sequence[Backfill]:
        return [_read(item) for item in self._all_of_kind(KIND)]

    def start(self, backfill: Backfill, audit: PutAudit) -> None:
        item = to_item(
            {
                "kind": KIND,
                "kind_sort": backfill.meter,
                "run": backfill.run,
                "from": backfill.start,
                "requested_at": backfill.requested_at,
                "actor": backfill.actor,
                "done": 0,
                "events": 0,
            }
        )
        put = {
            "TableName": self._table,
            "Item": {**_key(backfill.meter), **item},
            "ConditionExpression": "attribute_not_exists(pk) OR run = :before",
            "ExpressionAttributeValues": to_item({":before": backfill.run - 1}),
        }
        entry = {"TableName": self._table, "Item": audit_item(audit)}
        writes = [{"Put": put}, {"Put": entry}]
        retrying(lambda: self._client.transact_write_items(TransactItems=writes))

    def list_customers(self, meter: str, run: int, customers: int) -> None:
        update = {
            "TableName": self._table,
            "Key": _key(meter),
            "UpdateExpression": "SET customers = :customers",
            "ConditionExpression": "run = :run",
            "ExpressionAttributeValues": to_item({":customers": customers, ":run": run}),
        }
        try:
            retrying(lambda: self._client.update_item(**update))
        except ConditionFailedError:
            return

    def finish_customer(self, meter: str, run: int, customer: str, events: int) -> None:
        expires = int((self._clock.now() + REMEMBERED).timestamp())
        mark = {**_key(meter), "sk": {"S": f"CUSTOMER#{run:06d}#{customer}"}}
        put = {
            "TableName": self._table,
            "Item": {**mark, "ttl": {"N": str(expires)}},
            "ConditionExpression": "attribute_not_exists(pk)",
        }
        update = {
            "TableName": self._table,
            "Key": _key(meter),
            "UpdateExpression": "ADD done :one, events :events",
            "ConditionExpression": "run = :run",
            "ExpressionAttributeValues": to_item({":one": 1, ":events": events, ":run": run}),
        }
        writes = [{"Put": put}, {"Update": update}]
        try:
            retrying(lambda: self._client.transact_write_items(TransactItems=writes))
        except ConditionFailedError:
            return  # It was said before, or a newer run has started.


def _partition(meter: str) -> str:
    return f"BACKFILL#{meter}"


def _key(meter: str) -> Item:
    return to_item({"pk": _partition(meter), "sk": SORT_KEY})


def _read(item: Mapping[str, Any]) -> Backfill:
    stored = from_item(item)
    customers, start = stored.get("customers"), stored.get("from")
    return Backfill(
        meter=stored["pk"].removeprefix("BACKFILL#"),
        run=int(stored["run"]),
        start=utc_time(start) if start else None,
        requested_at=utc_time(stored["requested_at"]),
        actor=stored["actor"],
        customers=None if customers is None else int(customers),
        done=int(stored["done"]),
        events=int(stored["events"]),
    )
