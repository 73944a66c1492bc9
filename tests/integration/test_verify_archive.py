"""An auditor's other way: an invoice and a copy of the archive, with the network cut off."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.archives import Folder
from functions.archive import read_record
from local.emulator import Aws
from local.home import REPOSITORY
from shared.adapters.dynamodb.all_events import DynamoAllEvents
from shared.domain.corrections import History, correct
from shared.domain.events import Correction, UsageEvent
from shared.services.archive import write
from tests.integration.conftest import Tables
from tests.integration.test_verify import WATCHED
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_plan, usage
from tests.support.stack import Stack, stack
from tests.support.streams import insert_record

CUSTOMER = "archived"


def late(number: str, occurred_at: datetime, received_at: datetime) -> UsageEvent:
    return replace(usage(CUSTOMER, number, occurred_at), received_at=received_at)


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults(a_plan())
        yield running


@pytest.fixture(scope="module")
def documents(meterline: Stack) -> list[dict[str, Any]]:
    """March's and April's, with usage that came between a boundary and its close, and late."""
    pump = meterline.pump()
    run = meterline.billing_run(pump)
    march = [usage(CUSTOMER, n, MARCH + n * HOUR) for n in range(40)]
    meterline.store(*march, late("between", APRIL - HOUR, APRIL + HOUR / 2))
    pump.run()
    run.bill(CUSTOMER, APRIL + HOUR)
    at_the_same_time = late("same", APRIL - HOUR, APRIL + HOUR - HOUR / 3600)
    meterline.store(at_the_same_time, late("late", MARCH + 3 * DAY, APRIL + 2 * DAY))
    meterline.store(*(usage(CUSTOMER, f"a{n}", APRIL + n * DAY) for n in range(9)))
    pump.run()
    run.bill(CUSTOMER, MAY + HOUR)
    made = Correction(1, "reversal", "key", MAY + DAY, march[7].received_at)
    meterline.store(*correct(History(march[7]), None, made, MAY + DAY))
    found = reversed(meterline.runtime.store.invoices(CUSTOMER, 100, None).items)
    return [document for document in found if document["kind"] == "period"]


@pytest.fixture
def archive(meterline: Stack, documents: list[dict[str, Any]], tmp_path: Path) -> Path:
    """What the archive's function writes of the customer's events, some of it twice."""
    table = DynamoAllEvents(meterline.aws.client("dynamodb"), meterline.events_table)
    records = [insert_record(item, n) for n, item in enumerate(table.received("0", "9999"), 1)]
    lines = [read_record(record) for record in records]
    for some in (lines[:30], lines[20:]):
        write(Folder(tmp_path / "archive"), some)
    return tmp_path / "archive"


@pytest.fixture
def invoices(documents: list[dict[str, Any]], tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"invoice{n}.json" for n, _ in enumerate(documents, 1)]
    for file, document in zip(files, documents, strict=True):
        file.write_text(json.dumps(document))
    return files


Verdict = tuple[int, str]


def verdict(capsys: pytest.CaptureFixture[str], *arguments: Path) -> Verdict:
    capsys.readouterr()
    status = main(["verify", *map(str, arguments)])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def test_invoices_equal_the_archive_without_a_network(
    invoices: list[Path], archive: Path, documents: list[dict[str, Any]]
) -> None:
    assert len(documents) == 2
    counts = [
        (line["late"], line["events"]["count"])
        for document in documents
        for line in document["lines"]
        if line.get("meter") == "messages" and line["type"] == "usage"
    ]
    assert counts == [(False, 41), (False, 9), (True, 2)]
    for invoice in invoices:
        command = [sys.executable, "-c", WATCHED, "verify", str(invoice), str(archive)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.partition(":")[0]) == (0, "EQUAL"), (
            done.stdout + done.stderr
        )


def test_a_file_of_the_archive_holds_a_part_of_the_events(
    invoices: list[Path], archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = sorted(archive.rglob("*.gz"))
    assert verdict(capsys, invoices[0], *files)[0] == 0
    assert "EQUAL" in verdict(capsys, invoices[0], archive / "events")[1]
    status, printed = verdict(capsys, invoices[0], files[0])
    assert (status, printed.partition(":")[0]) == (1, "NOT EQUAL")


@pytest.mark.parametrize("number", ["3", "late", "a2"])
def test_an_event_that_is_changed_removed_or_added_is_noticed(
    invoices: list[Path], archive: Path, capsys: pytest.CaptureFixture[str], number: str
) -> None:
    files = sorted(archive.rglob("*.gz"))
    lines = {line for file in files for line in gzip.decompress(file.read_bytes()).splitlines()}
    [line] = (each for each in lines if json.loads(each)["id"] == number)
    rest = [each for each in lines if each != line]
    at = "2026-03-05T00:00:00.000000Z"
    changes = (
        {"data": '{"model":"small","tokens":8}'},
        {"customer": "other"},
        {"id": "added", "received_at": at, "recorded_at": at},
    )
    changed = [json.dumps({**json.loads(line), **change}).encode() for change in changes]
    file, *others = files
    for other in others:
        other.unlink()
    unchanged = [line, *rest]
    for tampered in (
        rest,
        [*rest, changed[0]],
        [*rest, changed[1]],
        [*unchanged, changed[0]],
        unchanged,
    ):
        file.write_bytes(gzip.compress(b"\n".join(tampered)))
        printed = [verdict(capsys, invoice, archive)[1] for invoice in invoices]
        equal = [each.startswith("EQUAL") for each in printed]
        assert all(equal) == (tampered is unchanged), printed
    file.write_bytes(gzip.compress(b"\n".join([*unchanged, changed[2]])))
    status, added = verdict(capsys, invoices[number == "a2"], archive)
    assert (status, "event tests added" in added) == (1, True), added


def test_what_is_no_archive_is_told_so(
    invoices: list[Path], archive: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "exported").write_text("{}")
    assert "holds no file of an archive" in verdict(capsys, invoices[0], tmp_path / "empty")[1]
    assert "verify them apart" in verdict(capsys, invoices[0], archive, tmp_path / "exported")[1]
    next(archive.rglob("*.gz")).write_bytes(b"cut")
    assert "is no file of the archive" in verdict(capsys, invoices[0], archive)[1]
    (tmp_path / "number").write_text('{"lines": [{"n": "one"}]}')
    assert "is no invoice as exported" in verdict(capsys, tmp_path / "number", archive)[1]
