"""Billing queue → one customer's due steps."""

import json
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from functions._runtime import runtime
from shared.domain.errors import MeterlineError
from shared.domain.events import utc_time

logger = Logger()
metrics = Metrics(namespace="Meterline")


@metrics.log_metrics
def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Bills each message's customer as of the run's scheduled time; failed ones come back."""
    failures = []
    for message in event["Records"]:
        order = json.loads(message["body"])
        try:
            steps = runtime().billing_run.bill(order["customer"], utc_time(order["as_of"]))
        except MeterlineError as error:
            logger.warning("billing delayed", extra={"code": error.code, "error": error.detail})
            metrics.add_metric("BillingDelayed", MetricUnit.Count, 1)
            failures.append({"itemIdentifier": message["messageId"]})
            continue
        metrics.add_metric("PeriodsClosed", MetricUnit.Count, steps.count("closed"))
    return {"batchItemFailures": failures}
