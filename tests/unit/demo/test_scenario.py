"""The demo's month: how many events, which are resent, and that a seed repeats it."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from local.demo.scenario import Scenario, build

MONTH = datetime(2026, 2, 1, tzinfo=UTC)
LATENESS = timedelta(days=35)


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return build(7, MONTH, "run")


def test_it_is_as_large_as_it_says(scenario: Scenario) -> None:
    events = [event for stage in scenario.stages for event in stage.events]
    assert len(events) == len({event.id for event in events}) == 20_000
    assert len(scenario.customers) == 25
    assert {event.customer for event in events} <= {c.key for c in scenario.customers}


def test_three_percent_are_sent_again_with_the_same_data(scenario: Scenario) -> None:
    sent = [
        event
        for stage in scenario.stages
        for batches in stage.rounds
        for batch in batches
        for event in batch
    ]
    assert len(sent) == 20_600
    said = {event.id: (event.customer, event.type, event.data) for event in sent}
    assert all(said[e.id] == (e.customer, e.type, e.data) for e in sent)
    assert max(Counter(event.id for event in sent).values()) == 2
    assert len({(event.id, event.occurred_at) for event in sent}) > 20_000


def test_first_sendings_keep_to_what_ingest_accepts(scenario: Scenario) -> None:
    joined = {customer.key: customer.joins_at for customer in scenario.customers}
    for stage in scenario.stages:
        for event in stage.events:
            assert joined[event.customer] <= event.occurred_at <= stage.clock
            assert stage.clock - event.occurred_at < LATENESS


def test_every_stage_keeps_to_one_period(scenario: Scenario) -> None:
    for stage in scenario.stages:
        after = {event.occurred_at >= scenario.period_end for event in stage.events}
        assert after == {stage is scenario.next_period}


def test_a_resend_comes_after_its_first_sending_was_answered(scenario: Scenario) -> None:
    answered: set[str] = set()
    for stage in scenario.stages:
        first, *later = stage.rounds
        ids = {event.id for batch in first for event in batch}
        assert not ids & answered
        answered |= ids
        assert {e.id for batches in later for batch in batches for e in batch} <= answered


def test_a_seed_repeats_the_run_and_another_does_not() -> None:
    same = build(7, MONTH, "run", 500) == build(7, MONTH, "run", 500)
    assert same
    assert build(8, MONTH, "run", 500) != build(7, MONTH, "run", 500)
