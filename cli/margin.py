"""`meterline margin`: what was earned, what the usage cost to serve, and what is left.

Example: meterline margin --from 2026-03-01T00:00:00Z --to 2026-04-01T00:00:00Z --group-by plan
"""

import argparse
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from cli.client import Client
from cli.output import add_output, show
from shared.domain.money import format_quantity

AMOUNTS = ("revenue", "accrued", "invoiced", "cost", "margin")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "revenue, cost and margin"
    parser = commands.add_parser("margin", help=words, description=__doc__)
    add_audience(parser)
    parser.add_argument("--window", choices=("day", "week", "month", "total"), default="total")
    parser.add_argument("--timezone", help="of days, weeks and months; default: UTC")
    parser.add_argument("--group-by", help="customer, plan, meter, segment, separated by commas")
    add_output(parser)
    parser.set_defaults(run=run)


def add_audience(parser: argparse.ArgumentParser) -> None:
    """Adds which customers are meant, and over what time."""
    parser.add_argument(
        "--customer", action="append", default=[], help="of this customer; repeat it for more"
    )
    parser.add_argument("--segment", help="of the customers in this segment")
    parser.add_argument("--from", dest="start", metavar="TIME", required=True)
    parser.add_argument("--to", dest="end", metavar="TIME", required=True)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each window, currency and group, of all customers together."""
    names = arguments.group_by.split(",") if arguments.group_by else []
    query = {
        "window": arguments.window,
        "timezone": arguments.timezone,
        "group_by": arguments.group_by,
    }
    rows: dict[tuple[str, ...], dict[str, Decimal]] = {}
    uncosted: dict[str, Decimal] = {}
    for page in pages(Client.from_environment(), "/v1/analytics/margin", arguments, query):
        for row in page["data"]:
            group = (row["group"][name] for name in names)
            totals = rows.setdefault((row["start"], row["end"], *group, row["currency"]), {})
            add_up(totals, row, AMOUNTS)
        for usage in page["uncosted"]:
            add_up(uncosted, {usage["meter"]: usage["quantity"]}, [usage["meter"]])
    headings = ["from", "to", *names, "currency", *AMOUNTS]
    shown = [[*key, *texts(totals, AMOUNTS)] for key, totals in sorted(rows.items())]
    answer = {
        "data": [dict(zip(headings, row, strict=True)) for row in shown],
        "uncosted": {meter: format_quantity(each) for meter, each in sorted(uncosted.items())},
    }
    show(arguments.output, answer, headings, shown, "no revenue and no cost")
    if uncosted and arguments.output == "table":
        print(f"no cost rate takes all usage of {', '.join(sorted(uncosted))}")
    return 0


def pages(
    client: Client, path: str, arguments: argparse.Namespace, query: Mapping[str, str | None]
) -> Iterator[Any]:
    """Every page of a report: of the customers named one after the other, else of all."""
    for customer in arguments.customer or [None]:
        cursor: str | None = None
        while True:
            asked = {
                **query,
                "customer": customer,
                "segment": arguments.segment,
                "from": arguments.start,
                "to": arguments.end,
                "cursor": cursor,
            }
            page = client.call("GET", path, query=asked)
            yield page
            cursor = page["next_cursor"]
            if cursor is None:
                break


def add_up(totals: dict[str, Decimal], row: Mapping[str, str], names: Any) -> None:
    """Adds the row's amounts to the totals."""
    for name in names:
        totals[name] = totals.get(name, Decimal(0)) + Decimal(row[name])


def texts(totals: Mapping[str, Decimal], names: Any) -> list[str]:
    """The totals as text, in order."""
    return [format_quantity(totals[name]) for name in names]
