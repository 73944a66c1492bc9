"""What a line of the archive says, and which lines share a file."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.services.archive import event_line, quarantine_line, write
from tests.fakes.archive import MemoryArchive
from tests.support.builders import MARCH, usage

EXACT = "1000000000000.123456789"


def test_a_line_says_everything_of_the_event_and_keeps_every_digit() -> None:
    data = {"tokens": Decimal(EXACT), "Model": "größer", "free": True, "note": None}
    event = replace(usage("acme", "e-1", MARCH, data), extensions={"region": "eu"})
    line = event_line(event)
    assert line.partition == "events/dt=2026-03-01"
    told = json.loads(line.text)
    assert json.loads(told["data"], parse_float=Decimal) == data
    assert told == {
        "customer": "acme",
        "source": "tests",
        "id": "e-1",
        "type": "chat",
        "occurred_at": "2026-03-01T00:00:00.000000Z",
        "received_at": "2026-03-01T00:00:02.000000Z",
        "recorded_at": "2026-03-01T00:00:02.000000Z",
        "catalogue_version": 5,
        "corrections": 0,
        "data": told["data"],
        "properties": {"tokens": EXACT, "Model": "größer", "free": "true"},
        "extensions": {"region": "eu"},
    }


def test_the_day_is_the_one_of_receipt_however_late_the_event_is() -> None:
    received = datetime(2026, 3, 31, 23, 59, 59, 999999, tzinfo=UTC)
    late = replace(usage("acme", 1, MARCH), received_at=received)
    assert event_line(late).partition == "events/dt=2026-03-31"
    assert event_line(
        replace(late, received_at=received + timedelta(microseconds=1))
    ).partition == ("events/dt=2026-04-01")


def test_text_that_is_no_unicode_is_refused_before_it_spoils_a_file() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        event_line(usage("acme", 1, MARCH, {"name": "\ud800"}))


def test_each_day_has_its_file_and_quarantine_its_own_folder() -> None:
    files = MemoryArchive()
    days = [MARCH, MARCH + timedelta(days=1), MARCH]
    lines = [event_line(usage("acme", n, at)) for n, at in enumerate(days)]
    lines.append(quarantine_line("2026-03-01T10:00:00Z", "ValueError", "{}"))
    assert write(files, lines) == 3
    assert sorted(key.rpartition("/")[0] for key in files.files) == [
        "events/dt=2026-03-01",
        "events/dt=2026-03-02",
        "quarantine/dt=2026-03-01",
    ]
    assert len(list(files.lines())) == 4


def test_the_same_lines_make_the_same_file_and_other_lines_another() -> None:
    files = MemoryArchive()
    lines = [event_line(usage("acme", n, MARCH)) for n in range(3)]
    write(files, lines)
    before = dict(files.files)
    write(files, lines)
    assert files.files == before
    write(files, lines[:2])
    assert before.items() <= files.files.items()
    assert len(files.files) == 2
