"""billing stream → what follows from usage: rewards, and what others earn by it."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from aws_lambda_powertools import Logger

from functions._following import rewards_of, shares_of
from functions._metrics import count
from functions._runtime import runtime
from functions._streams import decode_image
from shared.adapters.dynamodb.billing_items import read_usage_hour
from shared.domain.errors import MeterlineError
from shared.services.rewards import Given

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Counts the hours that changed, each once; answers with the first record to deliver again."""
    given = Given()
    failed: list[str] = []
    for (customer, meter), hours in changed_hours(event["Records"]).items():
        try:
            given = given.plus(rewards_of(runtime()).count(customer, meter, hours))
            shares_of(runtime()).changed(customer, meter, hours)
        except MeterlineError as error:
            failed += hours.values()
            logger.warning("usage not followed", extra={"meter": meter, "error": error.detail})
    report(given)
    count("follow_usage", {"UsageNotFollowed": len(failed)})
    first = min(failed, key=int, default=None)
    return {"batchItemFailures": [{"itemIdentifier": first}] if first is not None else []}


def report(given: Given) -> None:
    """Counts what counting usage came to, whoever asked for it."""
    count("follow_usage", {"RewardsGiven": given.grants, "RewardsWaiting": given.waiting})


def changed_hours(
    records: Iterable[Mapping[str, Any]],
) -> dict[tuple[str, str], dict[datetime, str]]:
    """By (customer, meter) the hours that changed, with the last record that says so."""
    found: dict[tuple[str, str], dict[datetime, str]] = {}
    for record in records:
        key = read_usage_hour(decode_image(record["dynamodb"]["NewImage"])).key
        hours = found.setdefault((key.customer, key.meter), {})
        hours[key.hour] = record["dynamodb"]["SequenceNumber"]
    return found
