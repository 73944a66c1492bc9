"""Schedule → one queue message for each customer with a step that has fallen due."""

from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from functions._runtime import runtime

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, int]:
    """Orders the billing of all that is due at the schedule's own time, not the wall clock's."""
    as_of = datetime.fromisoformat(event["scheduled_at"]).astimezone(UTC)
    ordered = runtime().billing_orders.send(runtime().store.due_customers(as_of), as_of)
    logger.info("billing run started", extra={"as_of": event["scheduled_at"], "due": ordered})
    return {"ordered": ordered}
