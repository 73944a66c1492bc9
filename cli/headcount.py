"""`meterline headcount`: how many customers there are, are new, converted and cancelled.

Example: meterline headcount --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z --group-by plan
"""

import argparse
from collections import Counter
from typing import Any

from cli.client import Client
from cli.margin import add_audience, pages
from cli.output import add_output, show

COUNTS = ("customers", "new", "converted", "cancelled")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "how many customers there are, came and went"
    parser = commands.add_parser("headcount", help=words, description=__doc__)
    add_audience(parser)
    parser.add_argument("--group-by", help="plan, state, segment, separated by commas")
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each group: who was there at the end, and what happened since the start.

    Pages add up, and so do the customers that are named.
    """
    names = arguments.group_by.split(",") if arguments.group_by else []
    query = {"group_by": arguments.group_by}
    totals: dict[tuple[str, ...], Counter[str]] = {}
    for page in pages(Client.from_environment(), "/v1/analytics/customers", arguments, query):
        for row in page["data"]:
            group = tuple(row["group"][name] for name in names)
            totals.setdefault(group, Counter()).update({name: row[name] for name in COUNTS})
    headings = [*names, *COUNTS]
    shown = [
        [*group, *(counts[name] for name in COUNTS)] for group, counts in sorted(totals.items())
    ]
    answer = [dict(zip(headings, row, strict=True)) for row in shown]
    show(arguments.output, answer, headings, shown, "no customers")
    return 0
