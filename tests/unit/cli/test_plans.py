"""Migrations from the command line, every page under one key; the end of a recurring add-on."""

import json
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import Client
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

MOVE = {
    "customer": "ada",
    "from_version": 3,
    "state": "moved",
    "at": "2026-03-22T00:00:00Z",
    "currency": "USD",
    "invoice": {"credited": "10", "charged": "20", "total": "10"},
    "next_fee": {"before": "31", "after": "62"},
    "included": [{"unit": "meter:tokens", "before": "100", "after": "500"}],
}
REFUSED = {"customer": "bob", "code": "change-scheduled", "detail": "Another change."}
PLACE = "/v1/plans/pro/migrations"


def test_a_preview_shows_the_effect_on_each(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    page = {"counts": {"moved": 1, "scheduled": 0, "refused": 1}, "data": [MOVE]}
    server.answers[PLACE] = (200, {**page, "refused": [REFUSED], "next_cursor": None})
    options = ["--from-version", "3", "--segment", "beta", "--at", "now", "--preview"]
    assert main(["plans", "migrate", "pro", *options]) == 1
    out = capsys.readouterr().out
    assert "10 USD   31 -> 62  meter:tokens 100 -> 500" in out
    assert "refused: change-scheduled: Another change." in out
    assert "1 would be moved, 0 would be scheduled, 1 would be refused" in out
    [(_, _, body, headers)] = server.asked
    wanted = {"preview": True, "from_versions": [3], "segment": "beta", "at": "now"}
    assert json.loads(body) == wanted
    assert len(headers["Idempotency-Key"]) == 36


def test_a_recurring_add_on_is_cancelled(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    held = {"add_on": "extra", "version": 1, "quantity": 2, "ends_at": "2026-04-01T00:00:00Z"}
    server.answers["/v1/customers/ada/add-ons/extra/cancel"] = (200, {"add_ons": [held]})
    assert main(["add-ons", "cancel", "ada", "extra"]) == 0
    assert "extra   1        2         2026-04-01T00:00:00Z" in capsys.readouterr().out
    assert len(server.asked[0][3]["Idempotency-Key"]) == 36


def test_every_page_is_asked_for_under_one_key(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = {"counts": {"moved": 1, "scheduled": 0, "refused": 0}, "data": [MOVE], "refused": []}
    answers = iter([{**page, "next_cursor": "c2"}, {**page, "next_cursor": None}])
    asked: list[dict[str, Any]] = []

    def call(self: Client, method: str, path: str, **more: Any) -> Any:
        asked.append({"call": (method, path), **more})
        return next(answers)

    monkeypatch.setenv("METERLINE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("METERLINE_API_KEY", "ml_local_x_y")
    monkeypatch.setattr(Client, "call", call)
    assert main(["plans", "migrate", "pro", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["moved"] == 2
    assert [each["call"] for each in asked] == [("POST", PLACE)] * 2
    assert [each["query"] for each in asked] == [{}, {"cursor": "c2"}]
    assert len({each["headers"]["Idempotency-Key"] for each in asked}) == 1
