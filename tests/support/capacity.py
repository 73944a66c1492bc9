"""Capacity units: write units as the engine reports them, read units by the size of what came."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.dynamodb.usage_events import to_item
from shared.domain.events import UsageEvent
from tests.support.faults import WRITES, operation_of
from tests.support.sizes import item_bytes

READ_UNIT_BYTES = 4096


@dataclass
class Consumed:
    """Write units and read units in total, and requests by operation.

    The engine counts every page as one read unit; AWS counts one for each 4 KB, which is told from
    the sizes of the items. Consistent reads are meant; those of an index cost half.
    """

    write_units: float = 0.0
    read_units: int = 0
    requests: list[str] = field(default_factory=list)


@contextmanager
def consumed(client: Any) -> Iterator[Consumed]:
    """What the client's requests consume while the block runs."""
    total = Consumed()

    def ask(params: dict[str, Any], event_name: str, **_: Any) -> None:
        if operation_of(event_name) in WRITES:
            params["ReturnConsumedCapacity"] = "INDEXES"
        # What is asked for in a batch and not there is a read unit as well.
        tables = params.get("RequestItems", {}).values()
        keys = (table.get("Keys", ()) for table in tables if isinstance(table, dict))
        total.read_units += sum(map(len, keys))

    def note(parsed: dict[str, Any], event_name: str, **_: Any) -> None:
        operation = operation_of(event_name)
        total.requests.append(operation)
        total.read_units += _read_units(parsed)
        if operation == "BatchGetItem":
            total.read_units -= sum(map(len, parsed["Responses"].values()))
        if operation in WRITES:
            reported = parsed["ConsumedCapacity"]
            tables = reported if isinstance(reported, list) else [reported]
            total.write_units += sum(table["CapacityUnits"] for table in tables)

    hooks = (("provide-client-params", ask), ("after-call", note))
    for moment, hook in hooks:
        client.meta.events.register(f"{moment}.dynamodb.*", hook)
    try:
        yield total
    finally:
        for moment, hook in hooks:
            client.meta.events.unregister(f"{moment}.dynamodb.*", hook)


def _read_units(answer: Mapping[str, Any]) -> int:
    """What reading these items costs: a page as a whole, else each item by itself."""
    if "Items" in answer:
        return max(1, -(-sum(map(item_bytes, answer["Items"])) // READ_UNIT_BYTES))
    # A batch of statements answers with a list, which holds nothing that was read.
    tables = answer.get("Responses", {})
    batches = list(tables.values()) if isinstance(tables, dict) else []
    items = [item for batch in batches for item in batch]
    if "Item" in answer:
        items.append(answer["Item"])
    return sum(-(-item_bytes(item) // READ_UNIT_BYTES) for item in items)


def storing_units(client: Any, table: str, event: UsageEvent) -> float:
    """Write units of storing the event, its place in the index included.

    Asked of PutItem: the engine's answers to PartiQL leave out the index and the item's size.
    """
    item = {**to_item(event), "pk": {"S": f"{event.customer}-probe"}}
    answer = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES")
    return float(answer["ConsumedCapacity"]["CapacityUnits"])
