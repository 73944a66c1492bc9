"""`meterline replay`: what a plan of a catalogue file would have brought in over past usage.

Example: meterline replay catalogue.yaml pro --segment gold --from 2026-03-01T00:00:00Z \
--to 2026-04-01T00:00:00Z
"""

import argparse
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from cli.catalogue_file import CatalogueFile
from cli.client import Client, UsageError
from cli.margin import add_audience
from cli.output import add_output, show
from shared.domain.money import format_quantity

HEADINGS = (
    "customer", "phases", "before", "after", "difference", "margin before", "margin after", "usage"
)  # fmt: skip


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    words = "what a draft plan would have brought in"
    parser = commands.add_parser("replay", help=words, description=__doc__)
    parser.add_argument("file", type=Path, help="a catalogue file, as `catalog apply` takes it")
    parser.add_argument("plan", help="the plan's key in the file")
    add_audience(parser)
    add_output(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Prints a row for each customer, those first who would have paid less."""
    client, question = Client.from_environment(), _question(arguments)
    compared: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    cursor: str | None = None
    while True:
        body = {**question, "cursor": cursor} if cursor else question
        page = client.call("POST", "/v1/pricing/replay", body=body)
        compared += page["data"]
        left_out += page["left_out"]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    compared.sort(key=lambda each: (Decimal(each["difference"]), each["customer"]))
    rows = [_row(each) for each in compared]
    if rows:
        sums = [_sum(row[i] for row in rows) for i in range(2, 7)]
        total = ["Total", str(sum(each["phases"] for each in compared)), *sums, ""]
        rows.append(total)
    answer = {"data": compared, "left_out": left_out}
    show(arguments.output, answer, HEADINGS, rows, "nobody to compare")
    if arguments.output == "table":
        for each in left_out:
            print(f"left out: {each['customer']}: {each['reason']}")
    return 0


def _question(arguments: argparse.Namespace) -> dict[str, Any]:
    question = {
        "plan": _draft(arguments),
        "customers": arguments.customer,
        "segment": arguments.segment,
        "from": arguments.start,
        "to": arguments.end,
    }
    return {name: value for name, value in question.items() if value is not None}


def _draft(arguments: argparse.Namespace) -> Any:
    """The plan as the file has it."""
    for entry in CatalogueFile(arguments.file).entries:
        if entry.kind.section == "plans" and entry.key == arguments.plan:
            return entry.body
    raise UsageError(f"{arguments.file} has no plan {arguments.plan}")


def _row(compared: Mapping[str, Any]) -> list[str]:
    before, after = compared["before"], compared["after"]
    return [
        compared["customer"],
        str(compared["phases"]),
        before["revenue"],
        after["revenue"],
        compared["difference"],
        before["margin"],
        after["margin"],
        "as billed" if compared["recounted"] else "not as billed",
    ]


def _sum(texts: Iterable[str]) -> str:
    return format_quantity(sum(map(Decimal, texts), Decimal(0)))
