"""An auditor's way: export an invoice and its events, and recompute it with the network cut off."""

import gzip
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import ApiError, Client
from functions import api
from local.emulator import Aws
from local.home import REPOSITORY
from shared.domain.invoice_document import document_hash
from tests.integration.conftest import Tables
from tests.support.builders import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    PEAK,
    VISITORS,
    a_plan_with_visits,
    usage,
    visit,
)
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record
from tests.unit.http.events import api_event

EXACT = {"tokens": Decimal("0.123456789"), "model": "large"}
POISONED = usage("audited", "poisoned", MARCH + DAY, EXACT)


class InProcess(Client):
    """The command line's client, answered by the handler itself."""

    def call(self, method: str, path: str, *, query: Any = None, **options: Any) -> Any:
        text = "&".join(f"{k}={v}" for k, v in (query or {}).items() if v is not None)
        answer = api.handler(api_event(method, path, query=text), None)
        number = Decimal if options.get("exact") else float
        document = json.loads(answer["body"], parse_float=number)
        if answer["statusCode"] >= 400:
            raise ApiError(answer["statusCode"], document)
        return document


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish(VISITORS, PEAK)
        running.publish_defaults(a_plan_with_visits())
        running.runtime.__dict__["secret_keys"] = type(
            "Keys", (), {"key": staticmethod(lambda purpose: purpose.encode().ljust(32))}
        )
        yield running


@pytest.fixture(autouse=True)
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "from_environment", lambda: InProcess("http://here", "key"))


@pytest.fixture(scope="module")
def invoices(meterline: Stack) -> list[str]:
    """The ids of March's and April's: usage in time, late, in quarantine, and redriven."""
    pump = meterline.pump()

    def aggregate(event: Any) -> Any:
        for record in event.get("Records", []):
            if record["dynamodb"]["NewImage"]["sk"]["S"] == POISONED.key:
                record["dynamodb"]["NewImage"]["data"]["S"] = "{"
        return meterline.aggregate(event)

    pump = replace(pump, aggregate=aggregate)
    run = meterline.billing_run(pump)
    march = [usage("audited", n, MARCH + n * HOUR, EXACT if n % 2 else None) for n in range(40)]
    disk = [usage("audited", f"d{n}", MARCH, {"gb": Decimal(30)}, type="disk") for n in range(3)]
    visits = [visit("audited", f"v{n}", MARCH + n * DAY, "ab"[n % 2], n) for n in range(5)]
    meterline.store(
        *march, *disk, *visits, POISONED, usage("audited", "un", MARCH, type="unmetered")
    )
    pump.run()
    run.bill("audited", APRIL + HOUR)
    meterline.store(
        usage("audited", "late", MARCH + 3 * DAY),
        usage("audited", "april", APRIL + DAY, EXACT),
        visit("audited", "late a", MARCH, "a", 9),
        visit("audited", "late c", MARCH, "c", 3),
        visit("audited", "april a", APRIL, "a", 2),
    )
    meterline.runtime.redrive.redrive("audited", POISONED.key, "op")
    pump.run()
    run.bill("audited", MAY + HOUR)
    documents = reversed(meterline.runtime.store.invoices("audited", 100, None).items)
    return [str(d["id"]) for d in documents if d["kind"] == "period"]


Files = tuple[Path, Path]


@pytest.fixture
def exported(
    invoices: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> dict[int, Files]:
    """The files of both invoices, as the command line writes them."""
    files = {}
    for number, invoice in enumerate(invoices, 1):
        pair = tmp_path / f"invoice{number}.json", tmp_path / f"events{number}.ndjson"
        for file, command in zip(
            pair,
            (["invoice", "export", invoice], ["events", "export", "--invoice", invoice]),
            strict=True,
        ):
            capsys.readouterr()
            assert main(command) == 0
            file.write_text(capsys.readouterr().out)
        files[number] = pair
    return files


def verdict(files: Files, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    capsys.readouterr()
    status = main(["verify", str(files[0]), str(files[1])])
    printed = capsys.readouterr()
    return status, printed.out + printed.err


def test_exported_invoices_equal_their_events_without_a_network(
    exported: dict[int, Files],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(Client, "from_environment", refuse)
    for files in exported.values():
        status, printed = verdict(files, capsys)
        assert (status, printed.partition(":")[0]) == (0, "EQUAL"), printed
    document = json.loads(exported[2][0].read_text())
    late = [line for line in document["lines"] if line["late"] and line["type"] == "usage"]
    assert sum(line["events"]["count"] for line in late) == 8
    one, two = exported[1][1].with_suffix(".1"), exported[1][1].with_suffix(".2")
    lines = exported[1][1].read_text().splitlines(keepends=True)
    one.write_text("".join(lines[:9]))
    two.write_text("".join(lines[9:]))
    assert main(["verify", *map(str, (exported[1][0], one, two))]) == 0
    assert main(["verify", *map(str, (exported[1][0], one))]) == 1
    assert main(["verify", *map(str, (exported[1][0], one, tmp_path / "gone"))]) == 1
    packed = exported[1][1].with_suffix(".gz")
    packed.write_bytes(gzip.compress(exported[1][1].read_bytes()))
    assert verdict((exported[1][0], packed), capsys)[0] == 0


# Whatever Python itself reports of sockets, of the imports as well.
WATCHED = """
import sys
def refuse(event, arguments):
    assert not event.startswith("socket."), event
sys.addaudithook(refuse)
from cli.__main__ import main
raise SystemExit(main(sys.argv[1:]))
"""


def test_no_socket_is_opened_by_anything_that_it_imports(exported: dict[int, Files]) -> None:
    arguments = ["verify", *map(str, exported[1])]
    command = [sys.executable, "-c", WATCHED, *arguments]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.partition(":")[0]) == (0, "EQUAL"), done.stderr


@pytest.mark.parametrize(
    "change",
    [
        {"data": []},
        {"data": None},
        {"data": {"tokens": [1]}},
        {"source": []},
        {"extensions": None},
        {"time": "2026-03-05T00:00:00"},
    ],
)
def test_a_bad_event_is_not_blamed_on_the_invoice(
    exported: dict[int, Files], capsys: pytest.CaptureFixture[str], change: dict[str, Any]
) -> None:
    invoice, events = exported[1]
    first, *rest = events.read_text().splitlines()
    events.write_text("\n".join([json.dumps({**json.loads(first), **change}), *rest]))
    status, printed = verdict((invoice, events), capsys)
    assert status == 1
    assert f"{events}: line 1 is no event as exported" in printed


def test_every_event_that_is_changed_removed_or_added_is_noticed(
    exported: dict[int, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    for invoice, events in exported.values():
        document, lines = json.loads(invoice.read_text()), events.read_text().splitlines()
        behind = {line.get("meter") for line in document["lines"]}
        for index, event in enumerate(map(json.loads, lines)):
            if index % 5 and event["type"] != "visit":
                continue
            of_others = event["late"] and event["late"]["period"] != document["period_number"]
            if of_others or not behind & set(event["meters"]):
                continue
            [name] = {"who", "gb", "tokens"} & set(event["data"])
            changed = {**event, "data": {**event["data"], name: 5}}
            for tampered in (
                lines[:index] + lines[index + 1 :],
                [*lines, json.dumps({**event, "id": "added"})],
                [*lines, lines[index]],
                [*lines[:index], json.dumps(changed), *lines[index + 1 :]],
            ):
                events.write_text("\n".join(tampered))
                status, printed = verdict((invoice, events), capsys)
                assert (status, printed.partition(":")[0]) == (1, "NOT EQUAL"), event
        events.write_text("\n".join(lines))
        assert verdict((invoice, events), capsys)[0] == 0


def test_a_changed_invoice_is_noticed_even_with_a_new_hash(
    exported: dict[int, Files], capsys: pytest.CaptureFixture[str]
) -> None:
    invoice, events = exported[1]
    document = json.loads(invoice.read_text())
    document["lines"][0]["amount"] = "0.01"
    for number_of_wrongs in (2, 1):
        invoice.write_text(json.dumps(document))
        status, printed = verdict((invoice, events), capsys)
        assert status == 1
        assert "line 1: amount" in printed
        assert ("hash" in printed) == (number_of_wrongs == 2)
        document["hash"] = document_hash(document)


@pytest.mark.parametrize(
    ("invoice", "events", "words"),
    [
        ("{", "", "is not JSON"),
        ("[]", "", "is no invoice"),
        ("{}", "", "this is no invoice as exported"),
        ('{"a": 1, "a": 2}', "", "is not JSON"),
        (None, "{}\n", "line 1 is no event as exported"),
        (None, "\n[1]\n", "line 2 is no event as exported"),
        (None, '{"late": null}', "line 1 is no event as exported"),
    ],
)
def test_files_that_are_something_else_are_told_so(
    exported: dict[int, Files],
    capsys: pytest.CaptureFixture[str],
    invoice: str | None,
    events: str,
    words: str,
) -> None:
    files = exported[1]
    if invoice is not None:
        files[0].write_text(invoice)
    files[1].write_text(events)
    status, printed = verdict(files, capsys)
    assert status == 1
    assert words in printed


def test_what_to_export_must_be_said(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, words in (
        ([], "of what?"),
        (["--customer", "audited"], "of what?"),
        (["--customer", "a", "--from", "x", "--to", "y"], "is no time"),
        (["--customer", "a", "--from", "2026-01-01", "--to", "2026-01-02"], "has no offset"),
        (["--invoice", "none"], "404 not-found"),
    ):
        assert main(["events", "export", *arguments]) == 1
        assert words in capsys.readouterr().err


def test_the_quarantine_from_the_command_line(
    meterline: Stack, invoices: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quarantine", "list"]) == 0
    assert capsys.readouterr().out.startswith("nothing")
    for names in ([], ["audited"], ["audited", "key", "--all"]):
        assert main(["quarantine", "redrive", *names]) == 2
    assert "which one?" in capsys.readouterr().err
    assert main(["quarantine", "redrive", "audited", POISONED.key]) == 0
    assert "1 redriven, 0 in quarantine" in capsys.readouterr().out
    good, bad = usage("aside", "good", MARCH), usage("aside", "bad", MARCH)
    meterline.store(good)
    records = [usage_record(event, n) for n, event in enumerate((good, bad), 1)]
    for record in records:
        record["dynamodb"]["NewImage"]["data"]["S"] = "{"
    meterline.apply(records)
    capsys.readouterr()
    assert main(["quarantine", "list"]) == 0
    listed = capsys.readouterr().out
    assert good.key in listed
    assert "unreadable record: JSONDecodeError" in listed
    assert main(["quarantine", "redrive", "--all"]) == 1
    printed = capsys.readouterr().out
    assert f"aside {bad.key} stays: not-found" in printed
    assert "1 redriven, 1 in quarantine still" in printed
    assert main(["quarantine", "list", "--json"]) == 0
    [left] = json.loads(capsys.readouterr().out)
    assert (left["event_key"], left["reason"]) == (bad.key, "not-found")
