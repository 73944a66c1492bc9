"""billing stream → what follows from each version of an account: its ledger entry, and whether its
customer is asked to pay.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from functions._conversions import ask_where_due
from functions._metrics import count
from functions._runtime import runtime
from functions._streams import decode_image
from shared.adapters.dynamodb.account_items import read_account
from shared.domain.accounts import Account
from shared.domain.errors import MeterlineError
from shared.services.journal import AccountVersion, journal

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Journals each version; answers with the first record to deliver again, if any.

    What hangs on the versions that are journaled comes after, and cannot hold the journal up.
    """
    written, failures = 0, []
    newest: dict[str, Account] = {}
    for record in event["Records"]:
        try:
            change = read_change(record)
            written += journal(runtime().store, change)
        except MeterlineError as error:
            sequence = record["dynamodb"]["SequenceNumber"]
            logger.warning("journal delayed", extra={"from": sequence, "error": error.detail})
            failures.append({"itemIdentifier": sequence})
            break
        newest[change.after.customer] = change.after
    count("react", {"LedgerEntriesJournaled": written})
    ask_where_due(runtime(), newest.values())
    return {"batchItemFailures": failures}


def read_change(record: Mapping[str, Any]) -> AccountVersion:
    """The two versions of the account that the record shows."""
    change = record["dynamodb"]
    old = change.get("OldImage")
    return AccountVersion(
        before=read_account(decode_image(old)) if old else None,
        after=read_account(decode_image(change["NewImage"])),
        at=datetime.fromtimestamp(float(change["ApproximateCreationDateTime"]), UTC),
    )
