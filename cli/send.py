"""`meterline send`: usage events from a file or stdin. Sending the same file again is safe.

JSON: an event, an array, or one event after the other (NDJSON). CSV: a header, whose columns id,
source, type, subject and time are the event's and all others data. A row without an id gets one
made from its content, one without a source the file's name.

Unless --continue-on-error is said, the first refusal stops: a file with lines that cannot be read
is not sent at all, and of a refused batch nothing is stored, except beside conflicts.

Examples:
  meterline send events.ndjson
  meterline send usage.csv --type api.call --column subject=account
  zcat events.gz | meterline send - --continue-on-error
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from cli.client import Client, ClientError
from cli.delivery import (
    MAX_BATCH_BYTES,
    MAX_BATCH_EVENTS,
    Account,
    Delivery,
    RefusedError,
    batches,
    encoded_bytes,
)
from cli.event_files import ATTRIBUTES, Completion, Refusal, Row, csv_rows, decode, json_rows
from cli.numbers import positive
from cli.text import printable

BATCH_EVENTS = 500
STDIN = "-"
SAFE = "what was accepted counts once."


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser("send", help="send usage events", description=__doc__)
    parser.add_argument("file", nargs="?", default=STDIN, help="default: -, which is stdin")
    parser.add_argument(
        "--format", choices=("json", "csv"), help="default: csv if the file's name ends so"
    )
    for name in ("type", "source", "subject"):
        parser.add_argument(f"--{name}", help=f"for events without a {name}")
    parser.add_argument(
        "--column", type=_column, action="append", default=[], metavar="ATTRIBUTE=COLUMN",
        help="the CSV column that holds an attribute, where its name differs; repeat it for more",
    )  # fmt: skip
    parser.add_argument(
        "--batch", type=_batch_size, default=BATCH_EVENTS, help="events in a request, up to 1000"
    )
    parser.add_argument(
        "--continue-on-error", action="store_true", help="send all that is not refused"
    )
    parser.add_argument(
        "--output", choices=("table", "json"), default="table", help="how to print the account"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Sends every event and prints the account. Exit status 1 if any was refused."""
    name = "stdin" if arguments.file == STDIN else arguments.file
    rows: list[Row] = []
    refused: list[Refusal] = []
    for row in _rows(arguments, name):
        if isinstance(row, Refusal):
            refused.append(row)
        else:
            rows.append(row)
    delivery = Delivery(
        Client.from_environment(),
        arguments.continue_on_error,
        lambda refusal: print(_refusal_text(name, refusal), file=sys.stderr),
    )
    delivery.refuse(refused)
    if refused and not arguments.continue_on_error:
        raise ClientError(f"{len(refused)} of {len(rows) + len(refused)} events: nothing was sent")
    done = 0
    try:
        for batch in batches(rows, arguments.batch):
            delivery.send(batch)
            done += len(batch)
            _progress(done, len(rows))
    except RefusedError as error:
        raise ClientError(f"{error}\nPut it right and send the file again: {SAFE}") from error
    except ClientError:
        print(f"stopped after {done} of {len(rows)} events; send again: {SAFE}", file=sys.stderr)
        raise
    finally:
        _print(delivery.account, arguments.output)
    return int(bool(delivery.account.refused))


def _rows(arguments: argparse.Namespace, name: str) -> Iterator[Row | Refusal]:
    """Each event of the file, complete, or why it is none."""
    defaults = {name: getattr(arguments, name) for name in ("type", "source", "subject")}
    if arguments.file != STDIN:
        defaults["source"] = defaults["source"] or Path(name).name
    completion = Completion({name: value for name, value in defaults.items() if value})
    try:
        text = decode(_read(arguments.file))
        is_csv = (arguments.format or Path(name).suffix.lower().lstrip(".")) == "csv"
        columns = {column: attribute for attribute, column in arguments.column}
        for row in csv_rows(text, columns) if is_csv else json_rows(text):
            complete = completion.complete(row) if isinstance(row, Row) else row
            if isinstance(complete, Row) and encoded_bytes(complete) > MAX_BATCH_BYTES - 2:
                complete = Refusal(complete.line, "", "too-large")
            yield complete
    except ClientError as error:
        raise ClientError(f"{name}: {error}") from error


def _read(name: str) -> bytes:
    return sys.stdin.buffer.read() if name == STDIN else Path(name).read_bytes()


def _refusal_text(name: str, refusal: Refusal) -> str:
    return printable(
        ": ".join(filter(None, (f"{name}:{refusal.line}", refusal.pointer[1:], refusal.code)))
    )


def _progress(done: int, total: int) -> None:
    """On a terminal, how far it is; overwritten by the next."""
    if sys.stderr.isatty():
        end = "\n" if done == total else "\r"
        print(f"{done:,} of {total:,} events", end=end, file=sys.stderr, flush=True)


def _print(account: Account, output: str) -> None:
    print(json.dumps(asdict(account), indent=2) if output == "json" else account.text())


def _batch_size(text: str) -> int:
    size = positive(text)
    if size > MAX_BATCH_EVENTS:
        raise argparse.ArgumentTypeError(f"at most {MAX_BATCH_EVENTS}")
    return size


def _column(text: str) -> tuple[str, str]:
    attribute, _, column = text.partition("=")
    if attribute not in ATTRIBUTES or not column:
        raise argparse.ArgumentTypeError(f"{text!r} is not ATTRIBUTE=COLUMN")
    return attribute, column
