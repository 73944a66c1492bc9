"""Reconciliation queue → one customer's numbers, judged and repaired."""

import json
from collections.abc import Iterable
from typing import Any

from aws_lambda_powertools import Logger

from functions._conversions import ask_where_due
from functions._deadline import deadline
from functions._metrics import count
from functions._reconciliation import report
from functions._runtime import runtime
from shared.domain.errors import MeterlineError
from shared.domain.events import utc_time
from shared.services.looks import IsOver

# What is kept for finishing the day that is being judged.
RESERVED_MILLISECONDS = 120_000

logger = Logger()


def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
    """Reconciles each message's customer; failed ones come back, unfinished ones are sent anew."""
    out_of_time = deadline(context, RESERVED_MILLISECONDS)
    failures: list[dict[str, str]] = []
    busy: dict[str, tuple[str, ...]] = {}
    for message in event["Records"]:
        order = json.loads(message["body"])
        customer = order["customer"]
        try:
            result = runtime().reconciler.reconcile(customer, out_of_time)
            if not result.finished and not result.findings:
                runtime().reconciliation_orders.send([customer], utc_time(order["as_of"]))
            account = runtime().store.account(customer)
        except MeterlineError as error:
            logger.warning("reconciliation delayed", extra={"error": error.detail})
            failures.append({"itemIdentifier": message["messageId"]})
            continue
        report(result)
        busy[customer] = result.busy
        ask_where_due(runtime(), [account] if account else [])
    for customer, meters in busy.items():
        make_ready(customer, meters, out_of_time)
    count("reconcile_customer", {"ReconciliationDelayed": len(failures)})
    return {"batchItemFailures": failures}


def make_ready(customer: str, meters: Iterable[str], out_of_time: IsOver) -> None:
    """Rolls up the days of meters with very much usage, so that no question has to.

    Questions are answered without, and the next day's pass tries again: whatever fails here must
    not bring back what was reconciled.
    """
    for meter in meters:
        try:
            runtime().usage_queries.make_ready(meter, customer, out_of_time)
        except Exception as error:  # noqa: BLE001
            told = {"customer": customer, "meter": meter, "error": repr(error)}
            logger.warning("days not rolled up", extra=told)
