"""`meterline subscription`: the plan that a customer is on, and changing it.

Examples:
    meterline subscription change acme pro --at period_end
    meterline subscription change acme --quantity 5 --at 2026-07-01T00:00:00Z
    meterline subscription pause acme
"""

import argparse
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from cli.client import Client, path
from cli.output import add_output, show

HEADINGS = (
    "customer",
    "plan",
    "version",
    "seats",
    "state",
    "currency",
    "from",
    "until",
    "next",
    "credit",
)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("subscription", help="a customer's plan", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for name, run in ACTIONS.items():
        action = actions.add_parser(name, help=run.__doc__, description=run.__doc__)
        action.add_argument("customer")
        if name == "change":
            action.add_argument("plan", nargs="?", help="to this plan's newest version")
            action.add_argument("--quantity", type=int, help="the number of seats")
        if name != "show":
            action.add_argument(
                "--at",
                metavar="MOMENT",
                help="now, period_end or a time (RFC 3339); default: a downgrade and a cancellation"
                " at the period's end, the rest now",
            )
        add_output(action)
        action.set_defaults(run=run)


def run_show(arguments: argparse.Namespace) -> int:
    """The plan in force, its period, and what is scheduled."""
    return _show(arguments, Client.from_environment().call("GET", _place(arguments)))


def run_change(arguments: argparse.Namespace) -> int:
    """Put a customer on a plan or on a number of seats; an upgrade is made at once and prorated."""
    wanted = {"plan": arguments.plan, "quantity": arguments.quantity}
    return _order(arguments, {"action": "change", **{k: v for k, v in wanted.items() if v}})


def run_cancel(arguments: argparse.Namespace) -> int:
    """Lead a customer back to the default plan."""
    return _order(arguments, {"action": "cancel"})


def run_pause(arguments: argparse.Namespace) -> int:
    """Bill nothing until the plan is resumed; usage is metered on."""
    return _order(arguments, {"action": "pause"})


def run_resume(arguments: argparse.Namespace) -> int:
    """End a pause, or take back what is scheduled, such as a cancellation."""
    return _order(arguments, {"action": "resume"})


ACTIONS = {
    "show": run_show,
    "change": run_change,
    "cancel": run_cancel,
    "pause": run_pause,
    "resume": run_resume,
}


def _order(arguments: argparse.Namespace, order: Mapping[str, object]) -> int:
    body = {**order, **({"at": arguments.at} if arguments.at else {})}
    headers = {"Idempotency-Key": str(uuid4())}
    client = Client.from_environment()
    return _show(arguments, client.call("POST", _place(arguments), body=body, headers=headers))


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/customers/{customer}/subscription", customer=arguments.customer)


def _show(arguments: argparse.Namespace, found: Mapping[str, Any]) -> int:
    change, period = found["next_change"], found["period"]
    following = None
    if change:
        seats = "paused" if change["paused"] else f"{change['quantity']} seats"
        following = f"{change['plan']} v{change['plan_version']}, {seats}, at {change['at']}"
    row = [found["customer"], found["plan"], found["plan_version"], found["quantity"]]
    row += [found["phase"]["state"], found["currency"]]
    show(
        arguments.output,
        found,
        HEADINGS,
        [[*row, period["start"], period["end"], following, found["credit"]]],
    )
    return 0
