"""`meterline events`: the raw events, as they are stored."""

import argparse
from typing import Any

from cli import correcting, export, listing, tailing

# Each module adds its own actions.
MODULES = (listing, tailing, export, correcting)


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("events", help="raw events as they are stored")
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    for module in MODULES:
        module.register(actions)
