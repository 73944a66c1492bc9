"""`meterline sql`: questions to the raw events in SQL, answered on this machine.

The same SQL runs in Athena on the same files (docs/archive.md). `events` has each event once,
`archived_events` every line of the archive.

Example: meterline sql "SELECT type, count(*) AS n FROM events GROUP BY type" --from 2026-03-01
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.archive import day
from cli.archives import Days, Folder, archived_files
from cli.client import ClientError, UsageError
from cli.duck import connect_archive
from cli.exported_events import read_events
from cli.results import add_result, write_result
from shared.services.archive import event_line, write

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

FORMATS = ("table", "json", "csv", "parquet")


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("sql", help="ask the raw events in SQL", description=__doc__)
    parser.add_argument("query", help="one SELECT; - reads it from stdin")
    parser.add_argument(
        "--archive",
        metavar="PLACE",
        default=os.environ.get("METERLINE_ARCHIVE"),
        help="a folder or s3://bucket/prefix; default: METERLINE_ARCHIVE, ARCHIVE_BUCKET, or the "
        "local stack's",
    )
    parser.add_argument(
        "--events", type=Path, nargs="+", help="instead of an archive: files of `events export`"
    )
    parser.add_argument(
        "--from", dest="start", type=day, metavar="DAY", help="only what was received since"
    )
    parser.add_argument(
        "--to", dest="end", type=day, metavar="DAY", help="only what was received before"
    )
    add_result(parser, FORMATS)
    parser.set_defaults(run=run, offline=True)


def run(arguments: argparse.Namespace) -> int:
    """Prints or writes the query's rows."""
    query = sys.stdin.read() if arguments.query == "-" else arguments.query
    days = Days(arguments.start, arguments.end)
    if not arguments.events:
        _answer(query, archived_files(arguments.archive, days), arguments)
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        folder = Folder(Path(scratch))
        exported = (event for file in arguments.events for event, _ in read_events(file))
        write(folder, map(event_line, exported))
        _answer(query, folder.files(days), arguments)
    return 0


def _answer(query: str, files: Sequence[Path], arguments: argparse.Namespace) -> None:
    import duckdb  # noqa: PLC0415  # See connect.

    try:
        write_result(_select(connect_archive(files), query), arguments.output, arguments.file)
    except duckdb.Error as error:
        raise ClientError(str(error)) from error


def _select(connection: "DuckDBPyConnection", query: str) -> "DuckDBPyRelation":
    """The query's rows, not yet computed.

    Raises: UsageError if it is not exactly one SELECT; duckdb.Error.
    """
    import duckdb  # noqa: PLC0415  # See connect.

    statements = connection.extract_statements(query)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise UsageError("ask one SELECT")
    return connection.sql(statements[0].query)
