"""Corrections as items of the usage-events table, beside the events that they correct."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared.adapters.dynamodb.attributes import to_item as to_attributes
from shared.adapters.dynamodb.commits import ABSENT, PRESENT, all_writes
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.reads import batch_get
from shared.adapters.dynamodb.usage_events import read_event, to_item
from shared.domain.corrections import History
from shared.domain.events import UsageEvent, correction_key
from shared.services.changes import Change

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class DynamoCorrectionStore:
    """See CorrectionStore."""

    def __init__(self, client: "DynamoDBClient", events_table: str, billing_table: str) -> None:
        self._client: Any = client
        self._events_table = events_table
        self._billing_table = billing_table

    def history(self, customer: str, key: str) -> History | None:
        return self.histories(customer, [key]).get(key)

    def histories(self, customer: str, keys: Sequence[str]) -> Mapping[str, History]:
        found = {e.key: History(e) for e in self._read(customer, keys)}
        open_keys, number = list(found), 1
        while open_keys:
            wanted = {}
            for key in open_keys:
                event = found[key].event
                for role in ("reversal", "replacement"):
                    wanted[correction_key(event.source, event.id, number, role)] = key
            entries = {e.key: e for e in self._read(customer, list(wanted))}
            for entry, key in wanted.items():
                if entry in entries:
                    history = found[key]
                    found[key] = History(history.event, (*history.entries, entries[entry]))
            open_keys = [k for k in open_keys if found[k].number == number and found[k].effective]
            number += 1
        return found

    def commit(self, entries: Sequence[UsageEvent], beside: Sequence[Change]) -> None:
        reversal = entries[0]
        corrected = to_attributes({"pk": reversal.customer, "sk": reversal.reversed_key})
        check = {"TableName": self._events_table, "Key": corrected, "ConditionExpression": PRESENT}
        puts = [
            {
                "Put": {
                    "TableName": self._events_table,
                    "Item": to_item(entry),
                    "ConditionExpression": ABSENT,
                }
            }
            for entry in entries
        ]
        writes = [{"ConditionCheck": check}, *puts, *all_writes(beside, self._billing_table)]
        retrying(lambda: self._client.transact_write_items(TransactItems=writes))

    def _read(self, customer: str, keys: Sequence[str]) -> list[UsageEvent]:
        found = batch_get(self._client, self._events_table, [(customer, key) for key in keys])
        return [read_event(item) for item in found.values()]
