"""`meterline coupons`: which there are, those that a customer has, and what is left of them.

Example: meterline coupons apply acme launch
"""

import argparse
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.output import add_output, show

COLUMNS = (
    "id",
    "coupon",
    "percentage",
    "amount",
    "currency",
    "duration",
    "state",
    "first_period",
    "last_period",
    "periods_left",
    "amount_left",
)
PUBLISHED = (
    "key",
    "name",
    "percentage",
    "amount",
    "currency",
    "duration",
    "periods",
    "redeem_by",
    "redemptions",
    "max_redemptions",
    "archived",
)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("coupons", help="coupons of a customer", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    words = run_published.__doc__
    published = actions.add_parser("published", help=words, description=words)
    add_output(published)
    published.set_defaults(run=run_published)
    for name, run, argument, meaning in (
        ("list", run_list, None, None),
        ("apply", run_apply, "coupon", "its key, in its newest version"),
        ("end", run_end, "coupon", "the id that `list` shows"),
    ):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        if argument is not None:
            action.add_argument(argument, help=meaning)
        add_output(action)
        action.set_defaults(run=run)


def run_published(arguments: argparse.Namespace) -> int:
    """Every coupon that is published, and how often it was given."""
    return _show(arguments, list(Client.from_environment().pages("/v1/coupons")), PUBLISHED)


def run_list(arguments: argparse.Namespace) -> int:
    """Every coupon that a customer has, ended ones for a while."""
    answer = Client.from_environment().call("GET", _place(arguments))
    return _show(arguments, answer["data"])


def run_apply(arguments: argparse.Namespace) -> int:
    """Give a customer a coupon."""
    return _write(arguments, _place(arguments), {"coupon": arguments.coupon})


def run_end(arguments: argparse.Namespace) -> int:
    """End a customer's coupon for the billing periods to come."""
    customer, coupon = arguments.customer, arguments.coupon
    place = path("/v1/customers/{customer}/coupons/{id}/end", customer=customer, id=coupon)
    return _write(arguments, place, None)


def _write(arguments: argparse.Namespace, place: str, body: object) -> int:
    headers = {"Idempotency-Key": str(uuid4())}
    client = Client.from_environment()
    return _show(arguments, client.call("POST", place, body=body, headers=headers))


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/coupons", customer=arguments.customer)


def _show(arguments: argparse.Namespace, answer: Any, columns: tuple[str, ...] = COLUMNS) -> int:
    found = answer if isinstance(answer, list) else [answer]
    rows = [[coupon[name] for name in columns] for coupon in found]
    show(arguments.output, answer, columns, rows, "no coupons")
    return 0
