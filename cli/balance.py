"""`meterline balance`: what a customer has left of a credit unit, and in which grants."""

import argparse
import json
from typing import Any

from cli.client import Client, path
from cli.text import table


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("balance", help="credits of a customer", description=__doc__)
    parser.add_argument("customer")
    parser.add_argument("unit", help="a credit unit or currency")
    parser.add_argument("--at", help="at another instant than now")
    parser.add_argument("--json", action="store_true", help="the answer as it is")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints the balance and its grants, in the order in which usage draws them."""
    answer = Client.from_environment().call(
        "GET",
        path("/v1/customers/{customer}/balance", customer=arguments.customer),
        query={"unit": arguments.unit, "at": arguments.at},
    )
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return 0
    print(
        f"{answer['available']} {answer['unit']} available "
        f"({answer['settled']} settled, {answer['reserved']} reserved), "
        f"{answer['overage']} overage, as of {answer['as_of']}"
    )
    rows = [
        [g["id"], g.get("source") or "", g.get("expires_at") or "never", g["remaining"]]
        for g in answer["grants"]
    ]
    if rows:
        print(table(["grant", "source", "expires", "remaining"], rows))
    return 0
