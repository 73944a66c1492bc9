"""Every price model through rating, closing, late usage and the proof of its invoices."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from shared.domain.accounts import Totals
from shared.domain.catalogue import Catalogue, IncludedCredits, Rate
from shared.domain.closing import draft_invoice
from shared.domain.events import UsageEvent
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.invoices import Invoice
from shared.domain.prices import (
    Flat,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    Price,
    RateTier,
    Tier,
    Volume,
)
from shared.domain.proof import COUNTED, Fate
from shared.domain.publishing import plan_problems
from shared.domain.reconciliation import PhaseTotals, misrated, phases_of
from shared.domain.verification import verify
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

# 10 units at 1, from the 11th on all of them at half.
VOLUME = Volume((Tier(Decimal(10), Decimal(1), Decimal(3)), Tier(None, Decimal("0.5"))))
BY_EVENT = Percentage(
    Decimal(10), Decimal("0.3"), min_per_event=Decimal(1), max_per_event=Decimal(5)
)


def catalogue_of(price: Price, credit: int = 0, unit: str = "USD") -> Catalogue:
    included = (IncludedCredits("USD", units(credit)),) if credit else ()
    rates = (Rate("storage", price, unit),)
    return a_catalogue(a_plan(rates=rates, credits=included, allowances=(), fee_nanos=0))


def disk(name: str, at: datetime, gb: str) -> UsageEvent:
    return usage("acme", name, at, {"gb": Decimal(gb)}, type="disk")


def take(books: Books, first: int, *events: UsageEvent) -> None:
    books.apply([a_record(e, n, books.catalogue) for n, e in enumerate(events, first)])
    assert books.rejected == []


def lines(invoice: Invoice | None) -> list[tuple[str, bool, str]]:
    assert invoice is not None
    document = invoice_document(invoice)
    return [(line["type"], line["late"], line["amount"]) for line in document["lines"]]


def exported(invoice: Invoice | None) -> dict[str, Any]:
    assert invoice is not None
    document = invoice_document(invoice)
    return {**document, "hash": document_hash(document)}


def draft(books: Books) -> Invoice:
    closed = tuple(books.closed.values())
    invoice, _ = draft_invoice(
        books.account, books.subscription, books.catalogue, closed, books.held(), period=1
    )
    return invoice


def test_a_volume_price_is_shown_at_once_and_charged_when_the_period_closes() -> None:
    books = Books.open(catalogue_of(VOLUME), MARCH)
    assert lines(draft(books)) == [("usage", False, "3.00")]  # The first tier's flat fee.
    for number, (gb, amount) in enumerate([("8", "11.00"), ("2", "13.00"), ("0.5", "5.25")], 1):
        take(books, number, disk(str(number), MARCH + number * DAY, gb))
        assert books.account.current.totals[0].amount == 0
        assert lines(draft(books)) == [("usage", False, amount)]
    books.open_next()
    closing = books.close(APRIL + HOUR)
    assert lines(closing.invoice) == [("usage", False, "5.25")]
    assert closing.closed[0].billed[0].amount == units("5.25")


def test_late_usage_of_a_volume_price_bills_what_it_changes_even_below_zero() -> None:
    books = Books.open(catalogue_of(VOLUME), MARCH)
    events = [disk("on-time", MARCH + DAY, "10")]
    take(books, 1, *events)
    books.open_next()
    first = exported(books.close(APRIL + HOUR).invoice)
    late = disk("late", MARCH + 2 * DAY, "2")
    take(books, 2, late, disk("april", APRIL + DAY, "20"))
    books.open_next()
    second = exported(books.close(MAY).invoice)
    assert [line["amount"] for line in first["lines"]] == ["13.00"]
    # April's 20 at half; March was 13 for 10 and is 6 for 12.
    assert [line["amount"] for line in second["lines"]] == ["10.00", "-7.00"]
    assert second["total"] == "3.00"
    told = [(events[0], COUNTED), (late, Fate(late_phase=1, late_period=2))]
    told.append((disk("april", APRIL + DAY, "20"), COUNTED))
    assert verify(first, told) == ()
    assert verify(second, told) == ()


def test_a_volume_price_draws_the_currencys_credits_that_are_left_at_the_end() -> None:
    books = Books.open(catalogue_of(VOLUME, credit=4), MARCH)
    take(books, 1, disk("1", MARCH + DAY, "10"))
    assert books.account.remaining("USD") == units(4)
    assert lines(draft(books)) == [("usage", False, "13.00"), ("credits_applied", False, "-4.00")]
    books.open_next()
    closing = books.close(APRIL + HOUR)
    assert exported(closing.invoice)["total"] == "9.00"
    [totals] = closing.closed[0].billed
    assert (totals.amount, totals.drawn, totals.overage) == (units(13), units(4), units(9))
    assert "p1-c0" not in books.account.grants["USD"]
    assert verify(exported(closing.invoice), [(disk("1", MARCH + DAY, "10"), COUNTED)]) == ()


def test_reconciliation_knows_when_a_volume_price_is_charged() -> None:
    catalogue = catalogue_of(VOLUME)
    books = Books.open(catalogue, MARCH)
    take(books, 1, disk("1", MARCH + DAY, "10"))
    books.open_next()
    books.close(APRIL + HOUR)
    take(books, 2, disk("late", MARCH + 2 * DAY, "2"), disk("april", APRIL + DAY, "1"))
    for phase in phases_of(books.account, tuple(books.closed.values())):
        assert list(misrated(phase, catalogue)) == []
    [closed] = books.closed.values()
    wrong = PhaseTotals(closed.phase, (Totals(1, Decimal(10)),), closed=True, settled=True)
    assert len(list(misrated(wrong, catalogue))) == 1


def test_a_price_by_event_is_the_sum_of_what_single_events_cost() -> None:
    books = Books.open(catalogue_of(BY_EVENT), MARCH)
    events = [disk(str(n), MARCH + n * HOUR, gb) for n, gb in enumerate(["1", "20", "300"])]
    take(books, 1, *events)
    assert books.account.current.totals[0].amount == units("8.3")  # 1 + 2.3 + 5
    books.open_next()
    first = exported(books.close(APRIL + HOUR).invoice)
    late = disk("late", MARCH + DAY, "30")
    take(books, 10, late)
    books.open_next()
    second = exported(books.close(MAY).invoice)
    assert [line["amount"] for line in (*first["lines"], *second["lines"])] == ["8.30", "3.30"]
    told = [*((event, COUNTED) for event in events), (late, Fate(late_phase=1, late_period=2))]
    assert verify(first, told) == ()
    assert verify(second, told) == ()
    first["lines"][0]["events"]["amounts"] = "8.2"
    places = {difference.place for difference in verify(first, told)}
    assert {"hash", "line 1: amounts of single events", "line 1: unit_amount"} <= places


def price(model: type, *arguments: str, **modifiers: str) -> Price:
    decimals = {name: Decimal(value) for name, value in modifiers.items()}
    made: Price = model(*map(Decimal, arguments), **decimals)
    return made


TWO_RATES = GraduatedPercentage((RateTier(Decimal(10), Decimal(10)), RateTier(None, Decimal(50))))


@pytest.mark.parametrize(
    ("price", "at_zero", "amount", "billed"),
    [
        (price(Flat, "7"), "7", "7", "0.35"),
        (price(PerUnit, "2", free_units="5", discount_percentage="10"), "0", "13.5", "0.68"),
        (price(PerUnit, "2", maximum_amount="20"), "0", "20", "1.00"),
        (price(PerUnit, "2", minimum_amount="30"), "30", "30", "1.50"),
        (price(Package, "5", "4"), "0", "12", "0.60"),
        (price(Package, "5", "4", free_units="3"), "0", "8", "0.40"),
        (price(Percentage, "10", "0.3", "1", "5"), "0", "1.05", "0.05"),
        (TWO_RATES, "0", "2.25", "0.11"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("parts", [("12", "0.5"), ("12.25", "0.25"), ("6.25", "6.25")])
def test_usage_is_charged_as_it_comes(
    price: Price, at_zero: str, amount: str, billed: str, parts: tuple[str, str]
) -> None:
    books = Books.open(catalogue_of(price, unit="sparks"), MARCH)
    assert books.account.current.totals[0].amount == units(at_zero)
    for number, gb in enumerate(parts, 1):
        take(books, number, disk(str(number), MARCH + timedelta(hours=number), gb))
    assert books.account.current.totals[0].amount == units(amount)
    books.open_next()
    told = [(disk(str(n), MARCH + n * HOUR, gb), COUNTED) for n, gb in enumerate(parts, 1)]
    document = exported(books.close(APRIL + HOUR).invoice)
    assert verify(document, told) == ()
    # What no credit covered is billed at the credit's worth, which the line shows.
    [usage_line, overage] = document["lines"]
    assert usage_line["unit_amount"] == overage["unit_amount"] == amount
    assert (overage["type"], overage["unit_value"]) == ("overage", "0.05")
    assert overage["amount"] == document["total"] == billed


def codes(price: Price, **changes: object) -> set[tuple[str, str]]:
    plan = a_plan(rates=(Rate("messages", price, str(changes.pop("unit", "USD"))),), **changes)
    return {(problem.pointer, problem.code) for problem in plan_problems(a_catalogue(), plan)}


def test_plans_refuse_what_cannot_be_charged_as_usage_comes() -> None:
    assert codes(VOLUME) == set()
    assert codes(VOLUME, unit="sparks") == {("/rates/0/unit", "price-can-fall")}
    assert codes(BY_EVENT, allowances=()) == set()
    assert codes(BY_EVENT) == {("/rates/0/price", "allowance-and-per-event")}
