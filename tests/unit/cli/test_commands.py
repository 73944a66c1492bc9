"""The commands against a server that records what it is asked."""

import gzip
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from cli.__main__ import main
from cli.client import Client, ClientError
from cli.text import printable, table
from cli.usage import sparklines

Answers = dict[str, tuple[int, Any]]


class Recorder(BaseHTTPRequestHandler):
    """Answers from a table by path, and remembers every request."""

    answers: ClassVar[Answers] = {}
    asked: ClassVar[list[tuple[str, str, bytes, dict[str, str]]]] = []

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append((self.command, self.path, body, dict(self.headers)))
        status, document = self.answers.get(self.path.partition("?")[0], (404, {}))
        content = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815  (the server's own naming)

    def log_message(self, *arguments: object) -> None:
        """Nothing: the test's own output says what matters."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Recorder]]:
    recorder = type("Own", (Recorder,), {"answers": {}, "asked": []})
    http = ThreadingHTTPServer(("127.0.0.1", 0), recorder)
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    monkeypatch.setenv("METERLINE_URL", f"http://127.0.0.1:{http.server_port}/")
    monkeypatch.setenv("METERLINE_API_KEY", "ml_local_x_y")
    yield recorder
    http.shutdown()
    http.server_close()
    thread.join()


def test_send_prints_what_became_of_the_events(
    server: type[Recorder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["/v1/events"] = (200, {"accepted": 2, "duplicates": 1, "unmetered": 0})
    file = tmp_path / "events.ndjson"
    event = '{"specversion": "1.0", "id": "1", "source": "s", "n": 1.10}'
    file.write_text("\n".join([event] * 5))
    assert main(["send", str(file), "--batch", "3"]) == 0
    assert capsys.readouterr().out == "4 accepted, 2 duplicates, 0 unmetered, 0 refused\n"
    bodies = [body.decode() for _, _, body, _ in server.asked]
    assert bodies == [f"[{event},{event},{event}]", f"[{event},{event}]"]
    assert server.asked[0][3]["Authorization"] == "Bearer ml_local_x_y"


def test_large_bodies_are_compressed(server: type[Recorder], tmp_path: Path) -> None:
    server.answers["/v1/events"] = (200, {"accepted": 1, "duplicates": 0, "unmetered": 0})
    file = tmp_path / "events.json"
    event = json.dumps({"specversion": "1.0", "id": "1", "source": "s", "text": "x" * 2000})
    file.write_text(event)
    assert main(["send", str(file)]) == 0
    [(_, _, body, headers)] = server.asked
    assert headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == f"[{event}]".encode()


def test_a_refusal_is_told_and_is_status_1(
    server: type[Recorder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    problem = {
        "code": "validation",
        "detail": "Look.",
        "errors": [{"pointer": "/0/id", "code": "required"}],
    }
    server.answers["/v1/events"] = (422, problem)
    file = tmp_path / "events.json"
    file.write_text("[{}]")
    assert main(["send", str(file)]) == 1
    errors = capsys.readouterr().err
    assert "422 validation: Look." in errors
    assert "events.json:1: id: required" in errors


def test_usage_asks_and_shows_rows(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"start": "S", "end": "E", "value": "12.5", "group": {"model": "large"}}
    left = {"start": "S", "end": "E", "value": None}
    server.answers["/v1/usage/query"] = (
        200,
        {"data": [{**row, "other": True}, row], "rest": [left]},
    )
    options = "--customer a --customer b/c --group-by model --top 2 --rest --filter model=x=y"
    assert main(["usage", "tokens", *options.split(), "--filter", "model="]) == 0
    asked = json.loads(server.asked[0][2])
    assert asked == {
        "meter": "tokens",
        "customers": ["a", "b/c"],
        "window": "total",
        "group_by": ["model"],
        "filter": {"model": ["x=y", ""]},
        "top": 2,
        "rest": True,
        "fill": False,
    }
    heading, other, line, rest = capsys.readouterr().out.splitlines()
    assert heading.split() == ["from", "to", "model", "kind", "tokens"]
    assert other.split() == ["S", "E", "large", "other", "12.5"]
    assert line.split() == ["S", "E", "large", "group", "12.5"]
    assert rest.split() == ["S", "E", "rest"]


def test_usage_is_drawn_as_a_line_for_each_group(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"start": "S", "end": "E", "value": "3", "group": {}}
    answer = {"meter": "m", "from": "F", "to": "T", "data": [row], "rest": None}
    server.answers["/v1/usage/query"] = (200, answer)
    assert main(["usage", "m", "--sparkline"]) == 0
    series, totals = (json.loads(body) for _, _, body, _ in server.asked)
    assert (series["window"], series["fill"]) == ("day", True)
    assert (totals["window"], totals["from"], totals["to"]) == ("total", "F", "T")
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [["m"], ["█", "3"]]


def test_bars_are_as_high_as_usage_is_to_the_greatest_of_all_groups() -> None:
    def rows(model: str, *values: str | None) -> list[dict[str, object]]:
        return [{"group": {"model": model}, "value": value} for value in values]

    windows = [*rows("a", "0", "50", None, "100"), *rows("b", "-1", "1", "7.5", "99")]
    series = {"meter": "m", "data": windows, "rest": [{"value": "15"}]}
    totals = {"data": [*rows("a", "150"), *rows("b", "106.5")], "rest": [{"value": "15"}]}
    assert sparklines(series, totals, ["model"]).splitlines() == [
        "model  kind             m",
        "a      group  ▁▄ █    150",
        "b      group  ▁▁▁▇  106.5",
        "       rest   ▂        15",
    ]
    nothing = {"meter": "m", "data": [], "rest": None}
    assert sparklines(nothing, nothing, ["model"]) == ""


def test_segments_are_put_listed_and_removed(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    segment = {"key": "s", "name": "S", "filter": {"tier": ["gold", "vip"]}}
    server.answers["/v1/segments/s"] = (200, segment)
    server.answers["/v1/segments"] = (200, {"data": [segment], "next_cursor": None})
    put = "segments put s --name S --trait tier=gold --trait tier=vip"
    assert main(put.split()) == 0
    assert main(["segments", "list"]) == 0
    assert main(["segments", "remove", "s"]) == 0
    sent = [(method, path, body) for method, path, body, _ in server.asked]
    assert [each[:2] for each in sent] == [
        ("PUT", "/v1/segments/s"),
        ("GET", "/v1/segments"),
        ("DELETE", "/v1/segments/s"),
    ]
    assert json.loads(sent[0][2]) == {"name": "S", "filter": {"tier": ["gold", "vip"]}}
    assert capsys.readouterr().out.count("tier=gold, vip") == 2


def test_balance_of_all_units(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    grant = {"id": "g1", "source": "plan", "expires_at": None, "remaining": "3"}
    balance = {
        "unit": "spark",
        "available": "3",
        "settled": "3",
        "reserved": "0",
        "overage": "1",
        "as_of": "T",
        "grants": [grant],
    }
    server.answers["/v1/customers/acme/balance"] = (200, {"data": [balance]})
    assert main(["balance", "acme"]) == 0
    shown = capsys.readouterr().out
    assert "3 spark available (3 settled, 0 reserved), 1 overage, as of T" in shown
    assert "g1" in shown


def test_entitlements(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    numbers = {"used": "10", "limit": "10", "remaining": "0", "unit": "meter:tokens"}
    refused = {"allowed": False, "reason": "allowance-used-up", "resets_at": "T"}
    tokens = {"feature": "tokens", **refused, **numbers}
    server.answers["/v1/customers/acme/entitlements"] = (200, {"data": [tokens]})
    server.answers["/v1/customers/acme/entitlements/tokens"] = (200, tokens)
    assert main(["entitlements", "acme"]) == 0
    assert "allowance-used-up" in capsys.readouterr().out
    assert main(["entitlements", "acme", "tokens", "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == tokens


def test_reservations(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    made = dict.fromkeys(("unit", "amount", "drawn", "meter", "expires_at", "ended_at"), "x")
    made |= {"id": "rs_1", "status": "open"}
    place = "/v1/customers/acme/reservations"
    for path, answer in (("", made), ("/rs_1/settle", made), ("/rs_1/release", made)):
        server.answers[place + path] = (200, answer)
    assert main(["reservations", "make", "acme", "spark", "5", "--meter", "m", "--ttl", "9"]) == 0
    assert main(["reservations", "settle", "acme", "rs_1", "4.5"]) == 0
    assert main(["reservations", "release", "acme", "rs_1"]) == 0
    assert capsys.readouterr().out.count("rs_1") == 3
    sent = [(method, path, json.loads(body or b"null")) for method, path, body, _ in server.asked]
    assert sent == [
        ("POST", place, {"unit": "spark", "amount": "5", "ttl_seconds": 9, "meter": "m"}),
        ("POST", f"{place}/rs_1/settle", {"amount": "4.5"}),
        ("POST", f"{place}/rs_1/release", None),
    ]
    server.answers[place] = (200, {"data": [made], "next_cursor": None})
    assert main(["reservations", "list", "acme", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [made]


def test_invoice_as_text(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    invoice = {
        "number": None,
        "customer": "acme",
        "status": "draft",
        "period": {"start": "2026-06-01T00:00:00Z", "end": "2026-07-01T00:00:00Z"},
        "currency": "USD",
        "total": "0.13",
        "lines": [
            {
                "n": 1,
                "description": "messages",
                "quantity": "3",
                "included": "2",
                "unit_amount": "0.125",
                "unit": "USD",
                "amount": "0.13",
            }
        ],
    }
    server.answers["/v1/customers/acme/invoices/upcoming"] = (200, invoice)
    assert main(["invoice", "upcoming", "acme"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Invoice (upcoming)   acme   2026-06-01 to 2026-07-01   draft"
    assert lines[2].split() == ["1", "messages", "3", "2", "0.125", "USD", "0.13"]
    assert lines[-1].split() == ["Total", "USD", "0.13"]


def test_not_to_say_where_is_misuse(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("METERLINE_URL", raising=False)
    monkeypatch.delenv("METERLINE_LOCAL_DIR", raising=False)
    assert main(["balance", "acme"]) == 2
    assert "where is the system?" in capsys.readouterr().err


def test_the_local_stack_is_found_in_its_file(tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    file.write_text(json.dumps({"url": "http://127.0.0.1:1", "admin_key": "k"}))
    assert (
        Client.from_environment({"METERLINE_LOCAL_DIR": str(tmp_path)}).url == "http://127.0.0.1:1"
    )
    file.write_text("{")
    with pytest.raises(ClientError):
        Client.from_environment({"METERLINE_LOCAL_DIR": str(tmp_path)})


def test_tables_line_up_and_cannot_steer_a_terminal() -> None:
    assert table(["a", "n"], [["long", "1"], ["x", "22"]]) == "a      n\nlong   1\nx     22"
    assert table(["a", "why"], [["x", "long"], ["y", ""]]) == "a  why\nx  long\ny"
    assert printable("a\x1b[2Jb\u202e") == "a?[2Jb?"


def test_event_types_lists_properties_and_their_meters(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    properties = [
        {"name": "tokens", "kinds": ["number", "string"], "meters": ["tokens"]},
        {"name": "region", "kinds": [], "meters": ["tokens"]},
    ]
    seen = {
        "type": "chat",
        "first_seen": "2026-03-01T00:00:02Z",
        "last_seen": "2026-03-09T04:00:00Z",
        "properties": properties,
        "overflow": True,
        "meters": ["tokens"],
    }
    server.answers["/v1/event-types"] = (200, {"data": [seen], "next_cursor": None})
    assert main(["event-types"]) == 0
    _, tokens, region, more = capsys.readouterr().out.splitlines()
    assert tokens.split()[3:] == ["tokens", "number,", "string", "tokens"]
    assert region.split()[3:] == ["region", "never", "seen", "tokens"]
    assert "there were more" in more


def test_meters_are_listed_and_archived(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    meter = {
        "key": "tokens",
        "event_type": "chat",
        "aggregation": "sum",
        "value": "tokens",
        "dimensions": ["model"],
        "filter": {},
        "since": 3,
        "archived_since": None,
    }
    archived = {**meter, "archived_since": 9}
    server.answers["/v1/meters"] = (200, {"data": [meter, archived], "next_cursor": None})
    server.answers["/v1/meters/tokens/archive"] = (200, archived)
    assert main(["meters", "list"]) == 0
    _, live, gone = capsys.readouterr().out.splitlines()
    assert live.split() == ["tokens", "sum", "of", "tokens", "chat", "model", "3"]
    assert gone.endswith("3, archived in 9")
    assert main(["meters", "archive", "tokens"]) == 0
    assert "from catalogue version 9 on" in capsys.readouterr().out
    assert server.asked[-1][:2] == ("POST", "/v1/meters/tokens/archive")


def test_a_backfill_is_ordered_and_told_how_far_it_is(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    backfill = {"state": "running", "customers": None, "done": 0, "events": 0}
    server.answers["/v1/meters/tokens/backfill"] = (202, backfill)
    server.answers["/v1/meters/tokens"] = (200, {"backfill": {**backfill, "customers": 3}})
    assert main(["meters", "backfill", "tokens", "--from", "2026-03-01T00:00:00Z"]) == 0
    assert main(["meters", "backfill", "tokens", "--status"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == "running: 0 of ? customers, 0 events"
    assert second == "running: 0 of 3 customers, 0 events"
    [ordered, _] = server.asked
    assert (ordered[0], json.loads(ordered[2])) == ("POST", {"from": "2026-03-01T00:00:00Z"})
