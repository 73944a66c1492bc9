"""Questions to an archive's files, and answers in every form."""

import csv
import gzip
import io
import json
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.__main__ import main
from cli.archives import Days, Folder, archived_events
from cli.client import ClientError
from shared.domain.events import UsageEvent, canonical_json, time_text
from shared.services.archive import ArchiveLine, event_line, write
from tests.support.builders import DAY, HOUR, MARCH, usage

LARGE = "1000000000000.123456789"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Five events in two days, two of them in two files."""
    events = [
        usage("=acme", "1", MARCH, {"tokens": Decimal(LARGE), "Model": "größer"}),
        usage("=acme", "2", MARCH + HOUR, {"tokens": Decimal("0.1"), "Model": "small"}),
        usage("=acme", "3", MARCH + HOUR, {"tokens": Decimal("-0.1"), "model": "tiny"}),
        usage("bell", "1", MARCH + DAY, {"tokens": "7", "Model": None}),
        usage("bell", "2", MARCH + DAY, {"tokens": "many"}),
    ]
    folder = Folder(tmp_path / "archive")
    write(folder, map(event_line, events))
    write(folder, map(event_line, events[:2]))
    return folder.path


def ask(
    capsys: pytest.CaptureFixture[str], archive: Path, query: str, *options: str
) -> list[dict[str, Any]]:
    """The rows, as JSON has them."""
    arguments = ["sql", query, "--archive", str(archive), "--output", "json", *options]
    assert main(arguments) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_each_event_is_there_once_and_each_line_as_often_as_it_was_written(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT (SELECT count(*) FROM events) AS once, count(*) AS lines FROM archived_events"
    assert ask(capsys, archive, query) == [{"once": 5, "lines": 7}]


@pytest.mark.parametrize("damage", ["cut short", "changed", "no gzip"])
def test_a_damaged_file_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    whole = gzip.compress(b"\n" * 5000)
    changed = whole[:12] + bytes(byte ^ 0xFF for byte in whole[12:])
    file = tmp_path / "events.ndjson.gz"
    file.write_bytes({"cut short": whole[:-5], "changed": changed, "no gzip": b"x"}[damage])
    with pytest.raises(ClientError, match="is no file of the archive"):
        list(archived_events(file))
    assert main(["sql", "SELECT 1 AS one", "--events", str(file)]) == 1
    assert f"{file} is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("output", ["table", "json", "csv", "parquet"])
def test_columns_of_one_name_are_refused_and_never_mixed_up(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    file = tmp_path / "answer"
    query = "SELECT 1 AS one, 'a' AS x, 'b' AS X"
    arguments = ["sql", query, "--archive", str(archive), "--output", output, "--file", str(file)]
    assert main(arguments) == 2
    assert "several columns are called x" in capsys.readouterr().err
    assert not file.exists()


def test_the_most_corrected_line_stands_for_an_event(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = usage("bell", "1", MARCH + DAY, {"tokens": Decimal(9)})
    for corrections in (2, 1):
        told = json.loads(event_line(first).text)
        told |= {"corrections": corrections, "properties": {"tokens": str(corrections)}}
        line = ArchiveLine(event_line(first).partition, json.dumps(told).encode())
        write(Folder(archive), [line])
    query = (
        "SELECT corrections, element_at(properties, 'tokens') AS tokens FROM events "
        "WHERE customer = 'bell' AND id = '1'"
    )
    assert ask(capsys, archive, query) == [{"corrections": 2, "tokens": "2"}]
    every = (
        "SELECT corrections FROM archived_events WHERE customer = 'bell' AND id = '1' ORDER BY 1"
    )
    assert [row["corrections"] for row in ask(capsys, archive, every)] == [0, 1, 2]


def test_sums_lose_no_digit_and_what_is_no_number_counts_for_nothing(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = (
        "SELECT customer, sum(TRY_CAST(element_at(properties, 'tokens') AS DECIMAL(38, 9))) AS n "
        "FROM events GROUP BY customer ORDER BY customer"
    )
    assert ask(capsys, archive, query) == [
        {"customer": "=acme", "n": LARGE},
        {"customer": "bell", "n": "7"},
    ]


def test_names_keep_their_case_and_what_is_missing_is_null(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = (
        "SELECT element_at(properties, 'Model') AS a, element_at(properties, 'model') AS b "
        "FROM events ORDER BY customer, id"
    )
    rows = ask(capsys, archive, query)
    assert [row["a"] for row in rows] == ["größer", "small", None, None, None]
    assert [row["b"] for row in rows] == [None, None, "tiny", None, None]


def test_times_are_text_that_sorts_and_can_be_taken_into_a_zone(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = (
        "SELECT date_trunc('day', from_iso8601_timestamp(occurred_at) AT TIME ZONE 'America/Lima') "
        "AS local_day, count(*) AS n FROM events WHERE occurred_at >= '2026-03-01T01' "
        "GROUP BY 1 ORDER BY 1"
    )
    rows = ask(capsys, archive, query)
    assert [(row["local_day"][:10], row["n"]) for row in rows] == [
        ("2026-02-28", 2),
        ("2026-03-01", 2),
    ]


def test_days_outside_the_range_are_not_read(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [broken] = (archive / "events" / "dt=2026-03-02").iterdir()
    broken.write_bytes(b"no gzip")
    query = "SELECT count(*) AS n FROM events"
    assert ask(capsys, archive, query, "--to", "2026-03-02") == [{"n": 3}]
    assert main(["sql", query, "--archive", str(archive)]) == 1
    assert "error: " in capsys.readouterr().err


def test_a_broken_line_is_an_error_not_a_gap(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = archive / "events" / "dt=2026-03-02" / "broken.ndjson.gz"
    file.write_bytes(gzip.compress(b'{"customer": "bell", \n'))
    assert main(["sql", "SELECT * FROM events", "--archive", str(archive)]) == 1
    assert "error: " in capsys.readouterr().err


def test_csv_runs_no_formula_and_leaves_numbers_alone(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = "SELECT customer, CAST(element_at(properties, 'tokens') AS DECIMAL(38, 9)) AS tokens "
    query += "FROM events WHERE customer = '=acme' ORDER BY id"
    assert main(["sql", query, "--archive", str(archive), "--output", "csv"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows == [
        ["customer", "tokens"],
        ["'=acme", LARGE],
        ["'=acme", "0.1"],
        ["'=acme", "-0.1"],
    ]


def test_parquet_keeps_types(archive: Path, tmp_path: Path) -> None:
    file = tmp_path / "answer.parquet"
    query = "SELECT id, CAST(element_at(properties, 'tokens') AS DECIMAL(38, 9)) AS tokens, "
    query += "from_iso8601_timestamp(occurred_at) AS at FROM events WHERE customer = '=acme'"
    options = ["--output", "parquet", "--file", str(file)]
    assert main(["sql", query, "--archive", str(archive), *options]) == 0
    found = duckdb.read_parquet(str(file))
    assert list(map(str, found.types)) == ["VARCHAR", "DECIMAL(38,9)", "TIMESTAMP WITH TIME ZONE"]
    [[largest]] = found.aggregate("max(tokens)").fetchall()
    assert largest == Decimal(LARGE)


@pytest.mark.parametrize(
    "query", ["", "DROP VIEW events", "SELECT 1; SELECT 2", "COPY events TO 'x'", "ATTACH 'x'"]
)
def test_anything_but_one_select_is_refused(
    archive: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    assert main(["sql", query, "--archive", str(archive)]) == 2
    assert capsys.readouterr().err == "error: ask one SELECT\n"


def test_parquet_needs_a_file_and_an_archive_must_be_there(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sql", "SELECT 1", "--archive", str(archive), "--output", "parquet"]) == 2
    assert main(["sql", "SELECT 1", "--archive", str(archive / "nowhere")]) == 2
    assert "is no folder" in capsys.readouterr().err


def test_an_error_half_way_leaves_no_half_of_an_answer(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "answer.csv"
    query = "SELECT CAST(element_at(properties, 'tokens') AS BIGINT) FROM events"
    options = ["--output", "csv", "--file", str(file)]
    assert main(["sql", query, "--archive", str(archive), *options]) == 1
    assert "many" in capsys.readouterr().err
    assert not file.exists()


def test_an_archive_without_files_has_no_events(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(capsys, tmp_path, "SELECT count(*) AS n, max(dt) AS dt FROM events") == [
        {"n": 0, "dt": None}
    ]


def exported(events: Sequence[UsageEvent]) -> str:
    """The lines that `events export` prints."""
    views = [
        {
            "subject": e.customer,
            "source": e.source,
            "id": e.id,
            "type": e.type,
            "time": time_text(e.occurred_at),
            "received_at": time_text(e.received_at),
            "catalogue_version": e.catalogue_version,
            "data": e.data,
            "extensions": e.extensions,
            "status": "accepted",
            "late": None,
        }
        for e in events
    ]
    return "".join(canonical_json(each) + "\n" for each in views)


def test_exported_events_can_be_asked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "events.ndjson"
    file.write_text(exported([usage("acme", n, MARCH, {"gb": Decimal(LARGE)}) for n in range(2)]))
    query = "SELECT sum(CAST(element_at(properties, 'gb') AS DECIMAL(38, 9))) AS gb FROM events"
    assert main(["sql", query, "--events", str(file), "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"gb": "2000000000000.246913578"}]


def test_a_file_that_was_being_written_is_not_read(archive: Path) -> None:
    partial = archive / "events" / "dt=2026-03-01" / ".x.ndjson.gz.17"
    partial.write_bytes(b"half")
    assert partial not in Folder(archive).files(Days())


PAGE = (Path(__file__).parents[3] / "docs" / "archive.md").read_text()
SUBSET = PAGE.partition("## SQL that runs in both")[2]
CELLS = re.findall(r"^\| [a-z ]+ \| `([^`]+)`", SUBSET, re.MULTILINE)


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_of_the_page_run(
    archive: Path, capsys: pytest.CaptureFixture[str], query: str
) -> None:
    ask(capsys, archive, query)


@pytest.mark.parametrize("cell", CELLS)
def test_the_expressions_of_the_page_mean_something(
    archive: Path, capsys: pytest.CaptureFixture[str], cell: str
) -> None:
    assert len(CELLS) == 6
    value = cell if "approx" in cell else f"max({cell})"
    [row] = ask(capsys, archive, f"SELECT {value} AS x FROM events WHERE customer = '=acme'")
    assert row["x"]
