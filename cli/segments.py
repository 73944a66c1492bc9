"""`meterline segments`: saved filters over customers' traits.

Example: meterline segments put gold-eu --name 'Gold in the EU' --trait tier=gold --trait region=eu
"""

import argparse
from typing import Any

from cli.client import Client, path
from cli.customers import trait
from cli.output import add_output, show

COLUMNS = ("key", "name", "filter")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("segments", help="segments of customers", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help=run_list.__doc__, description=run_list.__doc__)
    add_output(listing)
    listing.set_defaults(run=run_list)
    putting = actions.add_parser("put", help=run_put.__doc__, description=run_put.__doc__)
    putting.add_argument("segment")
    putting.add_argument("--name", required=True, help="what people call it")
    putting.add_argument(
        "--trait", type=trait, action="append", required=True, metavar="NAME=VALUE",
        help="a value that its customers' trait may have; repeat it for more values and traits",
    )  # fmt: skip
    add_output(putting)
    putting.set_defaults(run=run_put)
    removing = actions.add_parser("remove", help=run_remove.__doc__, description=run_remove.__doc__)
    removing.add_argument("segment")
    removing.set_defaults(run=run_remove)


def run_list(arguments: argparse.Namespace) -> int:
    """Every segment by key."""
    found = list(Client.from_environment().pages("/v1/segments"))
    rows = [[segment[name] for name in COLUMNS] for segment in found]
    show(arguments.output, found, COLUMNS, rows, "no segments")
    return 0


def run_put(arguments: argparse.Namespace) -> int:
    """Make a segment, or replace it."""
    filters: dict[str, list[str]] = {}
    for name, value in arguments.trait:
        filters.setdefault(name, []).append(value)
    body = {"name": arguments.name, "filter": filters}
    saved = Client.from_environment().call("PUT", _place(arguments), body=body)
    show(arguments.output, saved, COLUMNS, [[saved[name] for name in COLUMNS]])
    return 0


def run_remove(arguments: argparse.Namespace) -> int:
    """Remove a segment; the customers in it stay."""
    Client.from_environment().call("DELETE", _place(arguments))
    return 0


def _place(arguments: argparse.Namespace) -> str:
    return path("/v1/segments/{segment}", segment=arguments.segment)
