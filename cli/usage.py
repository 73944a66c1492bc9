"""`meterline usage`: how much of a meter was used."""

import argparse
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cli.client import Client
from cli.text import table

QUARTER_SECONDS = 15 * 60


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("usage", help="usage of a meter", description=__doc__)
    parser.add_argument("meter")
    parser.add_argument("--customer", help="of one customer; otherwise of all")
    parser.add_argument("--from", dest="start", help="a quarter hour, UTC; default: 30 days ago")
    parser.add_argument("--to", dest="end", help="a quarter hour, UTC; default: now")
    parser.add_argument(
        "--window", choices=("hour", "day", "week", "month", "total"), default="total"
    )
    parser.add_argument("--timezone", help="of days, weeks and months; default: UTC")
    parser.add_argument("--group-by", help="dimensions, separated by commas")
    parser.add_argument("--json", action="store_true", help="the answer as it is")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each window and group."""
    end = next_quarter(datetime.now(UTC))
    query = {
        "meter": arguments.meter,
        "customer": arguments.customer,
        "from": arguments.start or rfc3339(end - timedelta(days=30)),
        "to": arguments.end or rfc3339(end),
        "window": arguments.window,
        "timezone": arguments.timezone,
        "group_by": arguments.group_by,
    }
    answer = Client.from_environment().call("GET", "/v1/usage", query=query)
    if arguments.json:
        print(json.dumps(answer, indent=2))
        return 0
    groups = (arguments.group_by or "").split(",") if arguments.group_by else []
    rows = [
        [row["start"], row["end"], *(row["group"].get(name, "") for name in groups), row["value"]]
        for row in answer["data"]
    ]
    print(table(["from", "to", *groups, arguments.meter], rows) if rows else "no usage")
    return 0


def next_quarter(instant: datetime) -> datetime:
    """The first quarter hour at or after the instant."""
    seconds = -(-instant.timestamp() // QUARTER_SECONDS) * QUARTER_SECONDS
    return datetime.fromtimestamp(seconds, UTC)


def rfc3339(instant: datetime) -> str:
    """The instant in UTC, by the second."""
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
