"""`meterline ledger`: what moved a customer's balances, step by step.

Example: meterline ledger acme --unit spark --limit 20
"""

import argparse
from collections.abc import Mapping
from itertools import islice
from typing import Any

from cli.client import Client, path
from cli.numbers import positive
from cli.output import add_output, cell_text, show

HEADINGS = ("at", "kind", "cause", "changes", "balance after")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "ledger", help="what moved a customer's balances", description=__doc__
    )
    parser.add_argument("customer")
    parser.add_argument("--unit", help="only what moved this credit unit or currency")
    parser.add_argument(
        "--order", choices=("asc", "desc"), default="asc", help="oldest or newest first"
    )
    parser.add_argument("--limit", type=positive, help="at most so many entries; default: all")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each entry."""
    where = path("/v1/customers/{customer}/ledger", customer=arguments.customer)
    query = {"unit": arguments.unit, "order": arguments.order, "limit": "1000"}
    entries = list(islice(Client.from_environment().pages(where, query), arguments.limit))
    rows = [[e["at"], e["kind"], e["cause"], _changes(e), e["balance_after"]] for e in entries]
    show(arguments.output, entries, HEADINGS, rows, "nothing has moved")
    return 0


def _changes(entry: Mapping[str, Any]) -> str:
    return cell_text([f"{change['amount']} {change['unit']}" for change in entry["changes"]])
