"""Opening periods: what a customer is given, what rolls over, and on which plan and rhythm."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import Account
from shared.domain.catalogue import METERING_ONLY, Allowance, Catalogue, IncludedCredits
from shared.domain.credits import Grant
from shared.domain.errors import RatingError
from shared.domain.opening import begin_next, open_next_period
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

HALF_OF_MARCH = MARCH + timedelta(days=15, hours=12)


def test_a_first_calendar_period_is_given_its_share_by_the_second() -> None:
    books = Books.open(a_catalogue(), HALF_OF_MARCH)
    assert (books.account.current.start, books.account.current.end) == (HALF_OF_MARCH, APRIL)
    assert books.account.grants == {
        "meter:messages": {"p1-a0": units(5)},
        "sparks": {"p1-c0": units(25)},
    }


def test_an_anniversary_period_is_whole_from_the_first() -> None:
    books = Books.open(a_catalogue(a_plan(period="anniversary")), HALF_OF_MARCH)
    assert books.account.current.end == HALF_OF_MARCH.replace(month=4)
    assert books.account.grants["sparks"] == {"p1-c0": units(50)}


def test_what_remains_rolls_over_up_to_the_cap_and_keeps_its_effect() -> None:
    books = Books.open(a_catalogue(), MARCH)
    books.open_next()
    assert books.account.grants["sparks"] == {
        "p1-c0": units(30),
        "p2-r-sparks": units(20),
        "p2-c0": units(50),
    }
    rolled = books.grants["p2-r-sparks"]
    assert (rolled.effective_at, rolled.expires_at) == (MARCH, MAY)
    # Usage of March still on its way draws what expired first, then what rolled over.
    late = usage("acme", 1, APRIL - HOUR, {"gb": Decimal(80)}, type="disk")
    books.apply([a_record(late, 1, books.catalogue)])
    assert books.account.grants["sparks"] == {"p2-r-sparks": units(10), "p2-c0": units(50)}


def test_what_rolled_over_rolls_over_again_within_the_same_cap() -> None:
    books = Books.open(a_catalogue(), MARCH)
    books.open_next()
    books.close(APRIL + HOUR)
    books.break_expired(APRIL + HOUR)
    books.open_next()
    assert books.account.grants["sparks"]["p3-r-sparks"] == units(20)


def test_less_than_the_cap_rolls_over_whole_and_allowances_never() -> None:
    books = Books.open(a_catalogue(), MARCH)
    used = usage("acme", 1, MARCH, {"gb": Decimal(90)}, type="disk")
    books.apply([a_record(used, 1, books.catalogue)])
    books.open_next()
    assert books.account.grants["sparks"] == {"p2-r-sparks": units(5), "p2-c0": units(50)}
    assert books.account.grants["meter:messages"] == {"p1-a0": units(10), "p2-a0": units(10)}


@pytest.mark.parametrize(
    ("expires", "expected"),
    [("period_end", APRIL), ("never", None), ("P90D", MARCH + 90 * DAY)],
)
def test_when_included_credits_expire(expires: str, expected: datetime | None) -> None:
    plan = a_plan(credits=(IncludedCredits("sparks", units(1), expires),))
    books = Books.open(a_catalogue(plan), MARCH)
    assert books.grants["p1-c0"].expires_at == expected


def test_a_flat_fee_at_zero_usage_is_due_at_once_and_draws_credits() -> None:
    books = Books.open(a_catalogue(), MARCH)
    assert books.account.current.totals[1].overage == units(1)
    plan = a_plan(credits=(IncludedCredits("USD", units("0.25")),))
    drawn = Books.open(a_catalogue(plan), MARCH).account.current.totals[1]
    assert (drawn.amount, drawn.drawn, drawn.overage) == (
        units(1),
        units("0.25"),
        units("0.75"),
    )


def test_nothing_is_billed_without_a_plan_and_a_default_takes_over_at_the_boundary() -> None:
    books = Books.open(Catalogue(), MARCH)
    assert (books.account.current.plan, books.account.grants) == (METERING_ONLY.key, {})
    books.catalogue = a_catalogue()
    books.open_next()
    assert (books.account.current.plan, books.account.current.start) == ("basic", APRIL)


def test_a_chosen_version_of_a_plan_takes_over_at_the_boundary() -> None:
    plans = (a_plan(), a_plan(key="pro", default=False), a_plan(key="pro", version=2))
    books = Books.open(a_catalogue(*plans), MARCH)
    books.subscription = replace(books.subscription, next_plan="pro", next_plan_version=1)
    books.open_next()
    phase = books.account.current
    assert (phase.plan, phase.plan_version) == ("pro", 1)
    assert books.subscription.next_plan is None


def test_a_new_version_in_the_same_rhythm_keeps_the_anchor_another_rhythm_takes_its_own() -> None:
    anchor = datetime(2026, 1, 31, tzinfo=UTC)
    february_end = datetime(2026, 2, 28, tzinfo=UTC)
    monthly = a_plan(period="anniversary")
    newer, yearly = replace(monthly, version=2), replace(monthly, version=3, interval="year")
    catalogue = a_catalogue(monthly, newer, yearly)
    books = Books.open(a_catalogue(monthly), anchor)
    for plan, end, moved in (
        (newer, datetime(2026, 3, 31, tzinfo=UTC), anchor),
        (yearly, datetime(2027, 2, 28, tzinfo=UTC), february_end),
    ):
        terms = replace(books.subscription, next_plan=plan.key, next_plan_version=plan.version)
        begun = begin_next(terms, books.account.current, catalogue)
        assert (begun.span.start, begun.span.end) == (february_end, end)
        assert begun.terms.anchor == moved


def test_an_account_holds_eight_open_phases() -> None:
    books = Books.open(a_catalogue(a_plan(interval="day")), MARCH)
    for _ in range(7):
        books.open_next()
    with pytest.raises(RatingError):
        books.open_next()


def test_an_expired_grant_is_not_drawn_by_the_new_period_even_while_it_is_still_held() -> None:
    plan = a_plan(credits=(), allowances=(Allowance("messages", Decimal(0)),))
    books = Books.open(a_catalogue(plan), MARCH)
    ending = Grant("gift", "acme", "sparks", units(9), "promotion", MARCH, MARCH, APRIL)
    books.grants["gift"] = ending
    books.account = replace(books.account, grants={"sparks": {"gift": units(9)}})
    april = usage("acme", 1, APRIL, {"gb": Decimal(2)}, type="disk")
    march = usage("acme", 2, APRIL - timedelta(microseconds=1), {"gb": Decimal(2)}, type="disk")
    records = [a_record(event, n, books.catalogue) for n, event in enumerate((april, march), 1)]
    books.apply(records)
    drawn = [phase.totals[3].drawn for phase in books.account.phases]
    assert drawn == [units(1), 0]
    assert books.account.grants == {"sparks": {"gift": units(8)}}


def test_opening_leaves_the_account_it_was_given_alone() -> None:
    books = Books.open(a_catalogue(), MARCH)
    before: Account = books.account
    open_next_period(before, books.subscription, books.catalogue, tuple(books.grants.values()))
    assert before == Books.open(a_catalogue(), MARCH).account
