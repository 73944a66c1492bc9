"""`meterline conversion`: whether a free plan's customer was asked to pay, and what came of it.

Example:
    meterline conversion confirm acme --provider stripe --reference pm_1ABC
"""

import argparse
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.output import add_output, show

HEADINGS = ("customer", "plan", "converts to", "status", "cause", "asked", "until", "paid by")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    words = "from a free plan to a priced one"
    parser = commands.add_parser("conversion", help=words, description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, run in ACTIONS.items():
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        if name == "confirm":
            action.add_argument("--provider", required=True, help="who keeps the payment details")
            action.add_argument("--reference", required=True, help="what it calls them")
        add_output(action)
        action.set_defaults(run=run)


def run_show(arguments: argparse.Namespace) -> int:
    """What the customer was asked last."""
    return _show(arguments, Client.from_environment().call("GET", _place(arguments)))


def run_start(arguments: argparse.Namespace) -> int:
    """Ask for payment details by the customer's own choice."""
    return _order(arguments, {"action": "start"})


def run_confirm(arguments: argparse.Namespace) -> int:
    """Turn billing on from now on: the provider has confirmed a payment method."""
    method = {"provider": arguments.provider, "reference": arguments.reference}
    return _order(arguments, {"action": "confirm", "payment_method": method})


def run_decline(arguments: argparse.Namespace) -> int:
    """Leave everything as it is."""
    return _order(arguments, {"action": "decline"})


ACTIONS = {"show": run_show, "start": run_start, "confirm": run_confirm, "decline": run_decline}


def _order(arguments: argparse.Namespace, order: Mapping[str, object]) -> int:
    headers = {"Idempotency-Key": str(uuid4())}
    client = Client.from_environment()
    return _show(arguments, client.call("POST", _place(arguments), body=order, headers=headers))


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/conversion", customer=arguments.customer)


def _show(arguments: argparse.Namespace, found: Mapping[str, Any]) -> int:
    asked = found["conversion"] or {}
    method = asked.get("payment_method")
    row = [found["customer"], found["plan"], found["converts_to"]]
    row += [asked.get(name) for name in ("status", "cause", "asked_at", "expires_at")]
    row.append(f"{method['provider']} {method['reference']}" if method else None)
    show(arguments.output, found, HEADINGS, [row])
    return 0
