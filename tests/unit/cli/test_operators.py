"""Customers, subscriptions and the ledger from the command line, and how every command fails."""

import json
from typing import Any

import pytest

from cli.__main__ import build_parser, leaves, main
from cli.client import Client
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

ADA = {
    "key": "ada",
    "name": "Ada",
    "email": None,
    "currency": "USD",
    "timezone": "UTC",
    "traits": {"plan": "gold", "old": "1"},
    "test_clock": "clk_1",
    "created_at": "2026-01-01T00:00:00Z",
    "archived_at": None,
}


@pytest.fixture(autouse=True)
def every_method(server: type[Recorder], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "do_PUT", server.do_GET, raising=False)


def test_a_profile_keeps_what_is_not_named(server: type[Recorder]) -> None:
    server.answers["/v1/customers/ada"] = (200, ADA)
    changes = ["--email", "a@b.c", "--name", "", "--trait", "old=", "--trait", "segment=x=y"]
    assert main(["customers", "put", "ada", *changes]) == 0
    assert [method for method, *_ in server.asked] == ["GET", "PUT"]
    assert json.loads(server.asked[1][2]) == {
        "name": None,
        "email": "a@b.c",
        "currency": "USD",
        "timezone": "UTC",
        "traits": {"plan": "gold", "segment": "x=y"},
    }


def test_a_new_customer_is_only_what_is_named(
    server: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    class New(Client):
        def call(self, method: str, path: str, **options: Any) -> Any:
            if method == "PUT":
                server.answers[path] = (200, ADA)
            return super().call(method, path, **options)

    url = New.from_environment().url
    monkeypatch.setattr(Client, "from_environment", lambda: New(url, "k"))
    assert main(["customers", "put", "ada", "--test-clock", "clk_1"]) == 0
    assert json.loads(server.asked[1][2]) == {"test_clock": "clk_1", "traits": {}}


def test_customers_in_each_form(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    others = [{**ADA, "key": key, "name": "@SUM(1)"} for key in ("bob", "cyd")]
    server.answers["/v1/customers"] = (200, {"data": [ADA, *others], "next_cursor": None})
    assert main(["customers", "list", "--limit", "2"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "key",
        "ada",
        "bob",
    ]
    assert main(["customers", "list", "--output", "csv"]) == 0
    assert '\r\nbob,\'@SUM(1),,USD,UTC,"plan=gold, old=1",\r\n' in capsys.readouterr().out
    assert main(["customers", "list", "--json"]) == 0
    assert [customer["key"] for customer in json.loads(capsys.readouterr().out)] == [
        "ada",
        "bob",
        "cyd",
    ]


def test_archiving_is_a_money_write(server: type[Recorder]) -> None:
    server.answers["/v1/customers/a%2Fb/archive"] = (200, ADA)
    assert main(["customers", "archive", "a/b"]) == 0
    assert len(server.asked[0][3]["Idempotency-Key"]) == 36


def test_a_conversion_is_shown_and_confirmed(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    asked = {"status": "asked", "cause": "choice", "payment_method": None}
    asked |= {"asked_at": "2026-01-01T00:00:00Z", "expires_at": "2026-02-01T00:00:00Z"}
    answer = {"customer": "ada", "plan": "free", "converts_to": "pro", "conversion": asked}
    server.answers["/v1/customers/ada/conversion"] = (200, answer)
    assert main(["conversion", "show", "ada"]) == 0
    assert "choice" in capsys.readouterr().out
    assert main(["conversion", "start", "ada"]) == 0
    assert main(["conversion", "decline", "ada"]) == 0
    method = ["--provider", "stripe", "--reference", "pm_1"]
    assert main(["conversion", "confirm", "ada", *method]) == 0
    bodies = [json.loads(body) for _, _, body, _ in server.asked[1:]]
    paid_by = {"provider": "stripe", "reference": "pm_1"}
    assert bodies == [
        {"action": "start"},
        {"action": "decline"},
        {"action": "confirm", "payment_method": paid_by},
    ]
    assert len({headers["Idempotency-Key"] for *_, headers in server.asked[1:]}) == 3


def test_a_subscription_is_shown_and_changed(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    change = {"plan": "free", "plan_version": 2, "at": "2026-02-01T00:00:00Z"}
    change |= {"quantity": 2, "paused": False}
    period = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    found = {"customer": "ada", "plan": "pro", "plan_version": 3, "currency": "USD"}
    answer = {**found, "period": period, "next_change": change, "credit": "0"}
    answer |= {"quantity": 3, "phase": {"state": "active"}}
    server.answers["/v1/customers/ada/subscription"] = (200, answer)
    assert main(["subscription", "show", "ada"]) == 0
    assert "free v2, 2 seats, at 2026-02-01T00:00:00Z" in capsys.readouterr().out
    assert main(["subscription", "change", "ada", "pro", "--at", "now"]) == 0
    assert main(["subscription", "cancel", "ada"]) == 0
    assert main(["subscription", "change", "ada", "--quantity", "4"]) == 0
    assert main(["subscription", "pause", "ada", "--at", "period_end"]) == 0
    assert main(["subscription", "resume", "ada"]) == 0
    bodies = [json.loads(body) for _, _, body, _ in server.asked[1:]]
    assert bodies == [
        {"action": "change", "plan": "pro", "at": "now"},
        {"action": "cancel"},
        {"action": "change", "quantity": 4},
        {"action": "pause", "at": "period_end"},
        {"action": "resume"},
    ]
    assert all("Idempotency-Key" in headers for *_, headers in server.asked[1:])


def test_the_ledger_as_a_table(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    entry = {
        "at": "2026-01-01T00:00:00Z",
        "kind": "usage",
        "cause": {"batch": "7"},
        "changes": [{"unit": "spark", "grant": "g", "amount": "-0.5"}],
        "balance_after": "1.5",
    }
    server.answers["/v1/customers/ada/ledger"] = (200, {"data": [entry], "next_cursor": None})
    assert main(["ledger", "ada", "--unit", "spark", "--order", "desc"]) == 0
    row = capsys.readouterr().out.splitlines()[1]
    assert row.split() == ["2026-01-01T00:00:00Z", "usage", "batch=7", "-0.5", "spark", "1.5"]
    assert "unit=spark&order=desc" in server.asked[0][1]
    assert main(["ledger", "ada", "--output", "csv"]) == 0
    assert ",'-0.5 spark,1.5\r\n" in capsys.readouterr().out


def test_options_say_where_before_variables_do(
    server: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = Client.from_environment().url
    monkeypatch.setenv("METERLINE_URL", "http://127.0.0.1:1")
    server.answers["/v1/customers/ada"] = (200, ADA)
    assert main(["customers", "show", "ada", "--url", url, "--key", "mine"]) == 0
    assert server.asked[0][3]["Authorization"] == "Bearer mine"


@pytest.mark.parametrize(
    ("answer", "exit_status", "words"),
    [
        ((404, {"code": "not-found", "detail": "No such."}), 1, "404 not-found: No such."),
        ((500, {"message": "Internal Server Error"}), 3, "500: Internal Server Error"),
        ((413, ["?"]), 1, "413"),
        ((200, "<html>"), 3, "is not Meterline"),
    ],
)
def test_failures_are_told_in_a_line(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
    answer: tuple[int, Any],
    exit_status: int,
    words: str,
) -> None:
    server.answers["/v1/customers/ada"] = answer
    assert main(["customers", "show", "ada"]) == exit_status
    printed = capsys.readouterr()
    assert (printed.out, words in printed.err) == ("", True)
    assert "Traceback" not in printed.err


def test_nobody_there_is_status_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("urllib3.util.retry.time.sleep", lambda _: None)
    assert main(["customers", "show", "ada", "--url", "http://127.0.0.1:1"]) == 3
    assert capsys.readouterr().err.endswith("Connection refused\n")
    assert main(["customers", "show", "ada", "--url", "nowhere://x"]) == 3
    assert main(["customers", "show", "ada", "--key", "line\nbreak"]) == 2


def test_every_command_says_what_it_is_for(capsys: pytest.CaptureFixture[str]) -> None:
    for words, leaf in leaves(build_parser()):
        assert leaf.description, words
    with pytest.raises(SystemExit) as end:
        main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("meterline 0.")
