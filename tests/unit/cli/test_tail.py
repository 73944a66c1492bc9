"""`meterline events list` and `tail`: each event once, wherever it appears, with its fate."""

import json
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import ApiError, Client, UnreachableError
from cli.tailing import Tail

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def event(event_id: str, minutes: float = 0, **changes: Any) -> dict[str, Any]:
    return {
        "id": event_id,
        "source": "app",
        "type": "chat",
        "time": (NOON + minutes * MINUTE).isoformat().replace("+00:00", "Z"),
        "data": {"tokens": Decimal("0.1000000000000000055"), "model": "large"},
        "status": "accepted",
        "meters": ["tokens"],
        "uncounted": {},
        "billed": {},
        "late": None,
        "invoice": None,
        **changes,
    }


def newest_first(*events: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(events, key=lambda e: e["time"], reverse=True)


def ids(events: Iterable[Any]) -> list[str]:
    return [e["id"] for e in events]


def test_each_event_is_told_once_and_in_order() -> None:
    tail = Tail(10 * MINUTE)
    one, two, three = event("1"), event("2", 1), event("3", 2)
    assert ids(tail.fresh(newest_first(one, two))) == ["1", "2"]
    assert tail.fresh(newest_first(one, two)) == []
    between = event("late", 0.5)
    assert ids(tail.fresh(newest_first(one, between, two, three))) == ["late", "3"]
    assert tail.fresh([]) == []
    assert tail.fresh(newest_first(one, between, two, three)) == []


def test_what_a_look_found_that_failed_on_its_way_is_told_by_the_next() -> None:
    tail = Tail(10 * MINUTE)
    one, two = event("1"), event("2", 1)

    def failing() -> Iterator[dict[str, Any]]:
        yield two
        raise UnreachableError("no second page")

    with pytest.raises(UnreachableError):
        tail.fresh(failing())
    assert ids(tail.fresh(newest_first(one, two))) == ["1", "2"]


def test_the_same_id_of_another_source_is_another_event() -> None:
    tail = Tail(10 * MINUTE)
    tail.fresh([event("1")])
    assert ids(tail.fresh([event("1"), event("1", source="else")])) == ["1"]


def test_the_list_is_read_as_far_as_the_window_reaches() -> None:
    tail = Tail(10 * MINUTE)
    read = []

    def reading(*events: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for each in newest_first(*events):
            read.append(each["id"])
            yield each

    old, older = event("old", -11), event("older", -12)
    assert ids(tail.fresh(reading(event("new"), old, older))) == ["new"]
    assert read == ["new", "old"]
    # What was forgotten beyond the window is not new again when the newest one is missing.
    tail.fresh([event("newer", 30), event("new")])
    assert tail.fresh([event("new"), old]) == []


def test_what_is_set_aside_afterwards_is_told_again() -> None:
    tail = Tail(10 * MINUTE)
    tail.fresh([event("1")])
    assert ids(tail.fresh([event("1", status="quarantined")])) == ["1"]
    assert tail.fresh([event("1", status="quarantined")]) == []


class Scripted(Client):
    """Answers each look at the list with the next of a script."""

    def __init__(self, *script: list[dict[str, Any]] | Exception) -> None:
        super().__init__("http://here", "key")
        self.script = list(script)
        self.queries: list[Any] = []

    def pages(self, path: str, query: Any = None, *, exact: bool = False) -> Iterator[Any]:
        assert (path, exact) == ("/v1/events", True)
        self.queries.append(query)
        if not self.script:
            raise KeyboardInterrupt
        look = self.script.pop(0)
        if isinstance(look, Exception):
            raise look
        return iter(look)


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    naps: list[float] = []
    monkeypatch.setattr(time, "sleep", naps.append)
    return naps


def run(monkeypatch: pytest.MonkeyPatch, client: Client, *arguments: str) -> int:
    monkeypatch.setattr(Client, "from_environment", lambda: client)
    return main(["events", *arguments])


def test_a_tail_begins_with_some_lines_and_goes_on_until_interrupted(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], naps: list[float]
) -> None:
    known = newest_first(*(event(str(n), n) for n in range(5)))
    away = UnreachableError("away")
    client = Scripted(known, away, ApiError(503, {}), newest_first(event("5", 5), *known))
    options = ["--type", "chat", "--lines", "2", "--interval", "3s", "--json"]
    assert run(monkeypatch, client, "tail", "acme", *options) == 130
    printed = capsys.readouterr()
    assert [json.loads(text)["id"] for text in printed.out.splitlines()] == ["3", "4", "5"]
    assert '"tokens":0.1000000000000000055' in printed.out
    assert printed.err == "away; still trying\n503; still trying\n"
    assert naps == [3.0] * 4
    assert client.queries[0]["customer"] == "acme"
    assert client.queries[0]["type"] == "chat"


def test_a_tail_that_is_refused_ends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], naps: list[float]
) -> None:
    refused = ApiError(401, {"code": "unauthorized", "detail": "No."})
    assert run(monkeypatch, Scripted([], refused), "tail", "acme") == 1
    assert "401 unauthorized" in capsys.readouterr().err
    assert run(monkeypatch, Scripted(UnreachableError("away")), "tail", "acme") == 3


def test_a_list_in_each_form(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = event("=1+1", data={"a\x1b[2J": "=cmd()"}, meters=[])
    found = [event("1"), evil | {"uncounted": {"tokens": "no-value"}}]
    assert run(monkeypatch, Scripted(found), "list", "acme", "--limit", "2") == 0
    table = capsys.readouterr().out
    assert "tokens=0.1000000000000000055, model=large" in table
    assert "\x1b" not in table
    assert "not counted (tokens: no-value)" in table
    assert run(monkeypatch, Scripted(found), "list", "acme", "--output", "csv") == 0
    assert ",'=1+1,app," in capsys.readouterr().out
    assert run(monkeypatch, Scripted(found), "list", "acme", "--json", "--limit", "1") == 0
    [only] = json.loads(capsys.readouterr().out)
    assert only["id"] == "1"
    assert run(monkeypatch, Scripted([]), "list", "acme") == 0
    assert capsys.readouterr().out == "no events\n"


@pytest.mark.parametrize(
    "options", [["--interval", "2"], ["--window", "1000d"], ["--lines", "0"], ["--window", "-1s"]]
)
def test_spans_and_numbers_are_checked(options: list[str]) -> None:
    with pytest.raises(SystemExit) as misuse:
        main(["events", "tail", "acme", *options])
    assert misuse.value.code == 2
