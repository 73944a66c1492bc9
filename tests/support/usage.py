"""Usage that is simply there: hours put into the billing table as aggregation would leave them."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.adapters.dynamodb.billing_items import usage_hour_item
from shared.adapters.dynamodb.reads import chunks
from shared.domain.checkpoints import Checkpoints
from shared.domain.usage_hours import HourKey, Quarter, UsageHour

Dimensions = tuple[tuple[str, str], ...]
CHECKPOINTS = Checkpoints().advanced("shardId-000000000001", 10**38, 1_800_000_000)
QUARTER = Quarter(1234, Decimal("567890.125"), 2**63 + 1)


def models(number: int) -> list[Dimensions]:
    """So many combinations of dimension values."""
    return [(("model", f"model-{each}"),) for each in range(number)]


def put_hours(
    client: Any,
    table: str,
    customer: str,
    hours: Iterable[datetime],
    groups: Sequence[Dimensions] = ((),),
) -> None:
    """Usage of tokens in every quarter of each of the hours, and of each group."""
    items = [
        usage_hour_item(
            UsageHour(HourKey(customer, "tokens", hour, dimensions), (QUARTER,) * 4, CHECKPOINTS)
        )
        for hour in hours
        for dimensions in groups
    ]
    for chunk in chunks(items, 25):
        puts = [{"PutRequest": {"Item": item}} for item in chunk]
        client.batch_write_item(RequestItems={table: puts})
