"""Closing periods: frozen totals, the fee in advance, breakage, and when the next step is due."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.domain.closing import break_expired, draft_invoice, next_due, upcoming_fee
from shared.domain.credits import Grant
from shared.domain.ledger import entry_between
from shared.domain.subscriptions import Target, change_now
from tests.support.books import GRACE, Books, a_record
from tests.support.builders import APRIL, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

DEAR = a_plan(key="dear", fee_nanos=units(50), default=False)
YEARLY = a_plan(key="yearly", interval="year", fee_nanos=units(200), default=False)
CATALOGUE = a_catalogue(a_plan(), DEAR, YEARLY)


def test_a_closed_period_leaves_the_account_and_is_kept_as_it_was() -> None:
    books = Books.open(CATALOGUE, MARCH)
    books.apply([a_record(usage("acme", 1, MARCH), 1, CATALOGUE)])
    books.open_next()
    version, [march, april] = books.account.version, books.account.phases
    closing = books.close(APRIL + HOUR)
    assert closing.account.phases == (april,)
    assert closing.account.version == version + 1
    [kept] = closing.closed
    assert (kept.phase, kept.billed, kept.closed_at) == (march, march.totals, APRIL + HOUR)
    assert closing.invoice is not None
    assert kept.invoice == closing.invoice.id


def test_the_draft_is_the_invoice_that_closing_makes() -> None:
    books = Books.open(CATALOGUE, MARCH)
    books.apply([a_record(usage("acme", 1, MARCH), 1, CATALOGUE)])
    before, _ = draft_invoice(books.account, books.subscription, CATALOGUE, (), books.grants)
    books.open_next()
    assert books.close(APRIL + HOUR).invoice == before


def test_a_period_with_nothing_to_bill_makes_no_invoice() -> None:
    free = a_catalogue(a_plan(fee_nanos=0, rates=()))
    books = Books.open(free, MARCH)
    books.open_next()
    assert books.close(APRIL + HOUR).invoice is None


def test_an_invoice_charges_the_fee_of_the_period_after_its_own() -> None:
    books = Books.open(CATALOGUE, MARCH)
    fee = upcoming_fee(books.account, 1, books.subscription, CATALOGUE)
    assert fee is not None
    assert (fee.nanos, fee.span.start, fee.span.end) == (units(20), APRIL, MAY)
    chosen = replace(books.subscription, next_plan="dear", next_plan_version=1)
    fee = upcoming_fee(books.account, 1, chosen, CATALOGUE)
    assert fee is not None
    assert fee.nanos == units(50)


def test_a_fee_that_was_invoiced_at_once_is_not_charged_again() -> None:
    books = Books.open(CATALOGUE, MARCH)
    change = change_now(
        books.account,
        books.subscription,
        current=a_plan(),
        wanted=Target(YEARLY),
        grants=books.grants,
        now=MARCH + HOUR,
    )
    opened = change.opening
    assert [phase.period for phase in opened.account.phases] == [1, 2]
    assert upcoming_fee(opened.account, 1, opened.subscription, CATALOGUE) is None


def test_a_change_of_rhythm_within_the_grace_leaves_the_fee_of_the_period_it_ended() -> None:
    """April's fee is due in full on March's invoice; the change credited its unused time."""
    catalogue = a_catalogue(a_plan(period="anniversary"), YEARLY)
    start = MARCH + timedelta(days=14)
    books = Books.open(catalogue, start)
    books.open_next()
    boundary = books.account.current.start
    change = change_now(
        books.account,
        books.subscription,
        current=catalogue.plan("basic", 1),
        wanted=Target(replace(YEARLY, period="anniversary")),
        grants=books.grants,
        now=boundary + timedelta(minutes=30),
    )
    fee = upcoming_fee(change.opening.account, 1, change.opening.subscription, catalogue)
    assert fee is not None
    assert (fee.nanos, fee.span.start) == (units(20), boundary)


def test_remainders_break_when_expiry_and_grace_have_passed() -> None:
    books = Books.open(CATALOGUE, MARCH)
    books.open_next()
    almost = APRIL + GRACE - timedelta(microseconds=1)
    assert break_expired(books.account, books.grants, almost, GRACE) is None
    broken = break_expired(books.account, books.grants, APRIL + GRACE, GRACE)
    assert broken is not None
    assert broken.grants == {
        "meter:messages": {"p2-a0": units(10)},
        "sparks": {"p2-r-sparks": units(20), "p2-c0": units(50)},
    }
    entry = entry_between(books.account, broken, APRIL, "breakage", {})
    assert entry.changes == {
        "meter:messages": {"p1-a0": -units(10)},
        "sparks": {"p1-c0": -units(30)},
    }
    assert (entry.balance_after("sparks"), entry.balance_after("USD")) == (units(70), 0)


def test_the_next_step_is_an_opening_then_a_close_then_breakage() -> None:
    books = Books.open(CATALOGUE, MARCH)
    assert next_due(books.account, books.grants.values(), GRACE) == APRIL
    books.open_next()
    assert next_due(books.account, books.grants.values(), GRACE) == APRIL + GRACE
    books.close(APRIL + HOUR)
    assert next_due(books.account, books.grants.values(), GRACE) == APRIL + GRACE
    books.break_expired(APRIL + HOUR)
    assert next_due(books.account, books.grants.values(), GRACE) == MAY


@pytest.mark.parametrize("held", [True, False])
def test_a_grant_is_due_for_breakage_only_while_something_is_left(held: bool) -> None:
    books = Books.open(CATALOGUE, MARCH)
    gift = Grant("gift", "acme", "sparks", 5, "promotion", MARCH, MARCH, MARCH + HOUR)
    left = {"sparks": {"gift": 5}} if held else {}
    account = replace(books.account, grants=left)
    expected = MARCH + HOUR + GRACE if held else APRIL
    assert next_due(account, [gift], GRACE) == expected
