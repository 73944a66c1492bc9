"""`meterline verify`: whether an exported invoice is what its raw events come to. Needs no network.

The events are counted and every line is priced anew; nothing that is stored anywhere is read. Get
the two files with `meterline invoice export` and `meterline events export --invoice`. Instead of
events, take a copy of the archive: which of them came late is then deduced.
"""

import argparse
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cli.archives import archive_at, events_once
from cli.client import ClientError, UsageError
from cli.exported_events import read_events
from cli.text import printable, table
from shared.domain.deduced_fates import deduce
from shared.domain.errors import MeterlineError
from shared.domain.proof import COUNTED, Document, UnprovableError
from shared.domain.verification import Difference, verify
from shared.wire.strict_json import loads

DEDUCED = """
The archive tells of no event whether it came late or was in quarantine. Where that cannot be
deduced, verify with what `meterline events export --invoice` gives."""


def register(commands: "argparse._SubParsersAction[Any]") -> None:
    """Adds the command."""
    parser = commands.add_parser(
        "verify", help="recompute an exported invoice from raw events", description=__doc__
    )
    parser.add_argument("invoice", type=Path, help="the invoice, as exported")
    parser.add_argument(
        "events",
        type=Path,
        nargs="+",
        help="the events as exported (.gz is unpacked), or folders or files of the archive",
    )
    parser.set_defaults(run=run, offline=True)


def run(arguments: argparse.Namespace) -> int:
    """Prints EQUAL, or NOT EQUAL and what differs. Exit status 1 if not equal."""
    document = _read_invoice(arguments.invoice)
    try:
        archives = [archive_at(place) for place in arguments.events]
        differences = list(_differences(document, arguments.events, archives))
    except MeterlineError as error:
        raise ClientError(f"{arguments.invoice}: {error.detail}") from error
    name = printable(f"invoice {document.get('number')} of {document.get('customer')}")
    if not differences:
        total = printable(f"{document['total']} {document['currency']}")
        print(f"EQUAL: {name}, {len(document['lines'])} lines, total {total}")
        return 0
    print(f"NOT EQUAL: {name}")
    rows = [[d.place, d.stated, d.computed] for d in differences]
    print(table(["where", "invoice says", "recomputed"], rows))
    if any(archives):
        print(DEDUCED)
    return 1


def _read_invoice(file: Path) -> dict[str, Any]:
    try:
        document = loads(file.read_bytes())
    except MeterlineError as error:
        raise ClientError(f"{file} is not JSON") from error
    if not isinstance(document, dict):
        raise ClientError(f"{file} is no invoice")
    return document


def _differences(
    document: Document, places: Sequence[Path], archives: Sequence[Sequence[Path]]
) -> Iterator[Difference]:
    """What differs from the events at the places, each with the archive's files there.

    Raises: ClientError, UsageError; UnprovableError if the document is no invoice.
    """
    if not any(archives):
        yield from verify(document, chain.from_iterable(map(read_events, places)))
        return
    if not all(archives):
        raise UsageError("some hold exported events, others an archive's: verify them apart")
    # The events are read twice rather than kept: only what tells them apart is.
    of_archive, customer = list(chain.from_iterable(archives)), str(document.get("customer"))
    try:
        deduction = deduce(document, events_once(of_archive, customer))
    except (LookupError, TypeError, ValueError) as error:
        raise UnprovableError(f"this is no invoice as exported: {error!r}") from error
    events = events_once(of_archive, customer)
    yield from verify(document, ((e, deduction.fates.get(e.key, COUNTED)) for e in events))
    for entry in deduction.unbilled:
        yield Difference(f"event {entry.source} {entry.id}", "not billed", "recorded in time")
