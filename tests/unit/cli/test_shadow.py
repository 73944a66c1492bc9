"""`meterline shadow`: totals are read, sent and shown; an incumbent's are pulled."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import ApiError, Client
from tests.unit.cli.test_commands import Recorder, server  # noqa: F401

SPAN = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"}


def row(customer: str, theirs: str, ours: str | None, **more: object) -> dict[str, object]:
    return {
        "customer": customer,
        "meter": "tokens",
        **SPAN,
        "theirs": theirs,
        "ours": ours,
        "equal": theirs == ours,
        "difference": "-2",
        "unexplained": "0",
        "reasons": [],
        "complete": True,
        **more,
    }


def test_what_differs_is_shown_and_is_no_success(
    server: type[Recorder],  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    reasons = [{"code": "quarantined", "events": 1, "quantity": "2"}]
    data = [row("ada", "5", "5"), row("bob", "7", "5", reasons=reasons), row("eve", "2", None)]
    server.answers["/v1/shadow/compare"] = (200, {"equal": 1, "different": 2, "data": data})
    file = tmp_path / "totals.csv"
    lines = [f"{c},tokens,{SPAN['from']},{SPAN['to']},5.10" for c in ("ada", "bob", "eve")]
    file.write_text("\n".join(["customer,meter,from,to,value", *lines]))
    assert main(["shadow", "compare", str(file)]) == 1
    shown = capsys.readouterr()
    assert "ada" not in shown.out
    assert "quarantined ×1" in shown.out
    assert "unknown customer" in shown.out
    assert shown.err == "1 equal, 2 different\n"
    [(_, _, body, _)] = server.asked
    assert json.loads(body)["totals"][0] == {
        "customer": "ada",
        "meter": "tokens",
        **SPAN,
        "value": "5.10",
    }
    server.answers["/v1/shadow/compare"] = (200, {"data": data[:1]})
    assert main(["shadow", "compare", str(file), "--all", "--output", "csv"]) == 0
    assert "ada,tokens" in capsys.readouterr().out


def test_a_refused_total_is_named_by_its_place_in_the_whole_file(
    server: type[Recorder],  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Client, "call", refuse_meters(Client.call))
    data = [row("ada", "5", "5")] * 50
    server.answers["/v1/shadow/compare"] = (200, {"data": data})
    file = tmp_path / "totals.csv"
    meters = ["tokens"] * 53 + ["tokns"]
    lines = [f"ada,{meter},{SPAN['from']},{SPAN['to']},5" for meter in meters]
    file.write_text("\n".join(["customer,meter,from,to,value", *lines]))
    assert main(["shadow", "compare", str(file)]) == 1
    shown = capsys.readouterr()
    assert "/totals/53/meter  unknown-meter" in shown.err
    assert shown.out == ""


def refuse_meters(call: Callable[..., Any]) -> Callable[..., Any]:
    """The client's call, answered like the API where a meter is unknown."""

    def called(client: Client, method: str, place: str, *, body: Any) -> Any:
        wrong = [n for n, total in enumerate(body["totals"]) if total["meter"] != "tokens"]
        errors = [{"pointer": f"/totals/{n}/meter", "code": "unknown-meter"} for n in wrong]
        if errors:
            raise ApiError(422, {"code": "invalid", "detail": "Refused.", "errors": errors})
        return call(client, method, place, body=body)

    return called


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\xff,tokens,a,b,1", "line 2 is not UTF-8"),
        (b"ada,tokens,a,b", "line 2 has another number of cells"),
        (b"ada,tokens,a,b,1,2", "line 2 has another number of cells"),
        (b'"ada"x,tokens,a,b,1', "line 2 is not CSV"),
    ],
)
def test_a_line_that_is_no_total_is_named(
    server: type[Recorder],  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    line: bytes,
    said: str,
) -> None:
    file = tmp_path / "totals.csv"
    file.write_bytes(b"customer,meter,from,to,value\n" + line)
    assert main(["shadow", "compare", str(file)]) == 2
    assert said in capsys.readouterr().err
    assert server.asked == []


def test_a_file_without_a_column_is_misuse(
    server: type[Recorder],  # noqa: F811
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "totals.csv"
    file.write_text("customer,meter\na,b\n")
    assert main(["shadow", "compare", str(file)]) == 2
    assert "no column from, to, value" in capsys.readouterr().err


INCUMBENTS = {
    "openmeter": (
        "/api/v1/meters/tokens_total/query",
        {"data": [{"subject": "ada", "value": 5.25}]},
        ("authorization", "Bearer KEY"),
    ),
    "amberflo": (
        "/usage/",
        {"clientMeters": [{"group": {"groupInfo": {"customerId": "ada"}}, "groupValue": 5.25}]},
        ("x-api-key", "KEY"),
    ),
}


@pytest.mark.parametrize("incumbent", INCUMBENTS)
def test_an_incumbents_totals_become_a_file(
    server: type[Recorder],  # noqa: F811
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    incumbent: str,
) -> None:
    url = os.environ["METERLINE_URL"]
    monkeypatch.delenv("METERLINE_URL")
    place, answer, credential = INCUMBENTS[incumbent]
    server.answers[place] = (200, answer)
    options = ["--incumbent-url", url, "--incumbent-key", "KEY"]
    options += ["--incumbent-meter", "tokens_total", "--from", SPAN["from"], "--to", SPAN["to"]]
    assert main(["shadow", "pull", incumbent, "tokens", *options]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "customer,meter,from,to,value",
        f"ada,tokens,{SPAN['from']},{SPAN['to']},5.25",
    ]
    [(_, _, _, headers)] = server.asked
    assert credential in {name.lower(): value for name, value in headers.items()}.items()
