"""billing stream → what follows from usage: rewards, what others earn, and which copies are old."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from aws_lambda_powertools import Logger

from functions._following import rewards_of, shares_of, usage_days_of
from functions._metrics import count
from functions._runtime import runtime
from functions._streams import decode_image
from shared.adapters.dynamodb.billing_items import read_usage_hour
from shared.domain.days import floor_day
from shared.domain.errors import MeterlineError
from shared.domain.usage_days import DayKey, is_noted
from shared.services.rewards import Given

# A record that fails holds up those behind it, of every customer in its shard. So long it is tried
# again, from when it was made on. Then it is left to a recount.
TRIED_FOR = timedelta(minutes=20)

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Counts the hours that changed, each once; answers with the first record to deliver again.

    What fails of one customer, in whatever way, keeps none of the others from being counted.
    """
    given = Given()
    changes, failed = changed_hours(event["Records"])
    for (customer, meter), hours in changes.items():
        try:
            note_changes(customer, meter, hours)
            shares_of(runtime()).changed(customer, meter, hours)
            given = given.plus(rewards_of(runtime()).count(customer, meter, hours))
        except Exception as error:  # noqa: BLE001  (a bug that one customer's usage meets, too)
            failed += hours.values()
            span = {"first": min(hours).isoformat(), "last": max(hours).isoformat()}
            told = {"customer": customer, "meter": meter, **span, "error": _reason(error)}
            logger.warning("usage not followed", extra=told)
    report(given)
    count("follow_usage", {"UsageNotFollowed": len(failed)})
    again = _to_try_again(event["Records"], failed)
    count("follow_usage", {"UsageGivenUp": len(failed) - len(again)})
    first = min(again, key=int, default=None)
    return {"batchItemFailures": [{"itemIdentifier": first}] if first is not None else []}


def note_changes(customer: str, meter: str, hours: Iterable[datetime]) -> None:
    """Notes which days' copies no longer hold. A day that is young has none yet."""
    now = runtime().clock.now()
    days = sorted({day for day in map(floor_day, hours) if is_noted(day, now)})
    usage_days_of(runtime()).note_changes([DayKey(customer, meter, day) for day in days])


def report(given: Given) -> None:
    """Counts what counting usage came to, whoever asked for it."""
    count("follow_usage", {"RewardsGiven": given.grants, "RewardsWaiting": given.waiting})


def changed_hours(
    records: Iterable[Mapping[str, Any]],
) -> tuple[dict[tuple[str, str], dict[datetime, str]], list[str]]:
    """By (customer, meter) the hours that changed, with the last record that says so.

    And the records that cannot be read.
    """
    found: dict[tuple[str, str], dict[datetime, str]] = {}
    unreadable: list[str] = []
    for record in records:
        change = record["dynamodb"]
        try:
            key = read_usage_hour(decode_image(change["NewImage"])).key
        except Exception as error:  # noqa: BLE001  (whatever keeps it from being read)
            unreadable.append(change["SequenceNumber"])
            told = {"keys": change.get("Keys"), "error": _reason(error)}
            logger.warning("usage not readable", extra=told)
            continue
        found.setdefault((key.customer, key.meter), {})[key.hour] = change["SequenceNumber"]
    return found, unreadable


def _to_try_again(records: Iterable[Mapping[str, Any]], failed: Iterable[str]) -> list[str]:
    """Those of the failed records that are not too old for it."""
    wanted = set(failed)
    again: list[str] = []
    for change in (record["dynamodb"] for record in records):
        if change["SequenceNumber"] in wanted:
            made = datetime.fromtimestamp(float(change["ApproximateCreationDateTime"]), UTC)
            if runtime().clock.now() < made + TRIED_FOR:
                again.append(change["SequenceNumber"])
    return again


def _reason(error: Exception) -> str:
    return error.detail if isinstance(error, MeterlineError) else type(error).__name__
