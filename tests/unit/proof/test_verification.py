"""An exported invoice equals its events, and stops to as soon as anything of either changes."""

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.events import UsageEvent
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.proof import COUNTED, Fate, UnprovableError, usage_line
from shared.domain.verification import verify
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, usage

Told = list[tuple[UsageEvent, Fate]]
LARGE = {"tokens": Decimal("12.5"), "model": "large"}
DISK = {"gb": Decimal(40)}


def exported(books: Books, number: int) -> dict[str, Any]:
    """The invoice of closing the oldest period, as it is exported."""
    books.open_next()
    closing = books.close(MAY if number == 2 else APRIL + HOUR)
    assert closing.invoice is not None
    document = invoice_document(closing.invoice)
    return {**document, "hash": document_hash(document)}


def two_invoices() -> tuple[dict[str, Any], dict[str, Any], Told]:
    """March and April of one customer; two of March's events came late, one is in quarantine."""
    catalogue = a_catalogue(a_plan())
    books = Books.open(catalogue, MARCH)
    march = [usage("acme", n, MARCH + n * HOUR) for n in range(30)]
    march += [usage("acme", f"l{n}", MARCH + n * DAY, LARGE) for n in range(3)]
    march += [usage("acme", f"d{n}", MARCH + n * DAY, DISK, type="disk") for n in range(3)]
    march += [usage("acme", "ahead", MARCH - HOUR)]
    april = [usage("acme", f"a{n}", APRIL + n * HOUR) for n in range(8)]
    late = [usage("acme", f"late{n}", MARCH + n * DAY, LARGE) for n in range(2)]
    aside = usage("acme", "aside", MARCH + DAY)
    books.apply([a_record(e, n, catalogue) for n, e in enumerate(march, 1)])
    first = exported(books, 1)
    books.apply([a_record(e, 100 + n, catalogue) for n, e in enumerate([*late, *april])])
    assert [usage.event for usage in books.late] == late
    second = exported(books, 2)
    told: Told = [(event, COUNTED) for event in [*march, *april]]
    told += [(event, Fate(late_phase=1, late_period=2)) for event in late]
    return first, second, [*told, (aside, Fate(quarantined=True))]


FIRST, SECOND, EVENTS = two_invoices()


def test_both_invoices_equal_the_events() -> None:
    assert verify(FIRST, EVENTS) == ()
    assert verify(SECOND, list(reversed(EVENTS))) == ()
    types = {(line["type"], line["late"]) for line in SECOND["lines"]}
    assert {("usage", True), ("usage", False), ("fee", False)} <= types
    assert {line["type"] for line in FIRST["lines"]} == {
        "usage",
        "credits_applied",
        "overage",
        "fee",
    }


def test_more_events_than_the_invoices_change_nothing() -> None:
    others = [
        (replace(EVENTS[0][0], customer="other"), COUNTED),
        (usage("acme", "x", MARCH, type="unmetered"), COUNTED),
        (usage("acme", "may", MAY), COUNTED),
        (usage("acme", "newer", MARCH, catalogue_version=6), COUNTED),
        (usage("acme", "voiceless", MARCH, {"model": "small"}, type="disk"), COUNTED),
    ]
    assert verify(FIRST, [*EVENTS, *others]) == ()


def change(**values: Any) -> Callable[[Told], None]:
    def tamper(events: Told) -> None:
        events[3] = (replace(events[3][0], **values), events[3][1])

    return tamper


def fated(fate: Fate, index: int = 3) -> Callable[[Told], None]:
    def tamper(events: Told) -> None:
        events[index] = (events[index][0], fate)

    return tamper


@pytest.mark.parametrize(
    "tamper",
    [
        lambda events: events.pop(3),
        lambda events: events.append((usage("acme", "added", MARCH + HOUR), COUNTED)),
        lambda events: events.append(events[3]),
        change(data={"tokens": Decimal("7.000000001"), "model": "small"}),
        change(data={"tokens": Decimal(7), "model": "large"}),
        change(data={"tokens": Decimal(6), "model": "small"}),
        change(id="another"),
        change(source="elsewhere"),
        change(customer="other"),
        change(type="disk"),
        change(catalogue_version=6),
        change(occurred_at=APRIL),
        fated(Fate(quarantined=True)),
        fated(Fate(late_phase=1, late_period=2)),
        fated(COUNTED, -1),
        fated(COUNTED, -2),
    ],
)
def test_a_changed_removed_or_added_event_is_not_equal(tamper: Callable[[Told], None]) -> None:
    events = list(EVENTS)
    tamper(events)
    assert verify(FIRST, events) != ()


@pytest.mark.parametrize(
    "tamper",
    [
        lambda events: events.pop(-2),
        fated(COUNTED, -2),
        fated(Fate(late_phase=1, late_period=3), -2),
        fated(Fate(late_phase=2, late_period=2), -2),
        lambda events: events.pop(0),
        lambda events: events.append((usage("acme", "added", APRIL), COUNTED)),
    ],
)
def test_late_usage_is_held_to_its_events_and_to_what_it_continues(
    tamper: Callable[[Told], None],
) -> None:
    events = list(EVENTS)
    tamper(events)
    assert verify(SECOND, events) != ()


def set_at(*path: str | int, to: Any) -> Callable[[Any], None]:
    def tamper(document: Any) -> None:
        for step in path[:-1]:
            document = document[step]
        assert document[path[-1]] != to
        document[path[-1]] = to

    return tamper


TAMPERED = [
    set_at("lines", 0, "amount", to="1.00"),
    set_at("lines", 0, "unit_amount", to="1.000000001"),
    set_at("lines", 0, "quantity", to="1"),
    set_at("lines", 0, "included", to="1"),
    set_at("lines", 0, "price", "unit_price", to="0.02"),
    set_at("lines", 0, "events", "count", to=2),
    set_at("lines", 0, "events", "sum", to="1"),
    set_at("lines", 0, "events", "checksum", to="0123456789abcdef"),
    set_at("lines", 0, "service_period", "end", to="2026-03-02T00:00:00Z"),
    set_at("lines", 0, "counts", "event_type", to="disk"),
    set_at("lines", 0, "counts", "value", to="gb"),
    set_at("lines", 0, "counts", "filter", to={"model": ["none"]}),
    set_at("lines", 0, "counts", "catalogue", "until", to=5),
    set_at("lines", 0, "where", to={"model": "small"}),
    set_at("lines", 1, "unit_amount", to="-1"),
    set_at("lines", 2, "price", "tiers", 0, "flat_fee", to="3"),
    set_at("lines", 2, "counts", "where_not", to=[]),
    set_at("total", to="1.00"),
    set_at("customer", to="other"),
    lambda document: document["lines"].pop(),
]


@pytest.mark.parametrize("tamper", TAMPERED)
@pytest.mark.parametrize("hashed_again", [False, True])
def test_a_changed_invoice_is_not_equal(tamper: Callable[[Any], None], hashed_again: bool) -> None:
    """Also when whoever changed it put the hash right."""
    document = copy.deepcopy(FIRST)
    tamper(document)
    if hashed_again:
        document["hash"] = document_hash(document)
    places = {difference.place for difference in verify(document, EVENTS)}
    assert places
    assert ("hash" in places) != hashed_again


@pytest.mark.parametrize("member", ["number", "finalized_at", "id", "status"])
def test_the_hash_holds_what_arithmetic_cannot(member: str) -> None:
    [difference] = verify({**FIRST, member: "other"}, EVENTS)
    assert difference.place == "hash"
    [difference] = verify({**FIRST, "hash": "0" * 64}, EVENTS)
    assert difference.stated == "0" * 64


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"lines": None},
        {"lines": [{"n": 1}]},
        {**FIRST, "lines": [1]},
        {**FIRST, "total": "much"},
        {**FIRST, "currency": "XXX"},
        {**FIRST, "lines": FIRST["lines"] * 2},
        {**FIRST, "lines": [{k: v for k, v in FIRST["lines"][0].items() if k != "counts"}]},
    ],
)
def test_what_is_no_invoice_is_told_so(document: dict[str, Any]) -> None:
    with pytest.raises(UnprovableError):
        verify(document, EVENTS)


def test_a_line_says_what_it_counts() -> None:
    large, small = usage_line(FIRST, 1), usage_line(FIRST, 3)
    assert large is not None
    assert small is not None
    assert usage_line(FIRST, 2) is None
    assert small.where_not == ({"model": "large"},)
    inside = usage("acme", 1, MARCH - timedelta(days=30), LARGE)
    assert large.measure(inside) is not None
    assert small.measure(inside) is None
    with pytest.raises(UnprovableError):
        usage_line(FIRST, 99)
