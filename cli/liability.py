"""`meterline liability`: the credits that were issued, used, expired, voided and are held.

Example: meterline liability --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z
"""

import argparse
from decimal import Decimal
from typing import Any

from cli.client import Client
from cli.margin import add_audience, add_up, pages, texts
from cli.output import add_output, show

KINDS = ("unit", "source", "cost_basis", "currency")
AMOUNTS = (
    "opening", "issued", "used", "expired", "voided", "held", "liability", "revenue", "breakage"
)  # fmt: skip


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "credits owed, and what they earned"
    parser = commands.add_parser("liability", help=words, description=__doc__)
    add_audience(parser)
    parser.add_argument("--by-customer", action="store_true", help="a row for each customer")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each unit, source and cost basis, of all customers together."""
    names = (("customer",) if arguments.by_customer else ()) + KINDS
    query = {"group_by": "customer" if arguments.by_customer else None}
    rows: dict[tuple[str, ...], dict[str, Decimal]] = {}
    for page in pages(Client.from_environment(), "/v1/analytics/credits", arguments, query):
        for row in page["data"]:
            key = tuple(row[name] or "" for name in names)
            add_up(rows.setdefault(key, {}), row, AMOUNTS)
    headings = [*names, *AMOUNTS]
    shown = [[*key, *texts(totals, AMOUNTS)] for key, totals in sorted(rows.items())]
    answer = [dict(zip(headings, row, strict=True)) for row in shown]
    show(arguments.output, answer, headings, shown, "no credits")
    return 0
