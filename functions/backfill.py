"""Backfill queue → a meter's customers listed, or one customer's history counted."""

import json
from typing import Any

from aws_lambda_powertools import Logger

from functions._deadline import deadline
from functions._metrics import count
from functions._runtime import runtime
from shared.adapters.backfill_queue import read_order
from shared.domain.errors import MeterlineError

# What is kept for finishing the hour or the page that is under way.
RESERVED_MILLISECONDS = 120_000

logger = Logger()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Carries out each message's order; failed ones come back, unfinished ones are sent anew."""
    out_of_time = deadline(context, RESERVED_MILLISECONDS)
    failures: list[dict[str, str]] = []
    for message in event["Records"]:
        try:
            runtime().backfills.carry_out(read_order(json.loads(message["body"])), out_of_time)
        except MeterlineError as error:
            logger.warning("backfill delayed", extra={"error": error.detail})
            failures.append({"itemIdentifier": message["messageId"]})
    count("backfill", {"BackfillDelayed": len(failures)})
    return {"batchItemFailures": failures}
