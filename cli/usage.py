"""`meterline usage`: how much of a meter was used.

Example: meterline usage tokens --group-by customer --top 10 --rest --window day --sparkline
"""

import argparse
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from cli.client import Client
from cli.numbers import positive
from cli.output import add_output, show
from cli.text import table

BARS = "▁▂▃▄▅▆▇█"
NO_USAGE = " "


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("usage", help="usage of a meter", description=__doc__)
    add_question(parser)
    add_output(parser)
    parser.add_argument(
        "--sparkline", action="store_true", help="a line for each group; by day unless said"
    )
    parser.set_defaults(run=run)


def add_question(parser: argparse.ArgumentParser) -> None:
    """Adds what can be asked; `question_of` reads it."""
    parser.add_argument("meter")
    parser.add_argument(
        "--customer", action="append", default=[], help="of this customer; repeat it for more"
    )
    parser.add_argument("--segment", help="of the customers in this segment")
    parser.add_argument(
        "--filter", type=_filter, action="append", default=[], metavar="DIMENSION=VALUE",
        help="with this value; repeat it for more values, and for more dimensions",
    )  # fmt: skip
    parser.add_argument("--from", dest="start", metavar="TIME", help="default: 30 days back")
    parser.add_argument("--to", dest="end", metavar="TIME", help="default: now")
    parser.add_argument(
        "--window", choices=("hour", "day", "week", "month", "total"), default="total"
    )
    parser.add_argument("--timezone", help="of hours, days, weeks and months; default: UTC")
    parser.add_argument("--group-by", help="dimensions, or customer, separated by commas")
    parser.add_argument("--top", type=positive, help="only so many groups, the greatest")
    parser.add_argument("--rest", action="store_true", help="what all other groups come to")
    parser.add_argument("--fill", action="store_true", help="windows without usage as well")


def run(arguments: argparse.Namespace) -> int:
    """Prints one row for each window and group, or a line for each group."""
    client, question = Client.from_environment(), question_of(arguments)
    if arguments.sparkline:
        window = "day" if arguments.window == "total" else arguments.window
        drawn = {**question, "window": window, "fill": True}
        series = client.call("POST", "/v1/usage/query", body=drawn)
        # An average of days is not that of all: the totals are asked for, over the same time.
        whole = {**question, "window": "total", "from": series["from"], "to": series["to"]}
        totals = client.call("POST", "/v1/usage/query", body=whole)
        print(sparklines(series, totals, question["group_by"]) or "no usage")
        return 0
    answer = client.call("POST", "/v1/usage/query", body=question)
    names = question["group_by"]
    headings = ["from", "to", *grouping(names), arguments.meter]
    show(arguments.output, answer, headings, usage_rows(answer, names), "no usage")
    return 0


def grouping(names: Sequence[str]) -> list[str]:
    """The columns between the times and the value: what is grouped by, and a group's kind."""
    return [*names, "kind"] if names else []


def usage_rows(answer: Mapping[str, Any], names: Sequence[str]) -> list[list[str | None]]:
    """One row for each window and group: start, end, the group and its kind, value."""
    return [
        [row["start"], row["end"], *label, *([kind] if names else []), row["value"]]
        for kind, label, row in _labelled(answer, names)
    ]


def question_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The question that the options come to."""
    filters: dict[str, list[str]] = {}
    for name, value in arguments.filter:
        filters.setdefault(name, []).append(value)
    question = {
        "meter": arguments.meter,
        "customers": arguments.customer,
        "segment": arguments.segment,
        "from": arguments.start,
        "to": arguments.end,
        "window": arguments.window,
        "timezone": arguments.timezone,
        "group_by": arguments.group_by.split(",") if arguments.group_by else [],
        "filter": filters,
        "top": arguments.top,
        "rest": arguments.rest,
        "fill": arguments.fill,
    }
    return {name: value for name, value in question.items() if value is not None}


def sparklines(series: Mapping[str, Any], totals: Mapping[str, Any], names: Sequence[str]) -> str:
    """A line for each group: its name, its windows as bars from zero up, its total."""
    lines: dict[tuple[str, ...], list[str | None]] = {}
    for kind, label, row in _labelled(series, names):
        lines.setdefault((kind, *label), []).append(row["value"])
    greatest = max((Decimal(v) for values in lines.values() for v in values if v), default=None)
    rows = [
        [*label, *([kind] if names else []), _bars(lines[kind, *label], greatest), row["value"]]
        for kind, label, row in _labelled(totals, names)
        if (kind, *label) in lines
    ]
    headings = [*names, *(["kind"] if names else []), "", series["meter"]]
    return table(headings, rows) if rows else ""


def _bars(values: Sequence[str | None], greatest: Decimal | None) -> str:
    return "".join(_bar(Decimal(v), greatest) if v is not None else NO_USAGE for v in values)


def _bar(value: Decimal, greatest: Decimal | None) -> str:
    if not greatest or greatest < 0 or value <= 0:
        return BARS[0]
    return BARS[int(value / greatest * (len(BARS) - 1))]


def _labelled(
    answer: Mapping[str, Any], names: Sequence[str]
) -> list[tuple[str, list[str], Mapping[str, Any]]]:
    """(kind, the values grouped by, the row) of each row, the rest at the end."""
    rows = [
        ("other" if row.get("other") else "group", [row["group"][name] for name in names], row)
        for row in answer["data"]
    ]
    rest = [("rest", [""] * len(names), row) for row in answer["rest"] or []]
    return [*rows, *rest]


def _filter(text: str) -> tuple[str, str]:
    name, found, value = text.partition("=")
    if not name or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not DIMENSION=VALUE")
    return name, value
