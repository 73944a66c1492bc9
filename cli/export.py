"""`meterline events export`: raw events as they are stored, to keep and for `meterline verify`."""

import argparse
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.client import Client, ClientError, path
from shared.domain.events import canonical_json, time_text

MAX_RANGE = timedelta(days=300)  # The API lists at most 400 days at once.
# A customer's first phase holds what happened up to 35 days before it began.
BEFORE_FIRST_PHASE = timedelta(days=36)


def register(actions: "argparse._SubParsersAction[Any]") -> None:
    """Adds the action to those of `meterline events`."""
    action = actions.add_parser("export", help=run.__doc__, description=run.__doc__)
    action.add_argument("--invoice", help="everything that this invoice's lines may count")
    action.add_argument("--customer", help="or else of this customer")
    action.add_argument("--from", dest="start", help="since when, RFC 3339")
    action.add_argument("--to", dest="end", help="until when, RFC 3339")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print events as NDJSON, each with what became of it and every number exact."""
    client = Client.from_environment()
    if arguments.invoice:
        document = client.call("GET", path("/v1/invoices/{id}", id=arguments.invoice))
        customer, spans = document["customer"], list(line_spans(document))
    elif arguments.customer and arguments.start and arguments.end:
        customer = arguments.customer
        spans = [(instant(arguments.start), instant(arguments.end))]
    else:
        raise ClientError("of what? Say --invoice, or --customer, --from and --to")
    for start, end in merged(spans):
        query = {"customer": customer, "limit": "1000"}
        query |= {"from": time_text(start), "to": time_text(end)}
        for event in client.pages("/v1/events", query, exact=True):
            print(canonical_json(event))
    return 0


def line_spans(document: Any) -> Iterator[tuple[datetime, datetime]]:
    """[start, end) of the events that each line of the invoice may count."""
    for line in document["lines"]:
        if line["type"] == "usage":
            start = instant(line["service_period"]["start"])
            early = BEFORE_FIRST_PHASE if line["phase"] == 1 else timedelta()
            yield start - early, instant(line["service_period"]["end"])


def merged(
    spans: list[tuple[datetime, datetime]],
) -> Iterator[tuple[datetime, datetime]]:
    """Spans of at most the longest range that cover the same, none of it twice."""
    covered = datetime.min.replace(tzinfo=UTC)
    for start, end in sorted(spans):
        at = max(start, covered)
        while at < end:
            yield at, min(end, at + MAX_RANGE)
            at = min(end, at + MAX_RANGE)
        covered = max(covered, end)


def instant(text: str) -> datetime:
    """The moment that somebody typed.

    Raises: ClientError for what is none.
    """
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ClientError(f"{text} is no time: say it as 2026-03-01T00:00:00Z") from error
    if instant.tzinfo is None:
        raise ClientError(f"{text} has no offset: say Z for UTC")
    return instant.astimezone(UTC)
