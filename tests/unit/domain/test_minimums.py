"""Minimum commitments: what usage falls short of is charged when the period is closed."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.catalogue import Catalogue, Plan, Rate
from shared.domain.closing import draft_invoice
from shared.domain.coupons import AppliedCoupon, Coupon
from shared.domain.credits import Grant
from shared.domain.granting import add_grant
from shared.domain.invoices import Invoice
from shared.domain.minimums import with_true_up
from shared.domain.prices import PerUnit
from shared.domain.subscriptions import Target, change_now
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, a_catalogue, a_plan, units, usage

MIDDLE = MARCH + timedelta(days=15, hours=12)
HALF_A_DOLLAR = Rate("messages", PerUnit(Decimal("0.5")), "USD")
PLAN = a_plan(
    fee_nanos=0, minimum_nanos=units(100), allowances=(), credits=(), rates=(HALF_A_DOLLAR,)
)
IN_SPARKS = replace(PLAN, rates=(Rate("messages", PerUnit(Decimal(10)), "sparks"),))


def with_usage(catalogue: Catalogue, count: int, started: int = 0) -> Books:
    books = Books.open(catalogue, MARCH + timedelta(days=started))
    add_usage(books, count)
    return books


def add_usage(books: Books, count: int) -> None:
    start, first = books.account.current.start, books.account.version * 1000
    events = [usage("acme", f"{first + n}", start + n * HOUR) for n in range(count)]
    books.apply(a_record(e, first + n, books.catalogue) for n, e in enumerate(events, 1))


def granted(books: Books, unit: str, amount: int) -> None:
    grant = Grant("g1", "acme", unit, units(amount), "promotion", MARCH, MARCH)
    books.account = add_grant(books.account, grant, MARCH, books.catalogue, ())
    books.grants[grant.id] = grant


def draft(books: Books) -> Invoice:
    closed = tuple(books.closed.values())
    invoice, _ = draft_invoice(
        books.account, books.subscription, books.catalogue, closed, books.held()
    )
    return invoice


def true_ups(invoice: Invoice) -> list[int]:
    return [line.amount for line in invoice.lines if line.kind == "minimum"]


@pytest.mark.parametrize(("count", "missing"), [(0, "100"), (1, "99.5"), (199, "0.5"), (200, "")])
def test_usage_counts_towards_the_minimum_until_it_is_reached(count: int, missing: str) -> None:
    books = with_usage(a_catalogue(PLAN), count)
    upcoming = draft(books)
    assert true_ups(upcoming) == ([units(missing)] if missing else [])
    books.open_next()
    closing = books.close(APRIL + HOUR)
    assert closing.invoice is not None
    assert closing.invoice.lines == upcoming.lines


def test_the_fee_does_not_count_nor_do_seats_multiply() -> None:
    books = with_usage(a_catalogue(replace(PLAN, fee_nanos=units(30))), 40)
    assert true_ups(draft(books)) == [units(80)]
    seats = replace(books.account.current, quantity=7)
    books.account = replace(books.account, phases=(seats,))
    assert true_ups(draft(books)) == [units(80)]


@pytest.mark.parametrize("state", ["trial", "paused"])
@pytest.mark.parametrize("bill_trial_usage", [False, True])
def test_a_trial_and_a_pause_have_no_minimum(state: str, bill_trial_usage: bool) -> None:
    catalogue = a_catalogue(replace(PLAN, bill_trial_usage=bill_trial_usage))
    books = Books.open(catalogue, MARCH)
    phase = replace(books.account.current, state=state)  # type: ignore[arg-type]
    books.account = replace(books.account, phases=(phase,))
    assert true_ups(draft(books)) == []


def test_a_part_of_a_period_has_its_part_of_the_minimum() -> None:
    books = with_usage(a_catalogue(PLAN), 2, started=21)
    assert true_ups(draft(books)) == [units("31.26")]  # 100 × 10/31, less 1.00


def change(books: Books, wanted: Plan) -> None:
    opening = change_now(
        books.account,
        books.subscription,
        current=books.catalogue.plan(books.account.current.plan, 1),
        wanted=Target(wanted),
        grants=books.held(),
        now=MIDDLE,
    ).opening
    books.account, books.subscription = opening.account, opening.subscription


def test_the_phases_of_a_period_are_taken_together() -> None:
    other = replace(PLAN, key="other", minimum_nanos=units(300), default=False)
    books = with_usage(a_catalogue(PLAN, other), 160)  # 80 of 50
    change(books, other)
    add_usage(books, 100)  # 50 of 150
    [line] = [line for line in draft(books).lines if line.kind == "minimum"]
    assert (line.minimum, line.amount) == (units(200), units(70))
    assert (line.start, line.end, line.of) == (MARCH, APRIL, (1, 2))


def test_usage_on_a_plan_without_a_minimum_does_not_count() -> None:
    other = replace(PLAN, key="other", minimum_nanos=0)
    wanted = replace(PLAN, default=False)
    books = with_usage(a_catalogue(other, wanted), 160)
    change(books, wanted)
    assert true_ups(draft(books)) == [units(50)]


def test_a_period_that_a_change_of_rhythm_cuts_has_its_part() -> None:
    yearly = replace(PLAN, key="yearly", interval="year", period="anniversary", default=False)
    books = with_usage(a_catalogue(replace(PLAN, period="anniversary"), yearly), 0)
    change(books, yearly)
    assert true_ups(draft(books)) == [units(50)]
    books = with_usage(a_catalogue(PLAN, yearly), 0, started=8)
    change(books, yearly)
    assert true_ups(draft(books)) == [units("24.19")]  # 7.5 of 31 days


def test_late_usage_counts_towards_the_minimum_of_the_period_that_bills_it() -> None:
    books = with_usage(a_catalogue(PLAN), 20)
    books.open_next()
    books.close(APRIL + HOUR)
    late = usage("acme", "late", MARCH + DAY)
    books.apply([a_record(late, 90_000, books.catalogue)])
    assert true_ups(draft(books)) == [units("99.5")]


def test_what_corrections_give_back_is_not_taken_back_by_a_true_up() -> None:
    books = with_usage(a_catalogue(PLAN), 120)
    usage_line = draft(books).lines[0]
    assert (usage_line.kind, usage_line.amount) == ("usage", units(60))
    for late, missing in ((-30, 40), (0, 40), (30, 10)):
        lines = (usage_line, replace(usage_line, late=True, amount=units(late)))
        invoice = replace(draft(books), lines=lines)
        found = with_true_up(invoice, books.account, books.subscription, books.catalogue)
        assert true_ups(found) == [units(missing)]


def test_what_credits_paid_for_counts_in_money_and_in_credits() -> None:
    books = with_usage(a_catalogue(PLAN), 0)
    granted(books, "USD", 60)
    add_usage(books, 120)
    invoice = draft(books)
    assert [line.amount for line in invoice.lines] == [units(60), -units(60), units(40)]
    # 300 sparks of 0.05 are worth 15; 100 more are overage of 5.
    books = with_usage(a_catalogue(IN_SPARKS), 0)
    granted(books, "sparks", 300)
    add_usage(books, 40)
    invoice = draft(books)
    assert [line.kind for line in invoice.lines] == [
        "usage",
        "credits_applied",
        "overage",
        "minimum",
    ]
    assert (invoice.lines[-1].amount, invoice.lines[-1].of) == (units(80), (2, 3))


def test_credits_that_were_never_worth_money_do_not_count() -> None:
    catalogue = a_catalogue(replace(IN_SPARKS, on_exhausted="block"))
    units_of = {"sparks": replace(catalogue.units["sparks"], values=())}
    books = with_usage(replace(catalogue, units=units_of), 0)
    granted(books, "sparks", 300)
    add_usage(books, 10)
    assert true_ups(draft(books)) == [units(100)]


def test_a_coupon_takes_its_share_of_the_true_up_and_counts_for_nothing_towards_it() -> None:
    books = with_usage(a_catalogue(PLAN), 100)
    half = Coupon("half", 1, "Half", percentage=Decimal(50))
    coupon = AppliedCoupon("cp_1", half, MARCH, 1)
    books.subscription = replace(books.subscription, coupons=(coupon,))
    invoice = draft(books)
    assert [line.amount for line in invoice.lines] == [units(50), units(50), -units(50)]
