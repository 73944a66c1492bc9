"""An invoice is proven by raw events alone: what came late is deduced from its lines."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from shared.domain.corrections import History, correct
from shared.domain.deduced_fates import deduce
from shared.domain.events import Correction, UsageEvent
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.proof import COUNTED
from shared.domain.verification import Difference, verify
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, usage

MODELS = ("small", "large")
CATALOGUE = a_catalogue(a_plan())
# March's close is due after the grace, and delayed by a quarter of an hour; April's is not.
MARCH_DUE, APRIL_DUE = APRIL + HOUR, MAY + HOUR
MARCH_CLOSED = MARCH_DUE + timedelta(minutes=15)
APRIL_CLOSED = APRIL_DUE

Documents = tuple[dict[str, Any], dict[str, Any]]


def sent(number: int, occurred_at: datetime, received_at: datetime) -> UsageEvent:
    data = {"tokens": Decimal(number % 7 + 1), "model": MODELS[number % 2]}
    return replace(usage("acme", number, occurred_at, data), received_at=received_at)


def corrected(event: UsageEvent, at: datetime, tokens: int | None) -> tuple[UsageEvent, ...]:
    data = None if tokens is None else {"tokens": Decimal(tokens), "model": "small"}
    made = Correction(1, "reversal", "key", at, event.received_at)
    return correct(History(event), data, made, at)


def a_history(random: Random) -> list[UsageEvent]:
    """Two months of events and corrections, each recorded in time, too late, or in between."""
    entries: list[UsageEvent] = []
    for number in range(random.randint(20, 60)):
        occurred_at = MARCH + random.random() * 60 * DAY
        lateness = random.choice((0 * HOUR, HOUR, 20 * DAY))
        event = sent(number, occurred_at, occurred_at + random.random() * lateness)
        entries.append(event)
        if random.random() < 0.3:
            at = event.received_at + random.random() * random.choice((HOUR, 20 * DAY))
            entries += corrected(event, at, random.choice((None, 3)))
    entries += [
        sent(100 + n, APRIL - HOUR, MARCH_CLOSED - n * timedelta(minutes=9)) for n in (0, 1)
    ]
    return sorted(entries, key=lambda entry: entry.received_at)


def billed(
    entries: Sequence[UsageEvent], series: str = "INV", aside: Sequence[UsageEvent] = ()
) -> Documents:
    """March's and April's invoices. Each is closed when what was recorded before is applied.

    What is put aside is applied as the first thing after March was closed, as redriven.
    """
    books = Books.open(CATALOGUE, MARCH)
    documents: list[dict[str, Any]] = []
    start = MARCH - 40 * DAY
    for due_at, closed_at in ((MARCH_DUE, MARCH_CLOSED), (APRIL_DUE, APRIL_CLOSED)):
        batch = [e for e in entries if start <= e.received_at < closed_at and e not in aside]
        redriven = aside if documents else ()
        numbered = enumerate([*redriven, *batch], len(documents) * 9999)
        books.apply([a_record(event, number, CATALOGUE) for number, event in numbered])
        books.open_next()
        invoice = books.close(due_at).invoice
        assert invoice is not None
        name = f"{series}-{len(documents) + 1}"
        document = invoice_document(replace(invoice, number=name, finalized_at=due_at))
        documents.append({**document, "hash": document_hash(document)})
        start = closed_at
    return documents[0], documents[1]


def differences(document: dict[str, Any], entries: Sequence[UsageEvent]) -> list[Difference]:
    deduction = deduce(document, entries)
    found = verify(document, [(e, deduction.fates.get(e.key, COUNTED)) for e in entries])
    unbilled = [Difference(each.id, "not billed", "in time") for each in deduction.unbilled]
    return [*found, *unbilled]


@pytest.mark.parametrize("seed", range(40))
def test_invoices_equal_events_that_came_in_time_late_or_in_between(seed: int) -> None:
    random = Random(seed)
    entries = a_history(random)
    for document in billed(entries):
        random.shuffle(entries)
        assert differences(document, entries) == []


@pytest.mark.parametrize("seed", range(5))
def test_on_a_test_clock_no_time_of_receipt_says_anything(seed: int) -> None:
    entries = a_history(Random(seed))
    documents = billed(entries, "TEST-clock")
    on_another_day = [
        replace(e, received_at=MARCH + timedelta(seconds=n)) for n, e in enumerate(entries)
    ]
    for document in documents:
        assert differences(document, on_another_day) == []


def in_force(entries: Sequence[UsageEvent], before: datetime) -> list[UsageEvent]:
    """Those before the time that nothing takes back: what is, is held by no line."""
    reversed_keys = {entry.reversed_key for entry in entries}
    standing = [e for e in entries if e.key not in reversed_keys and e.reversed_key is None]
    return [entry for entry in standing if entry.occurred_at < before]


Tampering = Callable[[UsageEvent], list[UsageEvent]]
TAMPERINGS: list[Tampering] = [
    lambda _: [],
    lambda event: [event, event],
    lambda event: [event, replace(event, id="added")],
    lambda event: [replace(event, data={**event.data, "tokens": Decimal(999)})],
    lambda event: [replace(event, id="another")],
    lambda event: [replace(event, occurred_at=event.occurred_at + 92 * DAY)],
]


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_an_event_in_time_that_is_removed_added_or_changed_is_not_equal(tamper: Tampering) -> None:
    entries = a_history(Random(1))
    document, _ = billed(entries)
    in_time = [e for e in in_force(entries, APRIL) if e.received_at < APRIL]
    assert len(in_time) > 5
    for event in in_time:
        tampered = [each for e in entries for each in (tamper(e) if e is event else [e])]
        assert differences(document, tampered) != [], event


@pytest.mark.parametrize("tamper", TAMPERINGS)
def test_so_is_late_usage(tamper: Tampering) -> None:
    entries = a_history(Random(1))
    _, document = billed(entries)
    late = [e for e in in_force(entries, APRIL) if MARCH_CLOSED < e.received_at < MAY]
    assert len(late) > 1
    for event in late:
        tampered = [each for e in entries for each in (tamper(e) if e is event else [e])]
        assert differences(document, tampered) != [], event


def test_what_was_recorded_in_time_and_not_billed_is_named() -> None:
    entries = [sent(n, MARCH + n * HOUR, MARCH + n * HOUR) for n in range(20)]
    document, _ = billed(entries)
    aside = sent(77, MARCH + DAY, MARCH + DAY)
    assert differences(document, [*entries, aside]) == [Difference("77", "not billed", "in time")]


def unbilled(document: dict[str, Any], entries: Sequence[UsageEvent]) -> set[str]:
    found = differences(document, entries)
    assert {each.stated for each in found} <= {"not billed"}, found
    return {each.place for each in found}


def test_what_was_redriven_or_repaired_late_is_named_once_and_proven_afterwards() -> None:
    march = [sent(n, MARCH + n * HOUR, MARCH + n * HOUR) for n in range(100)]
    late = [sent(200 + n, MARCH + n * DAY, APRIL + 3 * DAY) for n in range(3)]
    april = [sent(300 + n, APRIL + n * HOUR, APRIL + n * HOUR) for n in range(20)]
    everything = [*march, *late, *april]
    for aside in ([march[50]], [march[20], march[80]], march[30:70]):
        first, second = billed(everything, aside=aside)
        assert unbilled(first, everything) == {event.id for event in aside}
        assert differences(second, everything) == []
        for document, events in ((first, everything), (second, everything)):
            tampered = [e for e in events if e is not march[5]]
            assert any(d.stated != "not billed" for d in differences(document, tampered))


def test_where_it_cannot_be_deduced_the_lines_differ() -> None:
    march = [sent(n, MARCH + n * HOUR, MARCH + n * HOUR) for n in range(100)]
    document, _ = billed(march, aside=[march[20], march[50], march[80]])
    places = {each.place for each in differences(document, march)}
    assert any(place.endswith(": events") for place in places)
