"""`meterline entitlements`: what a customer may use now, and how much is left of it.

Example: meterline entitlements acme tokens
"""

import argparse
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show

COLUMNS = ("feature", "allowed", "used", "limit", "remaining", "unit", "resets_at", "reason")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "what a customer may use now"
    parser = commands.add_parser("entitlements", help=words, description=__doc__)
    parser.add_argument("customer")
    parser.add_argument("feature", nargs="?", help="a feature or meter; default: all of the plan")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the entitlements; exit status 1 if the one asked for is not allowed."""
    place = path("/v1/customers/{customer}/entitlements", customer=arguments.customer)
    if arguments.feature:
        place += path("/{feature}", feature=arguments.feature)
    answer = Client.from_environment().call("GET", place)
    found = [answer] if arguments.feature else answer["data"]
    rows = [[entitlement[name] for name in COLUMNS] for entitlement in found]
    show(arguments.output, answer, COLUMNS, rows, "nothing in the plan")
    return int(bool(arguments.feature) and not answer["allowed"])
