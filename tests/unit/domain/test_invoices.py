"""Invoices: a line per rate card, rounded once, summed; the same bytes for the same account."""

from dataclasses import replace
from decimal import Decimal

import pytest

from shared.domain.accounts import Phase, Totals
from shared.domain.catalogue import METERING_ONLY, Catalogue, Plan, Rate
from shared.domain.errors import RatingError
from shared.domain.fees import period_fee
from shared.domain.invoice_document import document_hash, invoice_document
from shared.domain.invoices import (
    Invoice,
    Line,
    invoice_id,
    overage_value,
    period_invoice,
    phase_lines,
)
from shared.domain.periods import Span
from shared.domain.prices import PerUnit
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, MARCH, MAY, SPARKS, a_catalogue, a_plan, units, usage

PRICE = PerUnit(Decimal("0.001"))


def lines_of(plan: Plan, *totals: Totals) -> list[Line]:
    phase = Phase(1, 1, MARCH, APRIL, plan.key, plan.version, totals)
    return phase_lines(phase, totals, a_catalogue(plan))


@pytest.mark.parametrize(
    ("currency", "exact", "rounded"),
    [
        ("USD", "1.005", "1.01"),
        ("USD", "1.004999999", "1"),
        ("JPY", "1.5", "2"),
        ("JPY", "1.499999999", "1"),
        ("KWD", "0.0005", "0.001"),
    ],
)
def test_a_line_is_rounded_once_half_away_from_zero(
    currency: str, exact: str, rounded: str
) -> None:
    plan = a_plan(currency=currency, rates=(Rate("messages", PRICE, currency),), allowances=())
    [line] = lines_of(plan, Totals(count=1, amount=units(exact), overage=units(exact)))
    assert (line.amount, line.unit_amount) == (units(rounded), units(exact))
    drawn = Totals(count=1, amount=units(exact), drawn=units(exact))
    assert sum(line.amount for line in lines_of(plan, drawn)) == 0


def test_a_yen_fee_has_no_decimals() -> None:
    plan = a_plan(currency="JPY", fee_nanos=units(1000), rates=(), allowances=(), credits=())
    fee = period_fee(plan, Span(MARCH, APRIL, MARCH.replace(month=2)), 1, 1)
    assert fee is not None
    assert fee.line().amount == units(525)  # 31 of 59 days: 525.42
    books = Books.open(a_catalogue(plan), MARCH)
    invoice = period_invoice(
        books.account, 1, (), catalogue=books.catalogue, next_fee=fee.line(), currency="JPY"
    )
    assert invoice_document(invoice)["total"] == "525"


def test_credits_that_nothing_covered_cost_what_they_were_worth_when_the_phase_began() -> None:
    plan = a_plan(rates=(Rate("messages", PRICE, "sparks"),), allowances=())
    used = Totals(count=1, amount=units(30), drawn=units(10), overage=units(20))
    usage_line, applied, overage = lines_of(plan, used)
    assert (usage_line.amount, applied.amount, overage.amount) == (0, 0, units(1))
    assert (applied.unit_amount, overage.unit_amount) == (-units(10), units(20))
    blocked = replace(plan, on_exhausted="block")
    assert lines_of(blocked, used)[-1].amount == 0
    assert overage_value(SPARKS, MARCH.replace(year=2010), "USD") == Decimal("0.05")
    with pytest.raises(RatingError):
        overage_value(SPARKS, MARCH, "EUR")


def test_a_rate_card_without_usage_or_charge_has_no_line() -> None:
    assert lines_of(a_plan(), *[Totals()] * 4) == []


def test_a_negative_sum_bills_as_zero() -> None:
    [line] = lines_of(
        a_plan(rates=(Rate("messages", PRICE, "USD"),), allowances=()), Totals(count=1)
    )
    invoice = Invoice("i", "acme", "period", 1, MARCH, APRIL, "USD", (replace(line, amount=-1),))
    assert invoice.total == 0


def test_after_metering_alone_the_first_fee_says_the_currency() -> None:
    books = Books.open(Catalogue(), MARCH)
    assert books.account.current.plan == METERING_ONLY.key
    euro = a_plan(currency="EUR", rates=(), allowances=(), credits=())
    books.catalogue = a_catalogue(euro)
    books.open_next()
    invoice = books.close(APRIL).invoice
    assert invoice is not None
    assert (invoice.currency, invoice.total) == ("EUR", units(20))


def test_each_customers_period_has_one_id() -> None:
    ids = {
        invoice_id(customer, kind, period)  # type: ignore[arg-type]
        for customer in ("a", "b")
        for kind in ("period", "start", "change")
        for period in ("1", "2")
    }
    assert len(ids) == 12
    assert invoice_id("a", "period", "1") in ids


def test_the_document_is_a_function_of_the_account_alone() -> None:
    def document() -> dict[str, object]:
        catalogue = a_catalogue()
        books = Books.open(catalogue, MARCH)
        books.apply([a_record(usage("acme", 1, MARCH), 1, catalogue)])
        books.open_next()
        closing = books.close(MAY)
        assert closing.invoice is not None
        return invoice_document(closing.invoice)

    first = document()
    assert first == document()
    assert document_hash({**first, "hash": "x"}) == document_hash(first)
    assert document_hash({**first, "total": "0.00"}) != document_hash(first)
    [tokens, messages, fee] = first["lines"]  # type: ignore[misc]
    assert (tokens["amount"], tokens["unit_amount"], tokens["quantity"]) == ("1.07", "1.07", "7")
    assert (messages["quantity"], messages["included"], messages["amount"]) == ("1", "1", "0.00")
    assert (fee["type"], fee["amount"], first["total"]) == ("fee", "20.00", "21.07")
