"""Billing queue → one customer's due steps."""

import json
from typing import Any

from aws_lambda_powertools import Logger

from functions._metrics import count
from functions._runtime import runtime
from shared.domain.errors import MeterlineError
from shared.domain.events import utc_time
from shared.services.billing_run import HeldError

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Bills each message's customer as of the run's scheduled time; failed ones come back."""
    failures: list[dict[str, str]] = []
    closed = held = 0
    for message in event["Records"]:
        order = json.loads(message["body"])
        try:
            steps = runtime().billing_run.bill(order["customer"], utc_time(order["as_of"]))
        except HeldError as error:
            # Sending it again would not help: the next run finds it due as before.
            logger.warning("billing held", extra={"code": error.code, "error": error.detail})
            held += 1
            continue
        except MeterlineError as error:
            logger.warning("billing delayed", extra={"code": error.code, "error": error.detail})
            failures.append({"itemIdentifier": message["messageId"]})
            continue
        closed += steps.count("closed")
    counters = {"PeriodsClosed": closed, "BillingDelayed": len(failures), "BillingHeld": held}
    count("bill_customer", counters)
    return {"batchItemFailures": failures}
