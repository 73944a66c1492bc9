"""`meterline send` against the ingest function: what goes in, what is refused, and the account."""

import io
import json
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cli import send
from cli.__main__ import main
from cli.client import Client
from cli.delivery import MAX_BATCH_BYTES, batches
from cli.event_files import Row
from shared.domain.events import event_key
from tests.unit.cli.ingest_api import IngestClient


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> IngestClient:
    client = IngestClient()
    monkeypatch.setattr(Client, "from_environment", lambda: client)
    return client


def line(event_id: str | None, **changes: Any) -> str:
    event = {"source": "app", "type": "chat", "subject": "acme", "data": {"tokens": 1}, **changes}
    return json.dumps({"id": event_id, **event} if event_id else event)


class Sender:
    """Writes a file and sends it; remembers what was printed."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._directory, self._capsys = directory, capsys

    def __call__(self, content: str | bytes, *options: str, name: str = "f.ndjson") -> int:
        self.file = self._directory / name
        self.file.write_bytes(content.encode() if isinstance(content, str) else content)
        status = main(["send", str(self.file), *options])
        printed = self._capsys.readouterr()
        self.out, self.err = printed.out, printed.err.replace(f"{self._directory}/", "")
        return status


@pytest.fixture
def sender(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Sender:
    return Sender(tmp_path, capsys)


def test_the_same_file_counts_once(api: IngestClient, sender: Sender) -> None:
    text = "\n".join([line("1"), line("2"), line("3", type="other")])
    assert sender(text, "--batch", "2") == 0
    assert (sender.out, api.sizes) == ("3 accepted, 0 duplicates, 1 unmetered, 0 refused\n", [2, 1])
    assert sender(text) == 0
    assert sender.out == "0 accepted, 3 duplicates, 0 unmetered, 0 refused\n"


def test_a_row_without_an_id_has_the_same_one_wherever_it_stands(
    api: IngestClient, sender: Sender
) -> None:
    rows = [line(None), line(None), line(None, subject="else")]
    assert sender("\n".join(rows)) == 0
    assert sender.out.startswith("3 accepted")
    spaced = rows[0].replace(": ", " :  ")
    assert sender("\n".join([line(None, type="new"), rows[2], spaced, rows[1]])) == 0
    assert sender.out.startswith("1 accepted, 3 duplicates")


def test_equal_rows_of_different_files_are_different_events(
    api: IngestClient, sender: Sender
) -> None:
    row = '{"type": "chat", "subject": "acme", "data": {"tokens": 5}}'
    assert sender(row, name="monday.ndjson") == 0
    assert sender(row, name="tuesday.ndjson") == 0
    assert sender.out.startswith("1 accepted")
    assert sender(row, name="tuesday.ndjson") == 0
    assert sender.out.startswith("0 accepted, 1 duplicates")
    assert {event["source"]["S"] for event in api.store.items.values()} == {
        "monday.ndjson",
        "tuesday.ndjson",
    }


def test_defaults_are_for_what_is_missing_and_numbers_keep_their_digits(
    api: IngestClient, sender: Sender
) -> None:
    text = '{"id": "1", "type": "own", "data": {"n": 123456789012.123456789}}\n{ "id":"2"}'
    defaults = ["--type", "chat", "--source", "app", "--subject", "acme"]
    assert sender(text, *defaults) == 0
    first = api.stored("acme", event_key("app", "1"))
    assert first.type == "own"
    assert first.data == {"n": Decimal("123456789012.123456789")}
    assert api.stored("acme", event_key("app", "2")).type == "chat"


def test_the_first_refusal_stops_and_says_where(api: IngestClient, sender: Sender) -> None:
    text = "\n\n".join([line("1"), line("2"), line("3", data={"tokens": "x"}), line("4")])
    assert sender(text, "--batch", "2") == 1
    assert sender.out == "2 accepted, 0 duplicates, 0 unmetered, 1 refused\n"
    assert "f.ndjson:5: data/tokens: not-a-number\n" in sender.err
    assert "send the file again: what was accepted counts once" in sender.err


def test_a_refused_batch_is_narrowed_to_its_offenders(api: IngestClient, sender: Sender) -> None:
    bad = {7, 8, 1001, 1499}
    lines = [line(str(n), data={"tokens": "x" if n in bad else n}) for n in range(1500)]
    assert sender("\n".join(lines), "--continue-on-error", "--batch", "1000") == 1
    assert sender.out == "1496 accepted, 0 duplicates, 0 unmetered, 4 refused\n"
    assert [text.split(":")[1] for text in sender.err.splitlines()] == ["8", "9", "1002", "1500"]
    assert api.sizes == [1000, 998, 500, 498]


def test_more_offenders_than_one_answer_names(api: IngestClient, sender: Sender) -> None:
    lines = [line(str(n), data={"tokens": None if n % 2 else n}) for n in range(600)]
    assert sender("\n".join(lines), "--continue-on-error", "--batch", "600") == 1
    assert sender.out == "300 accepted, 0 duplicates, 0 unmetered, 300 refused\n"


def test_a_conflict_refuses_only_itself(api: IngestClient, sender: Sender) -> None:
    assert sender(line("2")) == 0
    changed = "\n".join([line("1"), line("2", data={"tokens": 9}), line("3")])
    assert sender(changed) == 1
    assert sender.out == "2 accepted, 0 duplicates, 0 unmetered, 1 refused\n"
    assert "f.ndjson:2: differs-from-stored" in sender.err
    assert sender(changed, "--continue-on-error", "--output", "json") == 1
    assert json.loads(sender.out) == {
        "accepted": 0,
        "duplicates": 2,
        "unmetered": 0,
        "refused": [{"line": 2, "pointer": "", "code": "differs-from-stored"}],
    }


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ('{"id": }', "malformed-json"),
        ('{"id": "x", "id": "y"}', "malformed-json"),
        ('{"id": "x", "data": {"tokens": NaN}}', "malformed-json"),
        ('{"data": {"tokens": 1e999999999}}', "data/tokens: number-out-of-range"),
        ('{"id": "\\ud800"}', "id: lone-surrogate"),
        pytest.param("[" * 100_000, "malformed-json", id="deep"),
        ("17", "not-an-object"),
        pytest.param(line("x", data={"t": "x" * MAX_BATCH_BYTES}), "too-large", id="huge"),
    ],
)
def test_a_line_that_is_no_event_holds_up_nothing_else(
    api: IngestClient, sender: Sender, row: str, code: str
) -> None:
    text = "\n".join([line("1"), row, line("2")])
    assert sender(text) == 1
    assert (api.sizes, f"f.ndjson:2: {code}\n" in sender.err) == ([], True)
    assert "1 of 3 events: nothing was sent" in sender.err
    assert sender(text, "--continue-on-error") == 1
    assert sender.out == "2 accepted, 0 duplicates, 0 unmetered, 1 refused\n"


@pytest.mark.parametrize(
    "text", [f"[{line('1')}, {line('2')}]", f" [\n {line('1')} ,{line('2')}\n]"]
)
def test_an_array_is_events_too(api: IngestClient, sender: Sender, text: str) -> None:
    assert sender(b"\xef\xbb\xbf" + text.encode()) == 0
    assert sender.out.startswith("2 accepted")


@pytest.mark.parametrize("text", ["", "  \r\n", "[]", "[ ]\n", "id,type\r\n"])
def test_nothing_is_no_events(api: IngestClient, sender: Sender, text: str) -> None:
    assert sender(text, name="f.csv" if text.startswith("id") else "f.json") == 0
    assert sender.out == "0 accepted, 0 duplicates, 0 unmetered, 0 refused\n"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (f"[{line('1')}, {line('2')}".encode(), "cut short"),
        (f"[{line('1')} {line('2')}]".encode(), "cut short"),
        (f"[{line('1')}] {line('2')}".encode(), "something follows"),
        (f"[\n{line('1')},\n nonsense]".encode(), "the event at line 3 is not JSON"),
        (line("1").encode() + b"\n\xff\xfe", "f.ndjson: line 2 is not UTF-8"),
    ],
)
def test_a_broken_file_is_not_sent_at_all(
    api: IngestClient, sender: Sender, content: bytes, words: str
) -> None:
    assert sender(content, "--continue-on-error") == 1
    assert words in sender.err
    assert api.sizes == []


def test_unavailable_stops_with_the_account(api: IngestClient, sender: Sender) -> None:
    api.unavailable_after = 1
    assert sender("\n".join(map(line, "123")), "--batch", "1", "--continue-on-error") == 3
    assert sender.out.startswith("1 accepted")
    assert "stopped after 1 of 3 events" in sender.err


def test_stdin_has_no_name_to_be_a_source(
    api: IngestClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = io.BytesIO(b'{"id": "1", "type": "chat", "subject": "acme"}')
    monkeypatch.setattr(send.sys, "stdin", SimpleNamespace(buffer=content))
    assert main(["send"]) == 1
    assert "stdin:1: source: required" in capsys.readouterr().err


def test_batches_keep_order_and_bounds() -> None:
    rows = [Row(n, f'"{n}"') for n in range(2001)]
    made = list(batches(rows, 1000))
    assert [len(batch) for batch in made] == [1000, 1000, 1]
    assert [row for batch in made for row in batch] == rows
    large = [Row(n, "é" * 200_000) for n in range(5)]
    assert [len(batch) for batch in batches(large, 1000)] == [2, 2, 1]
    exact = [Row(1, "x" * (MAX_BATCH_BYTES // 2 - 2)), Row(2, "x" * (MAX_BATCH_BYTES // 2 - 1))]
    assert [len(batch) for batch in batches(exact, 1000)] == [2]
    assert len(f"[{exact[0].text},{exact[1].text}]") == MAX_BATCH_BYTES
