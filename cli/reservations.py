"""`meterline reservations`: what is set aside of a customer's balances, and ending it.

Example: meterline reservations make acme sparks 5 --ttl 60
"""

import argparse
from collections.abc import Mapping
from itertools import islice
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.numbers import positive
from cli.output import add_output, show

COLUMNS = ("id", "status", "unit", "amount", "drawn", "meter", "expires_at", "ended_at")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    words = "parts of balances that are set aside"
    parser = commands.add_parser("reservations", help=words, description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    runs = (
        ("list", run_list),
        ("make", run_make),
        ("settle", run_settle),
        ("release", run_release),
    )
    added = {}
    for name, run in runs:
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        added[name] = action
        add_output(action)
        action.set_defaults(run=run)
    added["list"].add_argument("--limit", type=positive, default=100, help="default: 100")
    added["make"].add_argument("unit", help="a currency, a credit unit, or meter:<key>")
    added["make"].add_argument("amount")
    added["make"].add_argument("--meter", help="may draw grants that only this meter may")
    added["make"].add_argument("--ttl", type=positive, default=300, help="seconds; default: 300")
    for name in ("settle", "release"):
        added[name].add_argument("reservation", help="its id")
    added["settle"].add_argument("amount", help="what was really used, more or less")


def run_list(arguments: argparse.Namespace) -> int:
    """A customer's reservations, those that expire last first."""
    query = {"limit": str(min(arguments.limit, 1000))}
    pages = Client.from_environment().pages(_place(arguments), query)
    return _show(arguments, list(islice(pages, arguments.limit)))


def run_make(arguments: argparse.Namespace) -> int:
    """Set a part of a balance aside."""
    body = {"unit": arguments.unit, "amount": arguments.amount, "ttl_seconds": arguments.ttl}
    if arguments.meter:
        body["meter"] = arguments.meter
    return _write(arguments, "", body)


def run_settle(arguments: argparse.Namespace) -> int:
    """Draw what was really used, and free the rest."""
    place = path("/{reservation}/settle", reservation=arguments.reservation)
    return _write(arguments, place, {"amount": arguments.amount})


def run_release(arguments: argparse.Namespace) -> int:
    """Free all that was set aside."""
    return _write(arguments, path("/{reservation}/release", reservation=arguments.reservation))


def _write(
    arguments: argparse.Namespace, place: str, body: Mapping[str, object] | None = None
) -> int:
    headers = {"Idempotency-Key": str(uuid4())}
    client = Client.from_environment()
    answer = client.call("POST", _place(arguments) + place, body=body, headers=headers)
    return _show(arguments, answer)


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/reservations", customer=arguments.customer)


def _show(arguments: argparse.Namespace, answer: Any) -> int:
    found = answer if isinstance(answer, list) else [answer]
    rows = [[reservation[name] for name in COLUMNS] for reservation in found]
    show(arguments.output, answer, COLUMNS, rows, "no reservations")
    return 0
