"""`meterline archive`: whether the archive holds every raw event, and putting there what it lacks.

Both actions read the whole table of raw events, with AWS credentials. EVENTS_TABLE and
ARCHIVE_BUCKET say where; without them it is the local stack.

Example: meterline archive check --from 2026-03-01 --to 2026-04-01
"""

import argparse
import sys
from datetime import date
from typing import Any

from cli.archives import Days
from cli.client import ClientError
from cli.deployment import deployment
from cli.output import add_output, show
from cli.text import printable
from shared.domain.errors import MeterlineError
from shared.services.archive_check import compare

HEADINGS = ("day", "in the table", "in the archive", "these are")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("archive", help="the archive of raw events", description=__doc__)
    actions = parser.add_subparsers(title="actions", required=True, metavar="ACTION")
    checking = actions.add_parser("check", help=check.__doc__, description=check.__doc__)
    add_output(checking)
    checking.set_defaults(run=check)
    writing = actions.add_parser("history", help=history.__doc__, description=history.__doc__)
    writing.set_defaults(run=history)
    for action in (checking, writing):
        action.set_defaults(offline=True)
        action.add_argument("--from", dest="start", type=day, metavar="DAY", help="received since")
        action.add_argument("--to", dest="end", type=day, metavar="DAY", help="received before")


def day(text: str) -> str:
    """A UTC day, such as 2026-03-01."""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no day such as 2026-03-01") from error


def check(arguments: argparse.Namespace) -> int:
    """Compare each day's events in the archive with the table's. Exit status 1 if one differs."""
    from cli.whole_table import archive_tallies, table_tallies  # noqa: PLC0415  # Needs AWS's SDK.

    days = Days(arguments.start, arguments.end)
    unreadable: list[str] = []
    table = table_tallies(deployment(), days, unreadable)
    found = list(compare(table, archive_tallies(days)))
    counts = [(each.day, each.table.count, each.archive.count, each.is_equal) for each in found]
    answer = [dict(zip(("day", "table", "archive", "equal"), row, strict=True)) for row in counts]
    rows = [(*row[:3], "equal" if row[3] else "DIFFERENT") for row in counts]
    show(arguments.output, answer, HEADINGS, rows, "no events")
    _tell(unreadable)
    return int(not all(each.is_equal for each in found))


def history(arguments: argparse.Namespace) -> int:
    """Archive the table's events again; what is in the archive already is not doubled."""
    from cli.whole_table import archive_table  # noqa: PLC0415  # Needs AWS's SDK.

    unreadable: list[str] = []
    days = Days(arguments.start, arguments.end)
    try:
        count, files = archive_table(deployment(), days, unreadable)
    except MeterlineError as error:
        raise ClientError(f"{error.detail} Run it again: nothing is doubled.") from error
    print(f"{count} events in {files} files")
    _tell(unreadable)
    return 0


def _tell(unreadable: list[str]) -> None:
    """Says which items are no events: they are in the archive's quarantine, whole."""
    for name in unreadable:
        print(f"cannot be read as an event: {printable(name)}", file=sys.stderr)
