"""What DuckDB answered, as a table for people, or as CSV, JSON or Parquet; no digit is lost."""

import argparse
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from cli.client import UsageError
from cli.output import cell_text, write_csv
from cli.text import table
from shared.domain.money import format_quantity

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation


def add_result(parser: argparse.ArgumentParser, formats: Sequence[str]) -> None:
    """Adds --output and --file."""
    parser.add_argument(
        "--output", choices=formats, default=formats[0], help="the form of the answer"
    )
    parser.add_argument("--file", type=Path, help="write it there; Parquet always goes to a file")


def write_result(relation: "DuckDBPyRelation", output: str, file: Path | None) -> None:
    """Writes the rows. Times are text in UTC everywhere but in Parquet, decimals exact everywhere.

    Raises: UsageError for Parquet without a file, and for columns of one name.
    """
    if repeated := _repeated(relation.columns):
        raise UsageError(f"several columns are called {repeated}: name them apart with AS")
    if output == "parquet":
        if file is None:
            raise UsageError("Parquet is written to a file: say --file")
        relation.write_parquet(str(file), compression="zstd")
        return
    zoned = "TIMESTAMP WITH TIME ZONE"
    names = ", ".join(
        f"{_utc_text(_quoted(name))} AS {_quoted(name)}" if str(type_) == zoned else _quoted(name)
        for name, type_ in zip(relation.columns, relation.types, strict=True)
    )
    # Computed before anything is written, so that an error leaves no half of an answer.
    found = relation.project(names).materialize()
    rows = (list(map(_plain, row)) for row in found.iter_rows())
    with _opened(file) as out:
        if output == "csv":
            write_csv(out, relation.columns, rows)
        elif output == "table":
            cells = [list(map(cell_text, row)) for row in rows]
            print(table(relation.columns, cells) if cells else "no rows", file=out)
        else:
            _write_json(out, relation.columns, rows, lines=output == "ndjson")


def _repeated(names: Sequence[str]) -> str:
    """A name that more than one column has, in any case, as SQL goes; else nothing."""
    counts = Counter(map(str.casefold, names))
    return next((name for name in names if counts[name.casefold()] > 1), "")


def _write_json(
    out: TextIO, names: Sequence[str], rows: Iterator[Sequence[object]], *, lines: bool
) -> None:
    """One object a row; in an array, unless each is to be a line of its own."""
    between = ""
    out.write("" if lines else "[")
    for row in rows:
        out.write(between + json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False))
        between = "\n" if lines else ",\n"
    out.write(between if lines else "]\n")


def _plain(value: Any) -> Any:
    """The value as JSON has it; decimals and times as text, as in the API."""
    if isinstance(value, Mapping):
        return {str(name): _plain(member) for name, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, Decimal):
        return format_quantity(value)
    if isinstance(value, datetime | date):
        return value.isoformat()
    exact = value is None or isinstance(value, bool | int | str)
    return value if exact or (isinstance(value, float) and math.isfinite(value)) else str(value)


def _utc_text(column: str) -> str:
    return f"strftime({column} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _opened(file: Path | None) -> Iterator[TextIO]:
    if file is None:
        yield sys.stdout
        return
    with file.open("w", encoding="utf-8", newline="") as out:
        yield out
