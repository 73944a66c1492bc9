"""usage-events stream → the archive in S3."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aws_lambda_powertools import Logger

from functions._metrics import count
from functions._runtime import runtime
from functions._streams import decode_image
from shared.adapters.dynamodb.usage_events import from_item
from shared.domain.errors import MeterlineError
from shared.domain.events import utc_text
from shared.services.archive import QUARANTINE, ArchiveLine, event_line, quarantine_line, write

logger = Logger()


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Archives a batch as a whole; if it cannot be stored, all of it is to be delivered again."""
    records = event["Records"]
    lines = [read_record(record) for record in records]
    try:
        files = write(runtime().archive_files, lines)
    except MeterlineError as error:
        logger.warning("a batch is not archived yet", extra={"error": error.detail})
        count("archive", {"ArchiveDelayed": 1})
        first = records[0]["dynamodb"]["SequenceNumber"]
        return {"batchItemFailures": [{"itemIdentifier": first}]}
    unreadable = sum(line.partition.startswith(QUARANTINE) for line in lines)
    archived = len(lines) - unreadable
    counters = {"EventsArchived": archived, "FilesArchived": files, "EventsUnreadable": unreadable}
    count("archive", counters)
    return {"batchItemFailures": []}


def read_record(record: Mapping[str, Any]) -> ArchiveLine:
    """The line of one stream record; what cannot be read as an event is archived as it is."""
    change = record["dynamodb"]
    image = change["NewImage"]
    try:
        return event_line(from_item(decode_image(image)))
    except (MeterlineError, ArithmeticError, LookupError, TypeError, ValueError) as error:
        logger.exception("an unreadable record goes to the archive's quarantine")
        recorded_at = datetime.fromtimestamp(float(change["ApproximateCreationDateTime"]), UTC)
        raw = json.dumps(image, separators=(",", ":"), sort_keys=True)
        return quarantine_line(utc_text(recorded_at), type(error).__name__, raw)
