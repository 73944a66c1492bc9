"""`meterline export`: usage, events or invoice lines as a flat table: CSV, NDJSON or Parquet.

Decimals are exact in all three: text in CSV and NDJSON, DECIMAL in Parquet. `meterline sql` exports
whatever can be asked of the archive, and `meterline events export` what `meterline verify` reads.

Example: meterline export usage tokens --window day --output parquet --file tokens.parquet
"""

import argparse
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.client import Client, ClientError, path
from cli.duck import connect
from cli.export import instant, merged
from cli.results import add_result, write_result
from cli.usage import add_question, grouping, question_of, usage_rows
from shared.domain.events import canonical_json, time_text

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

FORMATS = ("csv", "ndjson", "parquet")
PLACES = 12
TEXT, TIME, WHOLE, EXACT = "VARCHAR", "TIMESTAMPTZ", "BIGINT", f"DECIMAL(38, {PLACES})"
EVENT_COLUMNS = {
    "customer": TEXT,
    "source": TEXT,
    "id": TEXT,
    "type": TEXT,
    "time": TIME,
    "received_at": TIME,
    "catalogue_version": WHOLE,
    "status": TEXT,
    "meters": TEXT,
    "invoice": TEXT,
    "data": TEXT,
    "extensions": TEXT,
}
LINE_COLUMNS = {
    "invoice": TEXT,
    "number": TEXT,
    "customer": TEXT,
    "status": TEXT,
    "period_start": TIME,
    "period_end": TIME,
    "line": WHOLE,
    "type": TEXT,
    "description": TEXT,
    "meter": TEXT,
    "quantity": EXACT,
    "unit": TEXT,
    "unit_amount": EXACT,
    "currency": TEXT,
    "amount": EXACT,
}
# A dimension of such a name gets a longer one.
USAGE_COLUMNS = ("start", "end", "kind", "value")
Row = Sequence[str | None]


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the commands."""
    parser = commands.add_parser("export", help="tables for other programs", description=__doc__)
    actions = parser.add_subparsers(title="what", required=True, metavar="WHAT")
    usage = actions.add_parser("usage", help="usage of a meter", description=export_usage.__doc__)
    add_question(usage)
    usage.set_defaults(run=export_usage)
    events = actions.add_parser("events", help="raw events", description=export_events.__doc__)
    events.add_argument("customer")
    events.add_argument("--from", dest="start", metavar="TIME", required=True)
    events.add_argument("--to", dest="end", metavar="TIME", required=True)
    events.set_defaults(run=export_events)
    lines = actions.add_parser("invoices", help="invoice lines", description=export_lines.__doc__)
    lines.add_argument("customer")
    lines.set_defaults(run=export_lines)
    for action in (usage, events, lines):
        add_result(action, FORMATS)


def export_usage(arguments: argparse.Namespace) -> int:
    """Writes one row for each window and group."""
    question = question_of(arguments)
    names = question["group_by"]
    answer = Client.from_environment().call("POST", "/v1/usage/query", body=question)
    groups = grouping([f"group_{n}" if n.casefold() in USAGE_COLUMNS else n for n in names])
    columns = {"start": TIME, "end": TIME, **dict.fromkeys(groups, TEXT), "value": EXACT}
    return _write(columns, usage_rows(answer, names), arguments)


def export_events(arguments: argparse.Namespace) -> int:
    """Writes one row for each raw event; `data` and `extensions` are JSON texts."""
    client = Client.from_environment()
    spans = merged([(instant(arguments.start), instant(arguments.end))])
    queries = (
        {"customer": arguments.customer, "limit": "1000", "from": start, "to": end}
        for start, end in ((time_text(start), time_text(end)) for start, end in spans)
    )
    events = (e for query in queries for e in client.pages("/v1/events", query, exact=True))
    return _write(EVENT_COLUMNS, map(_event_row, events), arguments)


def export_lines(arguments: argparse.Namespace) -> int:
    """Writes one row for each line of each finalized invoice."""
    where = path("/v1/customers/{customer}/invoices", customer=arguments.customer)
    invoices = Client.from_environment().pages(where)
    return _write(LINE_COLUMNS, (row for each in invoices for row in _line_rows(each)), arguments)


def _event_row(event: Mapping[str, Any]) -> Row:
    return [
        event["subject"],
        *(event[name] for name in ("source", "id", "type", "time", "received_at")),
        str(event["catalogue_version"]),
        event["status"],
        ",".join(event["meters"]),
        event["invoice"],
        canonical_json(event["data"]),
        canonical_json(event["extensions"]),
    ]


def _line_rows(invoice: Mapping[str, Any]) -> Iterator[Row]:
    period = invoice["period"]
    head = [invoice[name] for name in ("id", "number", "customer", "status")]
    for line in invoice["lines"]:
        yield [
            *head,
            period["start"],
            period["end"],
            str(line["n"]),
            *(line.get(name) for name in ("type", "description", "meter", "quantity")),
            line["unit"],
            line["unit_amount"],
            invoice["currency"],
            line["amount"],
        ]


def _write(columns: Mapping[str, str], rows: Iterable[Row], arguments: argparse.Namespace) -> int:
    with tempfile.TemporaryDirectory() as scratch:
        table = _typed(connect(), columns, rows, Path(scratch) / "rows.ndjson")
        write_result(table, arguments.output, arguments.file)
    return 0


def _typed(
    connection: "DuckDBPyConnection", columns: Mapping[str, str], rows: Iterable[Row], file: Path
) -> "DuckDBPyRelation":
    """The rows as a relation. They pass through `file` as text, in which no number loses a digit.

    Raises: ClientError for a decimal that the column's type would round.
    """
    exact = [at for at, type_ in enumerate(columns.values()) if type_ == EXACT]
    names = [f"c{at}" for at in range(len(columns))]
    with file.open("w", encoding="utf-8") as lines:
        for row in rows:
            if any(not _fits(row[at]) for at in exact):
                raise ClientError(f"a number has more than {PLACES} decimals")
            lines.write(json.dumps(dict(zip(names, row, strict=True))) + "\n")
    texts = connection.read_json(
        str(file), columns=dict.fromkeys(names, TEXT), format="newline_delimited"
    )
    return texts.project(
        ", ".join(
            f'CAST({name} AS {type_}) AS "{heading.replace(chr(34), 2 * chr(34))}"'
            for name, (heading, type_) in zip(names, columns.items(), strict=True)
        )
    )


def _fits(text: str | None) -> bool:
    return text is None or len(text.partition(".")[2]) <= PLACES
