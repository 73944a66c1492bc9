"""`meterline balance`: what a customer has left of a credit unit, and in which grants."""

import argparse
from collections.abc import Mapping
from typing import Any

from cli.client import Client, path
from cli.output import add_output, show
from cli.text import table

COLUMNS = ("unit", "available", "settled", "reserved", "overage", "as_of")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("balance", help="credits of a customer", description=__doc__)
    parser.add_argument("customer")
    parser.add_argument("unit", nargs="?", help="a credit unit or currency; default: all of them")
    parser.add_argument("--at", help="at another instant than now")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints each balance and its grants, in the order in which usage draws them."""
    answer = Client.from_environment().call(
        "GET",
        path("/v1/customers/{customer}/balance", customer=arguments.customer),
        query={"unit": arguments.unit, "at": arguments.at},
    )
    balances = [answer] if arguments.unit else answer["data"]
    if arguments.output == "table":
        print("\n".join(map(_balance_text, balances)) or "no balances")
        return 0
    rows = [[balance[name] for name in COLUMNS] for balance in balances]
    show(arguments.output, answer, COLUMNS, rows)
    return 0


def _balance_text(balance: Mapping[str, Any]) -> str:
    head = (
        f"{balance['available']} {balance['unit']} available "
        f"({balance['settled']} settled, {balance['reserved']} reserved), "
        f"{balance['overage']} overage, as of {balance['as_of']}"
    )
    rows = [
        [grant["id"], grant["source"], grant["expires_at"] or "never", grant["remaining"]]
        for grant in balance["grants"]
    ]
    headings = ["grant", "source", "expires", "remaining"]
    return "\n".join([head, table(headings, rows)]) if rows else head
