"""Trials and pauses: spans in local days, nothing billed in them, and the first fee after them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.closing import draft_invoice
from shared.domain.entitlements import entitlement
from shared.domain.subscriptions import Target, change_now
from tests.support.books import Books, a_record
from tests.support.builders import DAY, HOUR, MARCH, a_catalogue, a_plan, units, usage

TRIED = a_plan(period="anniversary", trial_days=14)
OTHER = replace(TRIED, key="other", default=False, trial_days=30)
CATALOGUE = a_catalogue(TRIED, OTHER)


def opened(books: Books, wanted: Target, now: datetime) -> None:
    """Carries a change out."""
    current = books.catalogue.plan(books.account.current.plan, books.account.current.plan_version)
    change = change_now(
        books.account,
        books.subscription,
        current=current,
        wanted=wanted,
        grants=books.held(),
        now=now,
    )
    books.account, books.subscription = change.opening.account, change.opening.subscription
    books.grants |= {grant.id: grant for grant in change.opening.grants}


@pytest.mark.parametrize(
    ("timezone", "start", "end", "first_end"),
    [
        # The clocks go forward and back in the trial: its local time of day stays.
        (
            "Europe/Berlin",
            datetime(2026, 3, 20, 8, tzinfo=UTC),
            datetime(2026, 4, 3, 7, tzinfo=UTC),
            datetime(2026, 5, 3, 7, tzinfo=UTC),
        ),
        (
            "America/New_York",
            datetime(2026, 10, 25, 12, tzinfo=UTC),
            datetime(2026, 11, 8, 13, tzinfo=UTC),
            datetime(2026, 12, 8, 13, tzinfo=UTC),
        ),
        # Over a leap day, to a month's end.
        (
            "UTC",
            datetime(2028, 2, 17, tzinfo=UTC),
            datetime(2028, 3, 2, tzinfo=UTC),
            datetime(2028, 4, 2, tzinfo=UTC),
        ),
        (
            "UTC",
            datetime(2026, 1, 17, tzinfo=UTC),
            datetime(2026, 1, 31, tzinfo=UTC),
            datetime(2026, 2, 28, tzinfo=UTC),
        ),
    ],
)
def test_a_trial_lasts_local_days_and_the_first_paid_period_starts_at_its_end(
    timezone: str, start: datetime, end: datetime, first_end: datetime
) -> None:
    books = Books.open(CATALOGUE, start, timezone)
    trial = books.account.current
    assert (trial.state, trial.start, trial.end) == ("trial", start, end)
    books.open_next()
    paid = books.account.current
    assert (paid.state, paid.period, paid.start, paid.end) == ("active", 2, end, first_end)
    invoice = books.close(end + HOUR).invoice
    assert invoice is not None
    [fee] = [line for line in invoice.lines if line.kind == "fee"]
    assert (fee.amount, fee.start, fee.end) == (units(20), end, first_end)


@pytest.mark.parametrize(("bills", "amount"), [(False, 0), (True, units("1.07"))])
def test_usage_of_a_trial_is_metered_and_has_no_price_unless_the_plan_says_so(
    bills: bool, amount: int
) -> None:
    catalogue = a_catalogue(replace(TRIED, bill_trial_usage=bills))
    books = Books.open(catalogue, MARCH)
    books.apply([a_record(usage("acme", 1, MARCH + DAY), 1, catalogue)])
    assert ("sparks" in books.account.grants) is bills
    assert books.account.grants["meter:messages"] == {"p1-a0": units(9)}
    draft, _ = draft_invoice(books.account, books.subscription, catalogue, (), books.held())
    tokens = [line for line in draft.lines if line.meter == "tokens" and not line.where]
    assert [(line.count, line.amount) for line in tokens] == [(1, amount)]


def test_a_trial_counts_from_the_first_start_and_does_not_begin_again() -> None:
    books = Books.open(CATALOGUE, MARCH)
    opened(books, Target(OTHER), MARCH + 10 * DAY)
    assert books.account.current.state == "trial"
    assert books.account.current.end == MARCH + 30 * DAY
    opened(books, Target(TRIED), MARCH + 20 * DAY)
    current = books.account.current
    assert (current.state, current.start) == ("active", MARCH + 20 * DAY)
    assert books.subscription.trial_started_at == MARCH


def test_a_pause_gives_and_bills_nothing_and_periods_go_on() -> None:
    plan = a_plan(period="anniversary")
    books = Books.open(a_catalogue(plan), MARCH)
    opened(books, Target(plan, paused=True), MARCH + 10 * DAY)
    books.apply([a_record(usage("acme", 1, MARCH + 11 * DAY), 1, books.catalogue)])
    paused = books.account.current
    assert (paused.state, paused.end) == ("paused", datetime(2026, 4, 1, tzinfo=UTC))
    assert [(t.count, t.amount) for t in paused.totals][1:3] == [(1, 0)] * 2
    assert [key for key in books.grants if key.startswith("p2-")] == []
    books.open_next()
    assert books.account.current.state == "paused"
    opened(books, Target(plan), MARCH + 46 * DAY)
    resumed = books.account.current
    assert (resumed.state, resumed.end) == ("active", datetime(2026, 5, 1, tzinfo=UTC))
    assert books.grants["p4-a0"].amount == units(5)


def test_a_trial_entitles_to_what_has_no_price_and_a_pause_to_nothing() -> None:
    strict = replace(TRIED, on_exhausted="block", features={"sso": True})
    books = Books.open(a_catalogue(strict), MARCH)

    def allowed(name: str) -> tuple[bool, str | None]:
        found = entitlement(books.account, books.catalogue, name, MARCH + 2 * DAY)
        return found.allowed, found.reason

    assert [allowed(name) for name in ("tokens", "messages", "sso")] == [(True, None)] * 3
    opened(books, Target(strict, paused=True), MARCH + DAY)
    assert [allowed(name) for name in ("tokens", "messages", "sso")] == [(False, "paused")] * 3


def test_each_seat_has_its_fee_and_what_the_plan_gives() -> None:
    plan = a_plan()
    books = Books.open(a_catalogue(plan), MARCH)
    books.subscription = replace(books.subscription, next_quantity=3)
    books.open_next()
    assert books.account.current.quantity == books.subscription.quantity == 3
    assert books.grants["p2-a0"].amount == units(30)
    invoice = books.close(MARCH + timedelta(days=31, hours=1)).invoice
    assert invoice is not None
    [fee] = [line for line in invoice.lines if line.kind == "fee"]
    assert (fee.amount, fee.quantity) == (units(60), 3)
