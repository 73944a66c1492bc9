"""Two tallies of a day are equal only if the events are."""

import json
from dataclasses import replace
from decimal import Decimal

from shared.domain.corrections import History, correct
from shared.domain.events import Correction, UsageEvent
from shared.services.archive import event_line, read_line
from shared.services.archive_check import DayCheck, Tally, compare, once, tally_by_day
from tests.support.builders import DAY, HOUR, MARCH, usage

EVENTS = [usage("acme", n, MARCH + n % 2 * DAY) for n in range(4)]


def judged(archive: list[UsageEvent]) -> list[bool]:
    days = compare(tally_by_day(EVENTS), tally_by_day(archive))
    return [day.is_equal for day in days]


def test_a_line_read_back_is_the_event() -> None:
    event = replace(EVENTS[0], extensions={"region": "eu"})
    assert read_line(event_line(event).text) == event


def test_equal_events_in_any_order_are_equal() -> None:
    assert judged(EVENTS[::-1]) == [True, True]


def test_what_is_missing_changed_or_added_makes_its_own_day_differ() -> None:
    assert judged(EVENTS[1:]) == [False, True]
    assert judged([replace(EVENTS[0], data={}), *EVENTS[1:]]) == [False, True]
    assert judged([replace(EVENTS[0], id="x"), *EVENTS[1:]]) == [False, True]
    assert judged([*EVENTS, usage("acme", "x", MARCH + 2 * DAY)]) == [True, True, False]


def test_a_day_that_only_one_side_knows_is_compared_with_nothing() -> None:
    tally = tally_by_day(EVENTS[:1])
    assert list(compare(tally, {})) == [DayCheck("2026-03-01", tally["2026-03-01"], Tally())]


def test_an_event_of_several_lines_and_each_entry_that_corrects_it_count_once() -> None:
    reversal, replacement = corrected(EVENTS[0])
    lines = [EVENTS[0], reversal, replacement, EVENTS[0], EVENTS[1], replacement]
    assert list(once(lines)) == [EVENTS[0], reversal, replacement, EVENTS[1]]


def test_what_corrects_an_event_is_archived_on_the_day_of_the_event() -> None:
    entries = [EVENTS[0], *corrected(EVENTS[0])]
    lines = [event_line(entry) for entry in entries]
    assert {line.partition for line in lines} == {"events/dt=2026-03-01"}
    assert [json.loads(line.text)["corrections"] for line in lines] == [0, 1, 2]
    assert tally_by_day(entries) == tally_by_day(read_line(line.text) for line in lines)


def test_an_entry_read_back_is_what_it_was_but_for_who_made_it() -> None:
    for entry in corrected(EVENTS[0]):
        made = entry.correction
        assert made is not None
        told = replace(made, actor="", reason=None, corrected_at=entry.received_at)
        assert read_line(event_line(entry).text) == replace(entry, correction=told)


def corrected(event: UsageEvent) -> tuple[UsageEvent, ...]:
    made = Correction(1, "reversal", "key", MARCH + 9 * DAY, event.received_at, "a typo")
    return correct(History(event), {"tokens": Decimal(9)}, made, MARCH + 9 * DAY + HOUR)
