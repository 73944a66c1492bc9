"""Which events an export asks for, and what it writes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cli.__main__ import main
from cli.client import _decode
from cli.export import BEFORE_FIRST_PHASE, MAX_RANGE, line_spans, merged
from shared.domain.events import canonical_json
from tests.unit.cli.test_commands import Recorder, server

__all__ = ["server"]  # the fixture

JANUARY = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def test_spans_are_merged_and_cut_to_what_one_listing_may_cover() -> None:
    spans = [(JANUARY, JANUARY + 700 * DAY), (JANUARY + DAY, JANUARY + 2 * DAY)]
    spans.append((JANUARY + 699 * DAY, JANUARY + 701 * DAY))
    asked = list(merged(spans))
    assert asked[0][0] == JANUARY
    assert asked[-1][1] == JANUARY + 701 * DAY
    assert all(end - start <= MAX_RANGE for start, end in asked)
    assert [end for _, end in asked[:-1]] == [start for start, _ in asked[1:]]
    assert list(merged([])) == []


def test_the_first_phase_also_counts_what_happened_before_it() -> None:
    period = {"start": "2026-01-01T00:00:00Z", "end": "2026-02-01T00:00:00Z"}
    lines = [{"type": "usage", "phase": phase, "service_period": period} for phase in (1, 2)]
    spans = list(line_spans({"lines": [*lines, {"type": "fee"}]}))
    assert [start for start, _ in spans] == [JANUARY - BEFORE_FIRST_PHASE, JANUARY]


def test_a_range_is_asked_for_in_utc(
    server: type[Recorder],
    capsys: pytest.CaptureFixture[str],
) -> None:
    server.answers["/v1/events"] = (200, {"data": [{"id": "1"}], "next_cursor": None})
    between = ["--from", "2026-01-01T00:00:00Z", "--to", "2026-02-01T00:00:00+02:00"]
    assert main(["events", "export", "--customer", "acme", *between]) == 0
    assert capsys.readouterr().out == '{"id":"1"}\n'
    [(_, path, _, _)] = server.asked
    assert "from=2026-01-01T00%3A00%3A00Z" in path
    assert "to=2026-01-31T22%3A00%3A00Z" in path


def test_numbers_keep_every_digit() -> None:
    exact = b'{"tokens":1000000000000.123456789}'
    assert canonical_json(_decode(exact, Decimal)).encode() == exact
