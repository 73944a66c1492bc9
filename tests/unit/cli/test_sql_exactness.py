"""Answers from the archive keep digits that a double has no room for: every test fails with one."""

import csv
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cli.__main__ import main
from cli.archives import Folder
from shared.services.archive import event_line, write
from tests.support.builders import HOUR, MARCH, usage

# Beyond 2**53, where these nine are one double.
BEYOND = "9007199254740993.12345678901"
VALUES = [Decimal(f"{BEYOND}{last}") for last in (7, 1, 9, 3, 5, 2, 8, 4, 6)]
SMALL = Decimal("0.000000000001")
TOTAL = "81064793292668938.111111101136"  # done by hand: more digits than Python adds by itself
TOKENS = "CAST(element_at(properties, 'tokens') AS DECIMAL(38, 12))"
EVERY = f"SELECT id, {TOKENS} AS tokens FROM events ORDER BY id"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Ten events: nine great values in no order, and a small one."""
    events = [
        usage("acme", str(number), MARCH + number * HOUR, {"tokens": value})
        for number, value in enumerate([*VALUES, SMALL])
    ]
    folder = Folder(tmp_path / "archive")
    write(folder, map(event_line, events))
    return folder.path


def ask(archive: Path, query: str, output: str) -> Path:
    """The answer in a file of its own."""
    file = archive.parent / f"answer.{output}"
    options = ["--archive", str(archive), "--output", output, "--file", str(file)]
    assert main(["sql", query, *options]) == 0
    return file


def told(archive: Path, query: str) -> list[Any]:
    with ask(archive, query, "csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))[1:]


def test_every_value_comes_through_csv_and_back(archive: Path) -> None:
    rows = told(archive, EVERY)
    assert [Decimal(value) for _, value in rows] == [*VALUES, SMALL]


def test_every_value_comes_through_parquet_and_back(archive: Path) -> None:
    found = duckdb.read_parquet(str(ask(archive, EVERY, "parquet")))
    assert str(found.types[1]) == "DECIMAL(38,12)"
    assert [value for _, value in found.fetchall()] == [*VALUES, SMALL]
    [[total]] = found.aggregate("sum(tokens)").fetchall()
    assert total == Decimal(TOTAL)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (f"sum({TOKENS})", TOTAL),
        (f"max({TOKENS}) - min({TOKENS})", f"{BEYOND}8"),
        (f"count(DISTINCT {TOKENS})", "10"),
        (f"min_by(id, {TOKENS}) FILTER (WHERE {TOKENS} > 1)", "1"),
        (f"max_by(id, {TOKENS})", "2"),
        (f"count(*) FILTER (WHERE {TOKENS} > {BEYOND}5)", "4"),
    ],
)
def test_what_is_aggregated_is_exact(archive: Path, asked: str, answer: str) -> None:
    assert told(archive, f"SELECT {asked} AS x FROM events") == [[answer]]


@pytest.mark.parametrize(
    ("rank", "last"), [("(n + 1) / 2", 4), ("(9 * n + 9) / 10", 8), ("n", 9), ("2", 1)]
)
def test_a_percentile_is_the_value_of_its_rank(archive: Path, rank: str, last: int) -> None:
    """Of ten values: the small one, then those that end in 1 to 9."""
    query = (
        f"WITH ranked AS (SELECT {TOKENS} AS x, row_number() OVER (ORDER BY {TOKENS}) AS rank, "
        f"count(*) OVER () AS n FROM events) SELECT x FROM ranked WHERE rank = {rank}"
    )
    assert told(archive, query) == [[f"{BEYOND}{last}"]]


def test_values_are_joined_by_every_digit(archive: Path) -> None:
    query = (
        f"WITH told AS (SELECT id, {TOKENS} AS x FROM events) SELECT a.id, b.id AS other "
        "FROM told AS a JOIN told AS b ON a.x = b.x ORDER BY 1"
    )
    assert told(archive, query) == [[str(number), str(number)] for number in range(10)]


@pytest.mark.parametrize("asked", [f"avg({TOKENS})", f"sum({TOKENS}) / count(*)"])
def test_averages_and_quotients_are_the_doubles_that_the_docs_say_they_are(
    archive: Path, asked: str
) -> None:
    file = ask(archive, f"SELECT {asked} AS x FROM events", "parquet")
    assert list(map(str, duckdb.read_parquet(str(file)).types)) == ["DOUBLE"]
