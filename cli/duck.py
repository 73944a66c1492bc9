"""DuckDB as this command uses it: no network, no extensions from elsewhere, time in UTC."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from shared.services import archive

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

VIEW_SQL = Path(archive.__file__).with_name("archive_events.sql")
# The columns of an archived line, in the types that Athena is told of as well.
COLUMNS = {
    "customer": "VARCHAR",
    "source": "VARCHAR",
    "id": "VARCHAR",
    "type": "VARCHAR",
    "occurred_at": "VARCHAR",
    "received_at": "VARCHAR",
    "recorded_at": "VARCHAR",
    "catalogue_version": "BIGINT",
    "corrections": "BIGINT",
    "data": "VARCHAR",
    "properties": "MAP(VARCHAR, VARCHAR)",
    "extensions": "MAP(VARCHAR, VARCHAR)",
}
# Athena's functions that DuckDB names otherwise, or that mean something else there.
MACROS = """
CREATE MACRO element_at(map, key) AS map_extract_value(map, key);
CREATE MACRO from_iso8601_timestamp(text) AS CAST(text AS TIMESTAMPTZ);
CREATE MACRO approx_distinct(value) AS approx_count_distinct(value);
"""


def connect() -> "DuckDBPyConnection":
    """An empty database in memory."""
    # It takes a tenth of a second to load, which other commands need not wait for.
    import duckdb  # noqa: PLC0415

    connection = duckdb.connect(
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    )
    connection.execute("SET timezone = 'UTC'")
    connection.execute("SET integer_division = true")  # As Athena has it: 7 / 2 is 3.
    return connection


def connect_archive(files: Sequence[Path]) -> "DuckDBPyConnection":
    """A database with `archived_events`, the lines of the files, and `events`, each event once."""
    connection = connect()
    connection.execute(MACROS)
    if files:
        lines = connection.read_json(
            [str(file) for file in files],
            columns=COLUMNS,
            format="newline_delimited",
            hive_partitioning=True,
            hive_types_autocast=False,
        )
        lines.create_view("archived_events")
    else:
        columns = ", ".join(f"{name} {type_}" for name, type_ in COLUMNS.items())
        connection.execute(f"CREATE TABLE archived_events ({columns}, dt VARCHAR)")
    connection.execute(f"CREATE VIEW events AS {VIEW_SQL.read_text()}")
    return connection
