"""`meterline shadow`: an incumbent's totals beside ours, while both get the same traffic.

Example: meterline shadow pull openmeter tokens_total --incumbent-url https://openmeter.example
--incumbent-key KEY --from 2026-03-01T00:00:00Z --to 2026-03-02T00:00:00Z > totals.csv
meterline shadow compare totals.csv
"""

import argparse
import csv
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

from cli.client import ApiError, Client, ClientError, UsageError, path
from cli.event_files import decode
from cli.output import add_output, show, write_csv

COLUMNS = ("customer", "meter", "from", "to", "value")
HEADINGS = ("customer", "meter", "from", "to", "theirs", "ours", "difference", "unexplained", "why")
BATCH = 50  # totals in one request
POINTER = re.compile(r"^/totals/(\d+)")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    words = "an incumbent's totals beside ours"
    parser = commands.add_parser("shadow", help=words, description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    comparing = actions.add_parser(
        "compare", help=run_compare.__doc__, description=run_compare.__doc__
    )
    comparing.add_argument("file", help="CSV with the columns customer, meter, from, to and value")
    comparing.add_argument("--all", action="store_true", help="show what is equal, too")
    add_output(comparing)
    comparing.set_defaults(run=run_compare)
    pulling = actions.add_parser("pull", help=run_pull.__doc__, description=run_pull.__doc__)
    pulling.add_argument("incumbent", choices=("openmeter", "amberflo"))
    pulling.add_argument("meter", help="our meter's key")
    pulling.add_argument("--incumbent-url", required=True, metavar="URL", help="its API's address")
    pulling.add_argument("--incumbent-key", required=True, metavar="KEY", help="its API key")
    pulling.add_argument("--incumbent-meter", metavar="NAME", help="its name there, if another")
    pulling.add_argument(
        "--aggregation", choices=("sum", "count", "min", "max"), default="sum",
        help="as Amberflo is to aggregate; default: sum",
    )  # fmt: skip
    pulling.add_argument("--from", dest="start", required=True, metavar="TIME", help="from then on")
    pulling.add_argument("--to", dest="end", required=True, metavar="TIME", help="up to then")
    pulling.set_defaults(run=run_pull, offline=True)


def run_compare(arguments: argparse.Namespace) -> int:
    """Compare the totals in a file with ours; exit status 1 where any differ."""
    client = Client.from_environment()
    totals = _read_totals(Path(arguments.file))
    rows: list[Mapping[str, Any]] = []
    while batch := list(islice(totals, BATCH)):
        try:
            rows += client.call("POST", "/v1/shadow/compare", body={"totals": batch})["data"]
        except ApiError as error:
            raise _in_whole_file(error, len(rows)) from error
    different = [row for row in rows if not row["equal"]]
    shown = rows if arguments.all else different
    show(arguments.output, shown, HEADINGS, [_cells(row) for row in shown], "no differences")
    print(f"{len(rows) - len(different)} equal, {len(different)} different", file=sys.stderr)
    return 1 if different else 0


def run_pull(arguments: argparse.Namespace) -> int:
    """Print an incumbent's totals of each customer as CSV, from its query API."""
    client = Client(arguments.incumbent_url, arguments.incumbent_key)
    pull = _from_openmeter if arguments.incumbent == "openmeter" else _from_amberflo
    span = (arguments.start, arguments.end)
    write_csv(
        sys.stdout,
        COLUMNS,
        ((customer, arguments.meter, *span, value) for customer, value in pull(client, arguments)),
    )
    return 0


def _read_totals(file: Path) -> Iterator[dict[str, str]]:
    """Raises: UsageError where the file is no such table."""
    try:
        text = decode(file.read_bytes())
    except ClientError as error:
        raise UsageError(f"{file}: {error}") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        if missing := set(COLUMNS) - set(reader.fieldnames or ()):
            raise UsageError(f"{file}: no column {', '.join(sorted(missing))}")
        for row in reader:
            if None in row or None in row.values():
                raise UsageError(f"{file}: line {reader.line_num} has another number of cells")
            yield {name: row[name] for name in COLUMNS}
    except csv.Error as error:
        raise UsageError(f"{file}: line {reader.line_num + 1} is not CSV: {error}") from error


def _in_whole_file(error: ApiError, before: int) -> ApiError:
    """The refusal of a batch, its pointers counting all of the file's totals."""
    errors = [
        {**each, "pointer": POINTER.sub(lambda m: f"/totals/{int(m[1]) + before}", each["pointer"])}
        for each in error.errors
    ]
    problem = {"code": error.code, "detail": error.detail, "errors": errors}
    return ApiError(error.status, problem)


def _cells(row: Mapping[str, Any]) -> Sequence[object]:
    reasons = [f"{r['code']} ×{r['events']}" for r in row["reasons"]]
    if row["ours"] is None:
        reasons.append("unknown customer")
    if not row["complete"]:
        reasons.append("not all events looked at")
    return [*(row[name] for name in HEADINGS[:-1]), ", ".join(reasons)]


def _from_openmeter(
    client: Client, arguments: argparse.Namespace
) -> Iterator[tuple[str, Decimal | int]]:
    place = path("/api/v1/meters/{meter}/query", meter=_incumbent_meter(arguments))
    query = {"from": arguments.start, "to": arguments.end, "groupBy": "subject"}
    for row in client.call("GET", place, query=query, exact=True)["data"]:
        yield row["subject"], row["value"]


def _from_amberflo(
    client: Client, arguments: argparse.Namespace
) -> Iterator[tuple[str, Decimal | int]]:
    body = {
        "meterApiName": _incumbent_meter(arguments),
        "aggregation": arguments.aggregation.upper(),
        "timeGroupingInterval": "MONTH",
        "timeRange": {
            "startTimeInSeconds": _seconds(arguments.start),
            "endTimeInSeconds": _seconds(arguments.end),
        },
        "groupBy": ["customerId"],
    }
    key = {"X-API-KEY": arguments.incumbent_key}
    report = client.call("POST", "/usage/", body=body, headers=key, exact=True)
    for found in report["clientMeters"]:
        yield found["group"]["groupInfo"]["customerId"], found["groupValue"]


def _incumbent_meter(arguments: argparse.Namespace) -> str:
    return str(arguments.incumbent_meter or arguments.meter)


def _seconds(text: str) -> int:
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError as error:
        raise UsageError(f"{text!r} is no time such as 2026-03-01T00:00:00Z") from error
