"""`meterline event-types`: what the events that came look like, and which meters read it."""

import argparse
import json
from typing import Any

from cli.client import Client, path
from cli.text import printable, table


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "event-types", help="properties of events, by type", description=__doc__
    )
    parser.add_argument("type", nargs="?", help="only this one; default: all")
    parser.add_argument("--json", action="store_true", help="the answer as it is")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one block for each type, with a row for each of its properties."""
    client = Client.from_environment()
    if arguments.type is None:
        found = list(client.pages("/v1/event-types"))
    else:
        found = [client.call("GET", path("/v1/event-types/{type}", type=arguments.type))]
    if arguments.json:
        print(json.dumps(found, indent=2))
        return 0
    print("\n\n".join(map(_block, found)) or "no events yet")
    return 0


def _block(seen: dict[str, Any]) -> str:
    since, until = seen["first_seen"][:10], seen["last_seen"][:10]
    meters = ", ".join(seen["meters"]) or "no meter"
    heading = printable(f"{seen['type']}   {since} to {until}   read by {meters}")
    rows = [
        [p["name"], ", ".join(p["kinds"]) or "never seen", ", ".join(p["meters"])]
        for p in seen["properties"]
    ]
    if seen["overflow"]:
        rows.append(["…", "there were more", ""])
    return f"{heading}\n{table(['property', 'kinds', 'meters'], rows)}" if rows else heading
