"""Write units, as the engine itself reports them for each request."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from shared.adapters.dynamodb.usage_events import to_item
from shared.domain.events import UsageEvent
from tests.support.faults import WRITES, operation_of


@dataclass
class Consumed:
    """Write units in total and requests by operation."""

    write_units: float = 0.0
    requests: list[str] = field(default_factory=list)


@contextmanager
def consumed(client: Any) -> Iterator[Consumed]:
    """What the client's requests consume while the block runs."""
    total = Consumed()

    def ask(params: dict[str, Any], event_name: str, **_: Any) -> None:
        if operation_of(event_name) in WRITES:
            params["ReturnConsumedCapacity"] = "INDEXES"

    def note(parsed: dict[str, Any], event_name: str, **_: Any) -> None:
        operation = operation_of(event_name)
        total.requests.append(operation)
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


def storing_units(client: Any, table: str, event: UsageEvent) -> float:
    """Write units of storing the event, its place in the index included.

    Asked of PutItem: the engine's answers to PartiQL leave out the index and the item's size.
    """
    item = {**to_item(event), "pk": {"S": f"{event.customer}-probe"}}
    answer = client.put_item(TableName=table, Item=item, ReturnConsumedCapacity="INDEXES")
    return float(answer["ConsumedCapacity"]["CapacityUnits"])
