"""`meterline add-ons`: packs that customers buy, once or with each billing period.

Example: meterline add-ons buy acme tokens --quantity 2
"""

import argparse
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.numbers import positive
from cli.output import add_output, show

COLUMNS = ("add_on", "version", "quantity", "price", "currency", "invoice")
HELD = ("add_on", "version", "quantity", "ends_at")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("add-ons", help="packs bought for a plan", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    action = actions.add_parser("buy", help=run_buy.__doc__, description=run_buy.__doc__)
    action.add_argument("customer")
    action.add_argument("add_on", help="in its newest version")
    action.add_argument("--quantity", type=positive, default=1, help="so many packs; default: 1")
    add_output(action)
    action.set_defaults(run=run_buy)
    action = actions.add_parser("cancel", help=run_cancel.__doc__, description=run_cancel.__doc__)
    action.add_argument("customer")
    action.add_argument("add_on")
    add_output(action)
    action.set_defaults(run=run_cancel)


def run_buy(arguments: argparse.Namespace) -> int:
    """Buy packs for a customer: live and invoiced at once; recurring ones with each period."""
    place = path("/v1/customers/{customer}/add-ons", customer=arguments.customer)
    body = {"add_on": arguments.add_on, "quantity": arguments.quantity}
    headers = {"Idempotency-Key": str(uuid4())}
    bought = Client.from_environment().call("POST", place, body=body, headers=headers)
    show(arguments.output, bought, COLUMNS, [[bought[name] for name in COLUMNS]])
    return 0


def run_cancel(arguments: argparse.Namespace) -> int:
    """End a recurring add-on with the billing period."""
    place = path(
        "/v1/customers/{customer}/add-ons/{add_on}/cancel",
        customer=arguments.customer,
        add_on=arguments.add_on,
    )
    headers = {"Idempotency-Key": str(uuid4())}
    found = Client.from_environment().call("POST", place, headers=headers)
    held = [[each[name] for name in HELD] for each in found["add_ons"]]
    show(arguments.output, found, HELD, held)
    return 0
