"""Tables for other programs: every column, no digit lost, no formula run."""

import csv
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.__main__ import main
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

LARGE = "1000000000000.123456789"
USAGE = {
    "data": [
        {
            "start": "2026-03-01T00:00:00Z",
            "end": "2026-03-02T00:00:00Z",
            "value": value,
            "group": {"model": model},
        }
        for value, model in ((LARGE, "=2+5"), ("-0.5", "small"), (None, ""))
    ],
    "rest": None,
}
EVENT = {
    "subject": "acme",
    "source": "app",
    "id": "1",
    "type": "chat",
    "time": "2026-03-01T10:00:00.5Z",
    "received_at": "2026-03-01T10:00:01Z",
    "catalogue_version": 5,
    "status": "accepted",
    "meters": ["messages", "tokens"],
    "invoice": None,
    "data": {"tokens": 7},
    "extensions": {},
}
INVOICE = {
    "id": "inv_1",
    "number": "A-1",
    "customer": "acme",
    "status": "finalized",
    "currency": "USD",
    "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"},
    "lines": [
        {"n": 1, "type": "fee", "description": "Pro", "unit": "USD", "unit_amount": "20"}
        | {"amount": "20.00"},
        {"n": 2, "type": "usage", "description": "Tokens", "meter": "tokens", "quantity": LARGE}
        | {"unit": "USD", "unit_amount": "0.000000001", "amount": "0.00"},
    ],
}


def export(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["export", *arguments]) == 0
    return capsys.readouterr().out


def parquet(file: Path, *arguments: str) -> duckdb.DuckDBPyRelation:
    assert main(["export", *arguments, "--output", "parquet", "--file", str(file)]) == 0
    return duckdb.read_parquet(str(file))


def test_usage_as_csv(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/v1/usage/query"] = (200, USAGE)
    rows = list(csv.reader(io.StringIO(export(capsys, "usage", "tokens", "--group-by", "model"))))
    assert rows[0] == ["start", "end", "model", "kind", "value"]
    told = [["'=2+5", "group", LARGE], ["small", "group", "-0.5"], ["", "group", ""]]
    assert [row[2:] for row in rows[1:]] == told
    assert rows[1][0] == "2026-03-01T00:00:00.000000Z"
    [(_, _, asked, _)] = server.asked
    assert json.loads(asked)["group_by"] == ["model"]


def test_usage_as_parquet(server: type[Recorder], tmp_path: Path) -> None:
    server.answers["/v1/usage/query"] = (200, USAGE)
    found = parquet(tmp_path / "u.parquet", "usage", "tokens", "--group-by", "model")
    zoned = "TIMESTAMP WITH TIME ZONE"
    assert list(map(str, found.types)) == [zoned, zoned, "VARCHAR", "VARCHAR", "DECIMAL(38,12)"]
    values = [value for (value,) in found.project('"value"').fetchall()]
    assert values == [Decimal(LARGE), Decimal("-0.5"), None]


@pytest.mark.parametrize("name", ["start", "end", "kind", "value", "Value"])
def test_a_dimension_called_as_another_column_is_told_apart(
    server: type[Recorder], capsys: pytest.CaptureFixture[str], name: str
) -> None:
    row = {"start": "2026-03-01T00:00:00Z", "end": "2026-03-02T00:00:00Z", "value": "5"}
    server.answers["/v1/usage/query"] = (
        200,
        {"data": [{**row, "group": {name: "x"}}], "rest": None},
    )
    arguments = ["export", "usage", "tokens", "--group-by", name, "--output", "ndjson"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found[f"group_{name}"], found["kind"], found["value"]) == ("x", "group", "5")


def test_no_usage_is_a_table_without_rows(
    server: type[Recorder], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers["/v1/usage/query"] = (200, {"data": [], "rest": None})
    assert export(capsys, "usage", "tokens") == "start,end,value\r\n"
    assert export(capsys, "usage", "tokens", "--output", "ndjson") == ""
    assert parquet(tmp_path / "u.parquet", "usage", "tokens").fetchall() == []


def test_a_number_that_would_be_rounded_is_refused(
    server: type[Recorder], capsys: pytest.CaptureFixture[str]
) -> None:
    row: dict[str, Any] = {**USAGE["data"][0], "value": "0.0000000000001"}
    server.answers["/v1/usage/query"] = (200, {"data": [row], "rest": None})
    assert main(["export", "usage", "tokens", "--group-by", "model"]) == 1
    answered = capsys.readouterr()
    assert (answered.out, "more than 12 decimals" in answered.err) == ("", True)


def test_events_as_lines(server: type[Recorder], capsys: pytest.CaptureFixture[str]) -> None:
    server.answers["/v1/events"] = (200, {"data": [EVENT], "next_cursor": None})
    between = ["--from", "2026-03-01T00:00:00Z", "--to", "2026-04-01T00:00:00Z"]
    told = json.loads(export(capsys, "events", "acme", *between, "--output", "ndjson"))
    assert told == {
        "customer": "acme",
        "source": "app",
        "id": "1",
        "type": "chat",
        "time": "2026-03-01T10:00:00.500000Z",
        "received_at": "2026-03-01T10:00:01.000000Z",
        "catalogue_version": 5,
        "status": "accepted",
        "meters": "messages,tokens",
        "invoice": None,
        "data": '{"tokens":7}',
        "extensions": "{}",
    }


def test_invoice_lines_as_parquet(server: type[Recorder], tmp_path: Path) -> None:
    server.answers["/v1/customers/acme/invoices"] = (200, {"data": [INVOICE], "next_cursor": None})
    found = parquet(tmp_path / "lines.parquet", "invoices", "acme")
    rows = found.project("number, line, quantity, unit_amount, amount").fetchall()
    assert rows == [
        ("A-1", 1, None, Decimal(20), Decimal(20)),
        ("A-1", 2, Decimal(LARGE), Decimal("1e-9"), Decimal(0)),
    ]
