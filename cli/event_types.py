"""`meterline event-types`: what the events that came look like, and which meters read it."""

import argparse
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "event-types", help="properties of events, by type", description=__doc__
    )
    parser.add_argument("type", nargs="?", help="only this one; default: all")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each property of each type."""
    client = Client.from_environment()
    if arguments.type is None:
        found = list(client.pages("/v1/event-types"))
    else:
        found = [client.call("GET", path("/v1/event-types/{type}", type=arguments.type))]
    rows = [row for seen in found for row in _rows(seen)]
    headings = ["type", "first seen", "last seen", "property", "kinds", "meters"]
    show(arguments.output, found, headings, rows, "no events yet")
    return 0


def _rows(seen: dict[str, Any]) -> list[list[Any]]:
    head = [seen["type"], seen["first_seen"], seen["last_seen"]]
    rows = [[*head, p["name"], p["kinds"] or "never seen", p["meters"]] for p in seen["properties"]]
    if seen["overflow"]:
        rows.append([*head, "…", "there were more", ""])
    return rows or [[*head, "", "", seen["meters"]]]
