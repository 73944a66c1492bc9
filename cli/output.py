"""How commands print what they were answered: a table for people, JSON or CSV for programs."""

import argparse
import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TextIO

from cli.text import NUMBER, table
from shared.wire.usage import FORMULA_STARTS

FORMATS = ("table", "json", "csv")


def add_output(parser: argparse.ArgumentParser, formats: Sequence[str] = FORMATS) -> None:
    """Adds --output, and --json, which is short for one of its values."""
    parser.add_argument(
        "--output", choices=formats, default=formats[0], help="how to print the answer"
    )
    parser.add_argument(
        "--json", dest="output", action="store_const", const="json", help="the answer as it is"
    )


def show(
    output: str,
    answer: object,
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    empty: str = "nothing",
) -> None:
    """Prints the answer as JSON, or its rows; for people `empty` stands for no rows."""
    if output == "json":
        print(json.dumps(answer, indent=2))
    elif output == "csv":
        sys.stdout.write(csv_text(headings, rows))
    else:
        print(table(headings, [list(map(cell_text, row)) for row in rows]) if rows else empty)


def csv_text(headings: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """RFC 4180, with text kept from being run as a formula."""
    text = io.StringIO()
    write_csv(text, headings, rows)
    return text.getvalue()


def write_csv(file: TextIO, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Writes `csv_text` row by row: there may be more rows than memory holds."""
    writer = csv.writer(file)
    writer.writerow(map(_harmless, headings))
    writer.writerows([_harmless(cell_text(cell)) for cell in row] for row in rows)


def cell_text(cell: object) -> str:
    """One cell: nothing for null, the members of lists and maps in a row."""
    if cell is None:
        return ""
    if isinstance(cell, Mapping):
        return ", ".join(f"{name}={cell_text(value)}" for name, value in cell.items())
    if isinstance(cell, list | tuple):
        return ", ".join(map(cell_text, cell))
    return str(cell).lower() if isinstance(cell, bool) else str(cell)


def _harmless(text: str) -> str:
    if not text.startswith(FORMULA_STARTS) or NUMBER.fullmatch(text):
        return text
    return f"'{text}"
