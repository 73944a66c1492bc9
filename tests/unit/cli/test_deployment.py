"""Where commands that work with AWS credentials find the table and the bucket."""

from pathlib import Path

import pytest

from cli.__main__ import main
from cli.archives import cache_folder
from cli.deployment import deployment


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither variables nor a local stack."""
    for name in ("EVENTS_TABLE", "ARCHIVE_BUCKET", "METERLINE_ARCHIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("METERLINE_LOCAL_DIR", str(tmp_path))


def test_the_variables_name_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_TABLE", "events")
    monkeypatch.setenv("ARCHIVE_BUCKET", "bucket")
    place = deployment()
    assert (place.events_table, place.bucket) == ("events", "bucket")


@pytest.mark.parametrize("named", [(), ("EVENTS_TABLE",), ("ARCHIVE_BUCKET",)])
def test_one_of_them_is_not_enough(
    named: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in named:
        monkeypatch.setenv(name, "given")
    assert main(["archive", "check"]) == 2
    assert "set EVENTS_TABLE and ARCHIVE_BUCKET" in capsys.readouterr().err
    assert main(["sql", "SELECT 1"]) == 2


def test_a_buckets_files_have_a_folder_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert cache_folder("a-bucket") == Path("/cache/meterline/a-bucket")


@pytest.mark.parametrize("day", ["2026-02-30", "yesterday", "2026-3-1"])
def test_a_day_that_is_none_is_refused(day: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["archive", "check", "--from", day])
    assert ended.value.code == 2
    assert "is no day" in capsys.readouterr().err
