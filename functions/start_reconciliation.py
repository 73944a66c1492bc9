"""Schedule → one queue message for each customer whose hour of the day it is."""

import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger

from functions._metrics import count
from functions._runtime import Runtime, runtime

PAGE = 1000
HOUR = timedelta(hours=1)
# Stands for longer ago than anything that is alarmed.
NEVER = datetime(1970, 1, 1, tzinfo=UTC)

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Orders the hour's reconciliations, and reports how long ago everything was last right."""
    as_of = datetime.fromisoformat(event["scheduled_at"]).astimezone(UTC)
    ordered = runtime().reconciliation_orders.send(customers_at(runtime(), as_of.hour), as_of)
    oldest = runtime().reconciliations.oldest()
    if oldest is not None:
        since = runtime().clock.now() - (oldest.clean_at or NEVER)
        count("start_reconciliation", {"HoursSinceClean": since // HOUR})
    logger.info("reconciliation started", extra={"as_of": event["scheduled_at"], "due": ordered})
    return {"ordered": ordered}


def customers_at(known: Runtime, hour: int) -> Iterator[str]:
    """The customers that are reconciled in this hour of the day: about one in 24."""
    cursor: str | None = None
    while True:
        page = known.store.customers(PAGE, cursor)
        yield from (c.key for c in page.items if hour_of_day(c.key) == hour)
        cursor = page.cursor
        if cursor is None:
            return


def hour_of_day(customer: str) -> int:
    """A customer's hour (UTC), by its key: the work is spread over the day."""
    return zlib.crc32(customer.encode()) % 24
