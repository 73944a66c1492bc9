"""Corrections are stored all or nothing, once each, beside events that never change."""

from dataclasses import replace
from decimal import Decimal

import pytest

from shared.domain.corrections import History, correct
from shared.domain.errors import VersionConflictError
from shared.domain.events import Correction, UsageEvent, Value
from shared.services.changes import PutAudit, PutIdempotencyKey
from shared.services.store import StoredAnswer
from tests.contract.conftest import Engine
from tests.support.builders import DAY, MARCH, usage

MADE = Correction(0, "reversal", "somebody", MARCH + DAY, MARCH, "a mistake")


def stored_event(engine: Engine) -> UsageEvent:
    event = usage(engine.customer(), 1, MARCH, {"tokens": Decimal(7), "model": "ä"})
    assert engine.events.insert([event]) == ["stored"]
    return event


def entries(history: History, data: dict[str, Value] | None) -> tuple[UsageEvent, ...]:
    return correct(history, data, MADE, MARCH + DAY)


def corrected(engine: Engine, history: History, data: dict[str, Value] | None) -> History:
    """The event's history after one more correction is stored."""
    made = entries(history, data)
    engine.corrections.commit(made, [])
    return History(history.event, (*history.entries, *made))


def test_a_history_holds_the_event_and_its_corrections_in_their_order(engine: Engine) -> None:
    event, other = stored_event(engine), stored_event(engine)
    customer, store = event.customer, engine.corrections
    assert store.history(customer, "none") is None
    assert store.history(customer, event.key) == History(event)
    assert store.history(customer, other.key) == History(event), "customers' ids are their own"
    history = corrected(engine, History(event), {"tokens": Decimal("8.5")})
    assert store.history(customer, event.key) == history
    history = corrected(engine, history, {"tokens": "9"})
    history = corrected(engine, history, None)
    assert store.histories(customer, [event.key, "none"]) == {event.key: history}
    assert history.effective is None
    assert store.history(other.customer, other.key) == History(other)


def test_a_correction_is_stored_once(engine: Engine) -> None:
    event = stored_event(engine)
    history = corrected(engine, History(event), {"tokens": Decimal(8)})
    rivals = [entries(History(event), data) for data in ({"tokens": Decimal(9)}, None)]
    for rival in rivals:
        with pytest.raises(VersionConflictError):
            engine.corrections.commit(rival, [])
    assert engine.corrections.history(event.customer, event.key) == history


def test_only_what_is_there_is_corrected(engine: Engine) -> None:
    event = usage(engine.customer(), 1, MARCH, {"tokens": Decimal(7)})
    with pytest.raises(VersionConflictError):
        engine.corrections.commit(entries(History(event), None), [])
    engine.events.insert([event])
    imagined = History(event, entries(History(event), {"tokens": Decimal(8)}))
    with pytest.raises(VersionConflictError):
        engine.corrections.commit(entries(imagined, None), [])
    assert engine.corrections.history(event.customer, event.key) == History(event)


def test_what_is_written_beside_is_written_with_it_or_not_at_all(engine: Engine) -> None:
    event = stored_event(engine)
    key = engine.customer()
    answer = PutIdempotencyKey(event.customer, key, "hash", 200, "{}")
    audit = PutAudit(MARCH, "somebody", "event.correct", event.key)
    engine.billing.commit([answer])
    with pytest.raises(VersionConflictError):
        engine.corrections.commit(entries(History(event), None), [audit, answer])
    assert engine.corrections.history(event.customer, event.key) == History(event)
    fresh = replace(answer, key=f"{key}-2")
    cancelled = entries(History(event), None)
    engine.corrections.commit(cancelled, [audit, fresh])
    assert engine.billing.idempotent_answer(event.customer, fresh.key) == StoredAnswer(
        "hash", 200, "{}"
    )
    with pytest.raises(VersionConflictError):
        engine.corrections.commit(cancelled, [replace(fresh, key=f"{key}-3")])
    assert engine.billing.idempotent_answer(event.customer, f"{key}-3") is None
