"""`meterline add-ons`: packs that customers buy once.

Example: meterline add-ons buy acme tokens --quantity 2
"""

import argparse
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.numbers import positive
from cli.output import add_output, show

COLUMNS = ("add_on", "version", "quantity", "price", "currency", "invoice")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("add-ons", help="packs bought once", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("buy", help=run_buy.__doc__, description=run_buy.__doc__)
    action.add_argument("customer")
    action.add_argument("add_on", help="in its newest version")
    action.add_argument("--quantity", type=positive, default=1, help="so many packs; default: 1")
    add_output(action)
    action.set_defaults(run=run_buy)


def run_buy(arguments: argparse.Namespace) -> int:
    """Buy packs for a customer: live and invoiced at once."""
    place = path("/v1/customers/{customer}/add-ons", customer=arguments.customer)
    body = {"add_on": arguments.add_on, "quantity": arguments.quantity}
    headers = {"Idempotency-Key": str(uuid4())}
    bought = Client.from_environment().call("POST", place, body=body, headers=headers)
    show(arguments.output, bought, COLUMNS, [[bought[name] for name in COLUMNS]])
    return 0
