"""`meterline events list`: raw events of a customer, newest first, each with what became of it.

Example: meterline events list acme --type chat.message --from 2026-03-01T00:00:00Z --limit 20
"""

import argparse
import sys
from collections.abc import Mapping
from itertools import islice
from typing import Any

from cli.client import Client
from cli.numbers import positive
from cli.output import add_output, cell_text, csv_text
from cli.text import table
from shared.domain.events import canonical_json

HEADINGS = ("time", "type", "id", "source", "data", "became")


def register(actions: "argparse._SubParsersAction[Any]") -> None:
    """Adds the action to those of `meterline events`."""
    words = "raw events of a customer, newest first"
    action = actions.add_parser("list", help=words, description=__doc__)
    add_filters(action)
    action.add_argument("--id", help="only with this id; with --source whenever it was")
    action.add_argument("--property", metavar="NAME=VALUE", help="only with this in their data")
    action.add_argument("--from", dest="start", metavar="TIME", help="default: 35 days back")
    action.add_argument("--to", dest="end", metavar="TIME", help="default: now")
    action.add_argument("--limit", type=positive, default=100, help="at most so many; default: 100")
    add_output(action)
    action.set_defaults(run=run)


def add_filters(action: argparse.ArgumentParser) -> None:
    """Adds which events are meant."""
    action.add_argument("customer")
    action.add_argument("--type", help="only of this type")
    action.add_argument("--source", help="only from this source")


def run(arguments: argparse.Namespace) -> int:
    """Prints the events; as JSON one on each line, every number exact."""
    name, given, value = (arguments.property or "").partition("=")
    query = {
        **asked(arguments),
        "id": arguments.id,
        "property": name or None,
        "value": value if given else None,
        "from": arguments.start,
        "to": arguments.end,
        "limit": str(min(arguments.limit, 1000)),
    }
    pages = Client.from_environment().pages("/v1/events", query, exact=True)
    events = list(islice(pages, arguments.limit))
    if arguments.output == "json":
        print("[" + ",\n".join(map(canonical_json, events)) + "]")
        return 0
    rows = [row_of(event) for event in events]
    if arguments.output == "csv":
        sys.stdout.write(csv_text(HEADINGS, rows))
    else:
        print(table(HEADINGS, rows) if rows else "no events")
    return 0


def asked(arguments: argparse.Namespace) -> dict[str, str | None]:
    """The query that the filters come to."""
    return {
        "customer": arguments.customer,
        "type": arguments.type,
        "source": arguments.source,
    }


def row_of(event: Mapping[str, Any]) -> list[str]:
    """One event under the headings."""
    data = ", ".join(f"{name}={_value(value)}" for name, value in event["data"].items())
    return [event["time"], event["type"], event["id"], event["source"], data, became(event)]


def became(event: Mapping[str, Any]) -> str:
    """What became of an event, in words."""
    if aside := event.get("quarantine"):
        return f"quarantined: {aside['reason']}, {aside['detail']}"
    fate = f"counted in {cell_text(event['meters'])}" if event["meters"] else _uncounted(event)
    if event["late"]:
        fate += f", late: billed with period {event['late']['period']}"
    if not event["invoice"]:
        return fate
    lines = cell_text(event["invoice_lines"])
    return f"{fate}, on {event['invoice']}" + (f" line {lines}" if lines else "")


def _uncounted(event: Mapping[str, Any]) -> str:
    """Why no meter counts it; `unmetered` where none reads its type."""
    why = ", ".join(f"{meter}: {reason}" for meter, reason in event["uncounted"].items())
    return f"not counted ({why})" if why else "unmetered"


def _value(value: object) -> str:
    return value if isinstance(value, str) else canonical_json(value)
