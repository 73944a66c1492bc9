"""Changes at an instant: whoever meets it first carries them out, as if asked for then."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.accounts import MAX_OPEN_PHASES, RESERVED_PHASES
from shared.domain.closing import next_due, upcoming_fee
from shared.domain.subscriptions import Target, change_now, schedule_change
from tests.support.books import GRACE, Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

MIDDLE = MARCH + timedelta(days=15, hours=12)
BASIC = a_plan()
DEAR = a_plan(key="dear", name="Dear", fee_nanos=units(50), default=False)
WEEKLY = a_plan(key="weekly", interval="week", default=False)
CATALOGUE = a_catalogue(BASIC, DEAR, WEEKLY)


def scheduled(wanted: Target, at: datetime) -> Books:
    books = Books.open(CATALOGUE, MARCH)
    books.subscription = schedule_change(books.subscription, wanted)
    books.account = replace(books.account, changes_at=at)
    return books


def test_a_change_at_an_instant_is_what_a_change_then_would_be() -> None:
    books = scheduled(Target(DEAR), MIDDLE)
    early = a_record(usage("acme", 1, MIDDLE - timedelta(microseconds=1)), 1, CATALOGUE)
    books.apply([early])
    then = change_now(
        replace(books.account, changes_at=None),
        books.subscription.without_schedule(),
        current=BASIC,
        wanted=Target(DEAR),
        grants=books.held(),
        now=MIDDLE,
    ).opening
    books.open_next()
    assert books.account == then.account
    assert replace(books.subscription, version=0) == replace(then.subscription, version=0)
    assert then.invoice is not None
    assert then.invoice.total == units(15)


def test_usage_carries_it_out_between_the_records_that_it_falls_between() -> None:
    times = (MIDDLE - HOUR, MIDDLE, MIDDLE + DAY, MIDDLE - DAY)
    records = [a_record(usage("acme", n, at), n, CATALOGUE) for n, at in enumerate(times, 1)]
    together, apart = scheduled(Target(DEAR), MIDDLE), scheduled(Target(DEAR), MIDDLE)
    assert together.apply(records) == 3
    for record in records:
        apart.apply([record])
    assert together.account.phases == apart.account.phases
    first, second = together.account.phases
    assert (first.end, second.start, second.end) == (MIDDLE, MIDDLE, APRIL)
    assert (first.totals[2].count, second.totals[2].count) == (2, 2)
    assert (together.account.changes_at, together.subscription.scheduled) == (None, False)


def test_seats_at_an_instant_begin_no_phase() -> None:
    books = scheduled(Target(BASIC, 3), MIDDLE)
    books.open_next()
    assert len(books.account.phases) == 1
    assert (books.subscription.quantity, books.account.boundary) == (3, APRIL)


def test_a_change_in_a_later_period_waits_through_the_renewals() -> None:
    at = APRIL + DAY
    books = scheduled(Target(DEAR), at)
    assert next_due(books.account, (), GRACE) == APRIL
    books.open_next()
    assert (books.account.current.plan, books.account.boundary) == ("basic", at)
    books.open_next()
    assert (books.account.current.plan, books.account.current.start) == ("dear", at)
    assert next_due(books.account, (), GRACE) == APRIL + GRACE


def test_at_the_periods_end_it_is_the_next_periods() -> None:
    books = scheduled(Target(DEAR), APRIL)
    books.open_next()
    assert (books.account.current.plan, books.account.current.period) == ("dear", 2)
    assert books.account.changes_at is None


def test_the_upcoming_fee_is_that_of_what_will_be_in_force() -> None:
    for wanted, at, expected in (
        (Target(DEAR), MIDDLE, units(50)),
        (Target(BASIC, 3), MIDDLE, units(60)),
        (Target(DEAR), APRIL, units(50)),
        (Target(DEAR), APRIL + DAY, units(20)),
    ):
        books = scheduled(wanted, at)
        fee = upcoming_fee(books.account, 1, books.subscription, CATALOGUE)
        assert fee is not None
        assert (fee.nanos, fee.span.start, fee.span.end) == (expected, APRIL, MAY)
    # A plan with another rhythm begins a period of its own, whose fee is due then.
    books = scheduled(Target(WEEKLY), MIDDLE)
    assert upcoming_fee(books.account, 1, books.subscription, CATALOGUE) is None


def test_where_too_many_phases_are_open_it_waits_for_the_periods_end() -> None:
    books = scheduled(Target(DEAR), MIDDLE)
    [first] = books.account.phases
    crowd = MAX_OPEN_PHASES - RESERVED_PHASES
    phases = tuple(replace(first, number=n + 1) for n in range(crowd))
    books.account = replace(books.account, phases=phases)
    books.open_next()
    assert (len(books.account.phases), books.account.boundary) == (crowd, APRIL)
    books.open_next()
    assert (books.account.current.plan, books.account.current.start) == ("dear", APRIL)


def test_what_is_in_force_already_only_leaves_the_schedule() -> None:
    books = scheduled(Target(BASIC), MIDDLE)
    books.open_next()
    assert (len(books.account.phases), books.account.boundary) == (1, APRIL)
    assert not books.subscription.scheduled
