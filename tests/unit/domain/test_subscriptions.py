"""Changing plans: fees by the second, allowances afresh, nothing taken back, nothing backdated."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from shared.domain.catalogue import METERING_ONLY, Catalogue, IncludedCredits, Plan
from shared.domain.errors import ConflictError
from shared.domain.periods import prorate
from shared.domain.subscriptions import (
    PlanChange,
    Target,
    change_now,
    check_currency,
    default_moment,
    fee_invoice,
    schedule_change,
)
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

MIDDLE = MARCH + timedelta(days=15, hours=12)
BASIC = a_plan()
DEAR = a_plan(key="dear", name="Dear", fee_nanos=units(50), default=False)
CATALOGUE = a_catalogue(BASIC, DEAR)


def change(books: Books, wanted: Plan, now: datetime, current: Plan = BASIC) -> PlanChange:
    return change_now(
        books.account,
        books.subscription,
        current=current,
        wanted=Target(wanted),
        grants=books.grants,
        now=now,
    )


def test_an_upgrade_takes_effect_at_once_and_a_downgrade_at_the_periods_end() -> None:
    assert default_moment(Target(BASIC), Target(DEAR)) == "now"
    assert default_moment(Target(DEAR), Target(BASIC)) == "period_end"
    books = Books.open(CATALOGUE, MARCH)
    terms = schedule_change(books.subscription, Target(DEAR))
    assert (terms.next_plan, terms.next_plan_version) == ("dear", 1)


def test_half_a_period_later_half_of_both_fees_is_settled() -> None:
    changed = change(Books.open(CATALOGUE, MARCH), DEAR, MIDDLE)
    assert [(fee.kind, fee.nanos) for fee in changed.fees] == [
        ("proration", -units(10)),
        ("fee", units(25)),
    ]
    account = changed.opening.account
    first, second = account.phases
    assert (first.end, second.start, second.end) == (MIDDLE, MIDDLE, APRIL)
    assert (first.period, second.period) == (1, 1)
    invoice = changed.opening.invoice
    assert invoice is not None
    assert (invoice.total, invoice.start, changed.gives_back) == (units(15), MIDDLE, False)
    terms = changed.opening.subscription
    assert fee_invoice(account, "change", (), terms) == (None, terms)


def test_the_new_phase_is_given_its_share_and_the_old_one_keeps_what_it_had() -> None:
    books = Books.open(CATALOGUE, MARCH)
    used = usage("acme", 1, MARCH + DAY)
    books.apply([a_record(used, 1, CATALOGUE)])
    opening = change(books, DEAR, MIDDLE).opening
    assert opening.account.grants["meter:messages"] == {"p1-a0": units(9), "p2-a0": units(5)}
    assert opening.account.grants["sparks"] == {"p1-c0": units(50), "p2-c0": units(25)}
    assert opening.account.version == books.account.version + 1


def test_tiers_start_afresh_and_each_phase_takes_the_usage_of_its_own_time() -> None:
    books = Books.open(CATALOGUE, MARCH)
    opening = change(books, DEAR, MIDDLE).opening
    books.account, books.subscription = opening.account, opening.subscription
    books.grants |= {grant.id: grant for grant in opening.grants}
    events = [usage("acme", 1, MIDDLE), usage("acme", 2, MIDDLE - timedelta(microseconds=1))]
    books.apply(a_record(event, n, CATALOGUE) for n, event in enumerate(events, 1))
    assert [phase.totals[1].amount for phase in books.account.phases] == [units("1.07")] * 2


def test_another_rhythm_starts_a_period_of_its_own() -> None:
    yearly = a_plan(key="yearly", interval="year", period="anniversary", fee_nanos=units(120))
    changed = change(Books.open(CATALOGUE, MARCH), yearly, MIDDLE)
    phase = changed.opening.account.current
    assert (phase.period, phase.start, phase.end) == (2, MIDDLE, MIDDLE.replace(year=2027))
    assert changed.opening.subscription.anchor == MIDDLE
    assert [fee.nanos for fee in changed.fees] == [-units(10), units(120)]


def on_dear(start: datetime = MARCH, timezone: str = "UTC") -> Books:
    dear = replace(DEAR, default=True)
    return Books.open(a_catalogue(dear, replace(BASIC, default=False)), start, timezone)


@pytest.mark.parametrize("used", [0, 2, 6, 10])
def test_a_downgrade_at_once_credits_what_is_unused_of_time_and_of_what_was_given(
    used: int,
) -> None:
    books = on_dear()
    events = [usage("acme", n, MARCH + DAY) for n in range(used)]
    books.apply(a_record(event, n, CATALOGUE) for n, event in enumerate(events, 1))
    changed = change(books, BASIC, MIDDLE, current=DEAR)
    credit = units(50) * min(5, 10 - used) // 10
    assert changed.gives_back
    assert [(fee.kind, fee.nanos) for fee in changed.fees] == [
        ("proration", -credit),
        ("fee", units(10)),
    ]
    invoice, left = changed.opening.invoice, changed.opening.subscription.credit_nanos
    assert invoice is not None
    assert (invoice.total, left) == (max(0, units(10) - credit), max(0, credit - units(10)))
    forward = [line.amount for line in invoice.lines if line.kind == "carried_forward"]
    assert forward == ([left] if left else [])


def test_changing_to_and_fro_collects_no_credits_that_refill() -> None:
    """What is there already is not given again, and does not count as used when money goes back."""
    refill = IncludedCredits("sparks", units(50), "never", refill=True)
    basic = replace(BASIC, credits=(refill,), allowances=())
    dear = replace(DEAR, credits=(refill,), allowances=())
    books = Books.open(a_catalogue(basic, dear), MARCH)
    for number, (plan, was) in enumerate([(dear, basic), (basic, dear), (dear, basic)], 1):
        at = MARCH + number * DAY
        changed = change(books, plan, at, current=was)
        books.account, books.subscription = changed.opening.account, changed.opening.subscription
        books.grants |= {grant.id: grant for grant in changed.opening.grants}
        assert books.account.grants["sparks"] == {"p1-c0": units(50)}
        [credited, charged] = changed.fees
        [back, forth] = (
            prorate(each.fee_nanos, int((APRIL - at).total_seconds()), 31 * 86400)
            for each in (was, plan)
        )
        assert (credited.nanos, charged.nanos) == (-back, forth)


def test_what_is_left_over_pays_for_later_invoices_until_it_is_used_up() -> None:
    books = on_dear()
    opening = change(books, BASIC, MARCH + timedelta(days=6, hours=4, minutes=48), DEAR).opening
    books.account, books.subscription = opening.account, opening.subscription
    books.grants |= {grant.id: grant for grant in opening.grants}
    assert books.subscription.credit_nanos == units(24)
    totals, lines = [], []
    for month in (4, 5, 6):
        books.open_next()
        invoice = books.close(datetime(2026, month, 1, 1, tzinfo=UTC)).invoice
        assert invoice is not None
        totals.append(invoice.total)
        lines.append([x.amount for x in invoice.lines if x.kind == "brought_forward"])
    # Each phase costs 1 at zero usage, and March has two.
    assert totals == [0, units(19), units(21)]
    assert lines == [[-units(22)], [-units(2)], []]
    assert books.subscription.credit_nanos == 0


@pytest.mark.parametrize(
    ("timezone", "start", "now", "days"),
    [
        ("UTC", datetime(2028, 1, 31, tzinfo=UTC), datetime(2028, 2, 29, tzinfo=UTC), (29, 29)),
        ("Europe/Berlin", datetime(2026, 3, 14, 23, tzinfo=UTC), None, (31, 31)),
        ("America/New_York", datetime(2026, 10, 15, 4, tzinfo=UTC), None, (31, 31)),
    ],
)
def test_the_second_of_the_actual_period_counts(
    timezone: str, start: datetime, now: datetime | None, days: tuple[int, int]
) -> None:
    anniversary = replace(DEAR, period="anniversary", default=True, allowances=(), credits=())
    cheap = replace(BASIC, period="anniversary", default=False, fee_nanos=0)
    books = Books.open(a_catalogue(anniversary, cheap), start, timezone)
    end = books.account.current.end
    whole = int((end - start).total_seconds())
    assert whole != days[0] * 86400 or timezone == "UTC"
    at = end - timedelta(seconds=1) if now is None else now
    changed = change(books, cheap, at, current=anniversary)
    part = int((end - at).total_seconds())
    exact = Fraction(units(50) * part, whole)
    assert [fee.nanos for fee in changed.fees] == [-int(exact + Fraction(1, 2))]


def test_another_currency_is_refused() -> None:
    terms = Books.open(CATALOGUE, MARCH).subscription
    with pytest.raises(ConflictError):
        check_currency(terms, a_plan(key="euro", currency="EUR", fee_nanos=units(90)))


def test_metering_alone_has_no_currency_and_no_fee_to_settle() -> None:
    books = Books.open(Catalogue(), MARCH)
    euro = a_plan(key="euro", currency="EUR", rates=())
    changed = change(books, euro, MIDDLE, current=METERING_ONLY)
    assert [fee.nanos for fee in changed.fees] == [units(10)]
    assert changed.opening.account.current.period == 2


def test_usage_ahead_of_the_clock_may_have_opened_the_next_period_already() -> None:
    books = Books.open(CATALOGUE, MARCH)
    books.open_next()
    changed = change(books, DEAR, APRIL - timedelta(minutes=1))
    [march, empty, dear] = changed.opening.account.phases
    assert (march.end, empty.start, empty.end) == (APRIL, APRIL, APRIL)
    assert (dear.start, dear.end) == (APRIL, MAY)
    books.account = changed.opening.account
    books.grants |= {grant.id: grant for grant in changed.opening.grants}
    books.apply([a_record(usage("acme", 1, APRIL + HOUR), 1, CATALOGUE)])
    assert books.account.current.totals[2].value == Decimal(1)


def test_usage_ahead_of_the_clock_stays_in_the_phase_that_took_it() -> None:
    books = Books.open(CATALOGUE, MARCH)
    ahead = MIDDLE + timedelta(minutes=4)
    books.apply([a_record(usage("acme", 1, ahead), 1, CATALOGUE)])
    first, second = change(books, DEAR, MIDDLE).opening.account.phases
    assert first.end == second.start == ahead + timedelta(microseconds=1)
    assert first.totals == books.account.current.totals


def test_a_customer_is_billed_in_one_currency_for_good() -> None:
    yen = a_plan(key="yen", currency="JPY", default=False, fee_nanos=0)
    catalogue = a_catalogue(replace(BASIC, default=False), yen)
    books = Books.open(catalogue, MARCH)
    to_yen = change(books, yen, MARCH, current=METERING_ONLY)
    assert to_yen.opening.subscription.currency == "JPY"
    books.account, books.subscription = to_yen.opening.account, to_yen.opening.subscription
    to_nothing = change(books, METERING_ONLY, MARCH, current=yen)
    with pytest.raises(ConflictError):
        check_currency(to_nothing.opening.subscription, BASIC)
