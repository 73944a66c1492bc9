"""Ingest judges all events of a request together and stores each once."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.catalogue import Catalogue, Meter
from shared.domain.errors import InvalidError, Problem
from shared.domain.events import UsageEvent, Value
from shared.services.ingest import (
    CustomerState,
    EventKey,
    Ingest,
    Insertion,
    Submission,
)

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
TOKENS = Meter("tokens", "chat", "sum", value="tokens", since=1)
OLD = Meter("old", "retired", "count", since=1, archived_since=2)
CATALOGUE = Catalogue(version=3, meters={m.key: m for m in (TOKENS, OLD)})


class Memory:
    """An EventStore, an IngestContext, a CatalogueSource and a clock in one."""

    def __init__(self) -> None:
        self.events: dict[EventKey, UsageEvent] = {}
        self.customers: dict[str, CustomerState] = {}
        self.failing: set[str] = set()
        self.forgetful: set[str] = set()

    def insert(self, events: Sequence[UsageEvent]) -> Sequence[Insertion]:
        return [self._insert(event) for event in events]

    def _insert(self, event: UsageEvent) -> Insertion:
        key = (event.customer, event.key)
        if event.id in self.failing:
            return "failed"
        if self.events.setdefault(key, event) is event and event.id not in self.forgetful:
            return "stored"
        return "exists"

    def fingerprints(self, keys: Iterable[EventKey]) -> Mapping[EventKey, bytes]:
        return {key: self.events[key].fingerprint for key in keys if key in self.events}

    def read(self, customers: Iterable[str]) -> tuple[int, Mapping[str, CustomerState]]:
        return 3, {c: self.customers[c] for c in customers if c in self.customers}

    def at_least(self, version: int) -> Catalogue:
        assert version <= CATALOGUE.version
        return CATALOGUE

    def fresh(self) -> Catalogue:
        return CATALOGUE

    def now(self) -> datetime:
        return NOW


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
def ingest(memory: Memory) -> Ingest:
    return Ingest(memory, memory, memory, memory)


def sent(event_id: str = "1", pointer: str = "", **data: Value) -> Submission:
    return Submission(pointer, "acme", "app", event_id, "chat", None, data, {})


def refusals(ingest: Ingest, *submissions: Submission) -> list[Problem]:
    with pytest.raises(InvalidError) as refusal:
        ingest.take(submissions)
    return list(refusal.value.problems)


def test_an_event_is_stamped_and_stored(ingest: Ingest, memory: Memory) -> None:
    result = ingest.take([sent(tokens=Decimal(5))])
    assert (result.outcomes, result.unmetered, result.value_missing) == (("accepted",), 0, 0)
    [event] = memory.events.values()
    assert (event.occurred_at, event.received_at, event.catalogue_version) == (NOW, NOW, 3)


def test_a_resend_is_a_duplicate_whatever_its_clock_says(ingest: Ingest, memory: Memory) -> None:
    ingest.take([sent(tokens=Decimal(5))])
    for time in (None, NOW, NOW + timedelta(days=400), NOW - timedelta(days=400)):
        again = replace(sent(tokens=Decimal("5.0")), occurred_at=time)
        assert ingest.take([again]).outcomes == ("duplicate",)
    assert len(memory.events) == 1


def test_a_changed_resend_is_a_conflict_whatever_its_clock_says(ingest: Ingest) -> None:
    ingest.take([sent(tokens=Decimal(5))])
    changed = sent(tokens=Decimal(6))
    assert ingest.take([changed]).outcomes == ("conflict",)
    assert ingest.take([replace(changed, occurred_at=NOW - timedelta(days=99))]).outcomes == (
        "conflict",
    )
    assert ingest.take([replace(sent(tokens=Decimal(5)), type="other")]).outcomes == ("conflict",)


def test_repeats_in_a_request_are_folded(ingest: Ingest) -> None:
    result = ingest.take([sent(), sent("2"), sent()])
    assert result.outcomes == ("accepted", "accepted", "duplicate")
    assert result.value_missing == 2


def test_a_request_cannot_contradict_itself(ingest: Ingest, memory: Memory) -> None:
    problems = refusals(ingest, sent(tokens=Decimal(1)), sent(pointer="/1", tokens=Decimal(2)))
    assert problems == [Problem("/1", "contradicts-earlier-event")]
    assert not memory.events


def test_the_same_identity_of_two_customers_is_two_events(ingest: Ingest) -> None:
    assert ingest.take([sent(), replace(sent(), customer="other")]).outcomes == (
        "accepted",
        "accepted",
    )


def test_an_own_write_whose_reply_was_lost_is_a_duplicate(ingest: Ingest, memory: Memory) -> None:
    memory.forgetful = {"1"}
    assert ingest.take([sent(), sent()]).outcomes == ("duplicate", "duplicate")


def test_what_could_not_be_stored_is_told(ingest: Ingest, memory: Memory) -> None:
    memory.failing = {"2"}
    assert ingest.take([sent(), sent("2"), sent("2")]).outcomes == (
        "accepted",
        "unknown",
        "unknown",
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("1", None),
        ("0.5", None),
        (Decimal(0), None),
        ("-0", None),
        (Decimal("1e12"), None),
        ("abc", "not-a-number"),
        (None, "not-a-number"),
        (True, "not-a-number"),
        (Decimal(-1), "out-of-range"),
        ("-0.5", "out-of-range"),
        ("1" * 39, "out-of-range"),
        (Decimal("1000000000000.1"), "out-of-range"),
        ("0.1234567891", "too-many-decimals"),
    ],
)
def test_what_a_live_meter_reads_is_a_quantity(
    ingest: Ingest, memory: Memory, value: Value, code: str | None
) -> None:
    event = sent(pointer="/0", tokens=value)
    if code is None:
        assert ingest.take([event]).outcomes == ("accepted",)
    else:
        assert refusals(ingest, event) == [Problem("/0/data/tokens", code)]
        assert not memory.events


def test_what_no_live_meter_reads_is_stored_as_it_is(ingest: Ingest) -> None:
    other = replace(sent(tokens="abc"), type="unknown")
    retired = replace(sent("2", tokens="abc"), type="retired")
    result = ingest.take([other, retired, sent("3", messages="abc")])
    assert (result.outcomes, result.unmetered) == (("accepted",) * 3, 2)


@pytest.mark.parametrize(
    ("delta", "code"),
    [
        (timedelta(minutes=5), None),
        (timedelta(minutes=5, microseconds=1), "in-the-future"),
        (-timedelta(days=35), None),
        (-timedelta(days=35, microseconds=1), "too-old"),
    ],
)
@pytest.mark.parametrize("clock_now", [None, datetime(2031, 1, 1, tzinfo=UTC)])
def test_time_is_judged_by_the_customers_clock(
    ingest: Ingest,
    memory: Memory,
    delta: timedelta,
    code: str | None,
    clock_now: datetime | None,
) -> None:
    memory.customers["acme"] = CustomerState(clock_now=clock_now)
    event = replace(sent(), occurred_at=(clock_now or NOW) + delta)
    if code is None:
        assert ingest.take([event]).outcomes == ("accepted",)
    else:
        assert refusals(ingest, event) == [Problem("/time", code)]


def test_an_event_without_a_time_is_now_on_the_customers_clock(
    ingest: Ingest, memory: Memory
) -> None:
    now = datetime(2031, 1, 1, tzinfo=UTC)
    memory.customers["acme"] = CustomerState(clock_now=now)
    ingest.take([sent()])
    [event] = memory.events.values()
    assert (event.occurred_at, event.received_at) == (now, NOW)


def test_an_archived_customer_takes_nothing_new(ingest: Ingest, memory: Memory) -> None:
    ingest.take([sent()])
    memory.customers["acme"] = CustomerState(archived=True)
    assert ingest.take([sent()]).outcomes == ("duplicate",)
    new = sent("2", pointer="/1")
    assert refusals(ingest, sent(), new) == [Problem("/1/subject", "customer-archived")]


def test_all_or_nothing(ingest: Ingest, memory: Memory) -> None:
    bad = sent("2", pointer="/1", tokens="abc")
    late = replace(sent("3", pointer="/2"), occurred_at=NOW - timedelta(days=36))
    assert refusals(ingest, sent(), bad, late) == [
        Problem("/1/data/tokens", "not-a-number"),
        Problem("/2/time", "too-old"),
    ]
    assert not memory.events
