"""`meterline usage-report`: what every meter comes to, of everyone or a segment, in groups.

Example: meterline usage-report --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z --window day
"""

import argparse
from typing import Any

from cli.client import Client
from cli.margin import add_audience
from cli.output import add_output, show


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "what every meter comes to"
    parser = commands.add_parser("usage-report", help=words, description=__doc__)
    add_audience(parser)
    parser.add_argument(
        "--meter", action="append", default=[], help="only this meter; repeat it for more"
    )
    parser.add_argument(
        "--window", choices=("hour", "day", "week", "month", "total"), default="total"
    )
    parser.add_argument("--timezone", help="of hours, days, weeks and months; default: UTC")
    parser.add_argument(
        "--group-by", help="customer, plan, segment or dimensions, separated by commas"
    )
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each meter, window and group."""
    query = {
        "meter": arguments.meter,
        "customer": arguments.customer,
        "segment": arguments.segment,
        "from": arguments.start,
        "to": arguments.end,
        "window": arguments.window,
        "timezone": arguments.timezone,
        "group_by": arguments.group_by,
    }
    answer = Client.from_environment().call("GET", "/v1/analytics/usage", query=query)
    names = arguments.group_by.split(",") if arguments.group_by else []
    headings = ["meter", "from", "to", *names, "kind", "aggregation", "value"]
    rows = [
        [
            row["meter"],
            row["start"],
            row["end"],
            *(row["group"][name] for name in names),
            "other" if row.get("other") else "group",
            row["aggregation"],
            row["value"],
        ]
        for row in answer["data"]
    ]
    show(arguments.output, answer, headings, rows, "no usage")
    return 0
