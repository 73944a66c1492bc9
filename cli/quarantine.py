"""`meterline quarantine`: records that could not be applied, and applying them after all."""

import argparse
from typing import Any

from cli.client import ApiError, Client, UsageError, path
from cli.output import add_output, show
from cli.text import printable


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("quarantine", help="records that could not be applied")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help=run_list.__doc__, description=run_list.__doc__)
    add_output(listing)
    listing.set_defaults(run=run_list)
    redrive = actions.add_parser(
        "redrive", help=run_redrive.__doc__, description=run_redrive.__doc__
    )
    redrive.add_argument("customer", nargs="?")
    redrive.add_argument("event_key", nargs="?")
    redrive.add_argument("--all", action="store_true", help="everything that is in quarantine")
    redrive.set_defaults(run=run_redrive)


def run_list(arguments: argparse.Namespace) -> int:
    """Show every record in quarantine with its reason, newest first."""
    records = list(Client.from_environment().pages("/v1/quarantine"))
    rows = [
        [r["customer"], r["event_key"], r["quarantined_at"], r["reason"], r["detail"]]
        for r in records
    ]
    headings = ["customer", "event key", "since", "reason", "detail"]
    show(arguments.output, records, headings, rows, "nothing is in quarantine")
    return 0


def run_redrive(arguments: argparse.Namespace) -> int:
    """Apply records whose cause is gone, each once. Exit status 1 if any has to stay."""
    client = Client.from_environment()
    named = bool(arguments.customer and arguments.event_key)
    if named == arguments.all or (arguments.customer and not named):
        raise UsageError("which one? Name a customer and an event key, or say --all")
    keys = [(arguments.customer, arguments.event_key)]
    if arguments.all:
        keys = [(r["customer"], r["event_key"]) for r in client.pages("/v1/quarantine")]
    stayed = 0
    for customer, event_key in keys:
        where = path("/v1/quarantine/{c}/{k}/redrive", c=customer, k=event_key)
        try:
            outcome = f"redriven at {client.call('POST', where)['redriven_at']}"
        except ApiError as error:
            if error.code != "not-applicable":
                raise
            stayed += 1
            outcome = f"stays: {error.detail}"
        print(printable(f"{customer} {event_key} {outcome}"))
    print(f"{len(keys) - stayed} redriven, {stayed} in quarantine still")
    return 1 if stayed else 0
