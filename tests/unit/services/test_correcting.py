"""Corrections that meet: each counts, or its sender hears that it does not."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.corrections import History
from shared.domain.events import UsageEvent
from shared.services.catalogue import CachedCatalogue
from shared.services.changes import Change
from shared.services.correcting import AlreadyCancelledError, Correcting, CorrectionOrder
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.catalogue import MemoryCatalogueStore
from tests.fakes.corrections import MemoryCorrectionStore
from tests.fakes.events import MemoryEventStore
from tests.support.builders import DAY, MARCH, usage

ORDER = CorrectionOrder("acme", "tests", "1", {"tokens": Decimal(8)}, "somebody")


class Overtaken(MemoryCorrectionStore):
    """Before its first commit, or before it is first read, something else happens, once."""

    before: Callable[[], object] | None = None
    before_reading: Callable[[], object] | None = None

    def history(self, customer: str, key: str) -> History | None:
        before, self.before_reading = self.before_reading, None
        if before is not None:
            before()
        return super().history(customer, key)

    def commit(self, entries: Sequence[UsageEvent], beside: Sequence[Change]) -> None:
        before, self.before = self.before, None
        if before is not None:
            before()
        super().commit(entries, beside)


class Standing:
    """A clock that stands: two corrections can bear one instant."""

    def now(self) -> datetime:
        return MARCH + DAY


def text(history: History) -> str:
    counts = history.effective.data["tokens"] if history.effective else None
    return json.dumps({"number": history.number, "tokens": str(counts)})


@pytest.fixture
def store() -> Overtaken:
    events = MemoryEventStore()
    events.insert([usage("acme", 1, MARCH + timedelta(hours=1), {"tokens": Decimal(7)})])
    return Overtaken(events, MemoryBillingStore())


@pytest.fixture
def correcting(store: Overtaken) -> Correcting:
    catalogue = CachedCatalogue(MemoryCatalogueStore(), lambda: 0.0)
    return Correcting(
        store._billing, store, catalogue, Standing(), lambda _: False, lambda *_: None
    )


@pytest.mark.parametrize("key", ["mine", None])
@pytest.mark.parametrize("theirs", [{"tokens": Decimal(9)}, {"tokens": Decimal(8)}])
def test_another_correction_of_the_same_instant_is_not_taken_for_ones_own(
    store: Overtaken, correcting: Correcting, key: str | None, theirs: dict[str, Decimal]
) -> None:
    rival = replace(ORDER, data=theirs, key="theirs")
    store.before = lambda: correcting.correct(rival, text)
    order = replace(ORDER, key=key)
    answer = json.loads(correcting.correct(order, text).answer)
    assert answer["tokens"] == "8"
    assert answer["number"] == (1 if theirs == ORDER.data else 2)
    later = replace(ORDER, data={"tokens": Decimal(5)})
    correcting.correct(later, text)
    if key is not None:
        assert json.loads(correcting.correct(order, text).answer) == answer


def test_a_cancellation_is_not_taken_for_a_replacement_of_the_same_instant(
    store: Overtaken, correcting: Correcting
) -> None:
    store.before = lambda: correcting.correct(ORDER, text)
    answer = json.loads(correcting.correct(replace(ORDER, data=None), text).answer)
    assert answer == {"number": 2, "tokens": "None"}


def test_a_cancellation_sent_twice_at_once_is_not_refused_for_what_it_did(
    store: Overtaken, correcting: Correcting
) -> None:
    order = replace(ORDER, data=None, key="mine")
    store.before_reading = lambda: correcting.correct(order, text)
    assert json.loads(correcting.correct(order, text).answer) == {"number": 1, "tokens": "None"}
    with pytest.raises(AlreadyCancelledError):
        correcting.correct(replace(order, key="other"), text)


def test_a_lost_reply_is_found_to_be_ones_own(store: Overtaken, correcting: Correcting) -> None:
    store.before = lambda: correcting.correct(ORDER, text)
    assert json.loads(correcting.correct(ORDER, text).answer) == {"number": 1, "tokens": "8"}
