"""`meterline subscription`: the plan that a customer is on, and changing it.

Example: meterline subscription change acme pro --at period_end
"""

import argparse
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.output import add_output, show

HEADINGS = ("customer", "plan", "version", "currency", "from", "until", "next", "credit")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("subscription", help="a customer's plan", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, run in (("show", run_show), ("change", run_change), ("cancel", run_cancel)):
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        if name == "change":
            action.add_argument("plan", help="to this plan's newest version")
        if name != "show":
            action.add_argument(
                "--at",
                choices=("now", "period_end"),
                help="default: upgrades now, everything else at the period's end",
            )
        add_output(action)
        action.set_defaults(run=run)


def run_show(arguments: argparse.Namespace) -> int:
    """The plan in force, its period, and what is scheduled."""
    return _show(arguments, Client.from_environment().call("GET", _place(arguments)))


def run_change(arguments: argparse.Namespace) -> int:
    """Put a customer on a plan; an upgrade is made at once and prorated."""
    return _order(arguments, {"action": "change", "plan": arguments.plan})


def run_cancel(arguments: argparse.Namespace) -> int:
    """Lead a customer back to the default plan."""
    return _order(arguments, {"action": "cancel"})


def _order(arguments: argparse.Namespace, order: Mapping[str, str]) -> int:
    body = {**order, **({"at": arguments.at} if arguments.at else {})}
    headers = {"Idempotency-Key": str(uuid4())}
    client = Client.from_environment()
    return _show(arguments, client.call("POST", _place(arguments), body=body, headers=headers))


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/subscription", customer=arguments.customer)


def _show(arguments: argparse.Namespace, found: Mapping[str, Any]) -> int:
    change, period = found["next_change"], found["period"]
    following = f"{change['plan']} v{change['plan_version']} at {change['at']}" if change else None
    row = [found["customer"], found["plan"], found["plan_version"], found["currency"]]
    show(
        arguments.output,
        found,
        HEADINGS,
        [[*row, period["start"], period["end"], following, found["credit"]]],
    )
    return 0
