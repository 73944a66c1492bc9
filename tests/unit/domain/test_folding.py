"""Folding: the outcome is the stream's, never the batches', and every nano is accounted for."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.accounts import Account, allowance_unit
from shared.domain.catalogue import IncludedCredits
from shared.domain.records import Record
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, HOUR, MARCH, MAY, a_catalogue, a_plan, units, usage

SHARD = "shard-1"
GENEROUS = a_plan(
    credits=(
        IncludedCredits("sparks", units(9), rollover_max_nanos=units(4)),
        IncludedCredits("sparks", units(3), "never"),
        IncludedCredits("sparks", units(2), "P20D", rollover_max_nanos=units(2)),
        IncludedCredits("USD", units(1)),
    )
)
CATALOGUE = a_catalogue(GENEROUS)

quantities = st.decimals("0", "40", places=9, allow_nan=False)
models = st.sampled_from(["large", "small", ""])
# From a day before the customer began to two months after, mostly near the two boundaries.
moments = st.one_of(
    st.integers(-24, 24 * 75),
    st.integers(24 * 31 - 2, 24 * 31 + 2),
    st.integers(24 * 61 - 2, 24 * 61 + 2),
).map(lambda hours: MARCH + hours * HOUR)


@st.composite
def record_lists(draw: st.DrawFn) -> list[Record]:
    count = draw(st.integers(1, 14))
    records = []
    for number in range(count):
        at = draw(moments)
        if draw(st.booleans()):
            data = {"tokens": draw(quantities), "model": draw(models)}
            event = usage("acme", number, at, data)
        else:
            event = usage("acme", number, at, {"gb": draw(quantities)}, type="disk")
        records.append(a_record(event, (number + 1) * 10, CATALOGUE))
    return records


def cut(records: Sequence[Record], places: set[int]) -> list[list[Record]]:
    """The records in batches that end at these places."""
    batches: list[list[Record]] = [[]]
    for index, record in enumerate(records):
        batches[-1].append(record)
        if index in places:
            batches.append([])
    return batches


def comparable(books: Books) -> tuple[object, ...]:
    """Everything but how many writes it took."""
    account = replace(books.account, version=0)
    late = [(late.event.key, late.phase, late.period) for late in books.late]
    return account, books.closed, late, books.subscription.anchor, books.grants


def run(records: Sequence[Record], places: set[int], close_at: int | None) -> Books:
    """The records in batches; at one place in the stream the first period closes."""
    books = Books.open(CATALOGUE, MARCH)
    before = records if close_at is None else records[:close_at]
    for batch in cut(before, places):
        books.apply(batch)
    if close_at is not None:
        while books.account.current.period == 1:
            books.open_next()
        books.close(APRIL + HOUR)
        books.break_expired(APRIL + HOUR)
        for batch in cut(records[close_at:], {place - close_at for place in places}):
            books.apply(batch)
    return books


@given(record_lists(), st.sets(st.integers(0, 14)), st.none() | st.integers(0, 10))
def test_how_a_stream_is_cut_into_batches_does_not_matter(
    records: list[Record], places: set[int], close_at: int | None
) -> None:
    whole = run(records, set(), close_at)
    assert comparable(run(records, places, close_at)) == comparable(whole)
    assert comparable(run(records, set(range(99)), close_at)) == comparable(whole)


@given(record_lists(), st.lists(st.integers(1, 5), max_size=8), st.none() | st.integers(0, 10))
def test_a_record_delivered_again_changes_nothing(
    records: list[Record], steps_back: list[int], close_at: int | None
) -> None:
    once = run(records, set(), close_at)
    books = run(records, set(range(99)), close_at)
    for back in steps_back:
        assert books.apply(records[-back:]) == 0
    assert comparable(books) == comparable(once)


@given(record_lists(), st.none() | st.integers(0, 10))
def test_every_nano_is_accounted_for(records: list[Record], close_at: int | None) -> None:
    books = run(records, set(), close_at)
    assert books.rejected == []
    used: dict[str, int] = {}
    counted = 0
    for key, version, totals in books.all_totals():
        cards = CATALOGUE.plan(key, version).rate_cards
        for rate, total in zip(cards, totals, strict=True):
            assert total.amount == total.drawn + total.overage
            assert min(total.drawn, total.overage, total.covered) >= 0
            counted += total.count
            used[rate.unit] = used.get(rate.unit, 0) + total.drawn
            meter = allowance_unit(rate.meter)
            used[meter] = used.get(meter, 0) + int(total.covered * 10**9)
    assert counted == sum(len(record.measurements) for record in records)
    if close_at is None:  # Nothing was broken yet.
        for unit, drawn in used.items():
            # What rolled over was granted before, and only moved.
            given_ = sum(g.amount for g in books.grants.values() if g.unit == unit)
            moved = sum(g.amount for g in books.grants.values() if g.unit == unit and "-r-" in g.id)
            assert given_ - moved - drawn == books.account.remaining(unit)
    for unit, left in books.account.grants.items():
        for grant, nanos in left.items():
            assert 0 < nanos <= books.grants[grant].amount
            assert books.grants[grant].unit == unit


@given(record_lists(), st.lists(st.booleans(), min_size=14, max_size=14))
def test_two_shards_count_everything_once_in_any_order(
    records: list[Record], to_second: list[bool]
) -> None:
    books = Books.open(CATALOGUE, MARCH)
    shards = {name: [] for name in ("a", "b")}  # type: dict[str, list[Record]]
    for record, second in zip(records, to_second, strict=False):
        shards["b" if second else "a"].append(record)
    for size in (2, 99):
        for shard, theirs in shards.items():
            books.apply(theirs[:size], shard)
    for shard, theirs in shards.items():
        assert books.apply(theirs, shard) == 0
    in_order = run(records, set(), None)
    mine = [t for _, _, totals in books.all_totals() for t in totals]
    others = [t for _, _, totals in in_order.all_totals() for t in totals]
    same = [(t.count, t.value, t.checksum) for t in others]
    assert [(t.count, t.value, t.checksum) for t in mine] == same
    assert sum(t.amount - t.drawn - t.overage for t in mine) == 0


def test_a_spent_grant_does_not_raise_what_rolls_over() -> None:
    """The cap of a grant with nothing left counts neither in one batch nor in two."""
    included = (
        IncludedCredits("sparks", units(1), rollover_max_nanos=units(9)),
        IncludedCredits("sparks", units(5), rollover_max_nanos=units(2)),
    )
    catalogue = a_catalogue(a_plan(credits=included))
    first = usage("acme", 1, MARCH + HOUR, {"gb": Decimal(2)}, type="disk")
    next_month = usage("acme", 2, APRIL, {"gb": Decimal(0)}, type="disk")
    records = [a_record(first, 1, catalogue), a_record(next_month, 2, catalogue)]
    together, apart = Books.open(catalogue, MARCH), Books.open(catalogue, MARCH)
    together.apply(records)
    apart.apply(records[:1])
    apart.apply(records[1:])
    assert together.account.grants == apart.account.grants
    assert together.account.grants["sparks"]["p2-r-sparks"] == units(2)


def test_what_is_left_is_topped_up_to_the_least_that_rolls_over() -> None:
    """Rolled over is min(max, max(min, balance)), and what was not there is a grant of its own."""
    included = IncludedCredits(
        "sparks", units(9), rollover_max_nanos=units(6), rollover_min_nanos=units(4)
    )
    plan = a_plan(credits=(included,))
    cases = ((0, 6, 0), (4, 5, 0), (5, 4, 0), (6, 3, 1), (9, 0, 4), (99, 0, 4))
    for used, rolled, lacking in cases:
        books = Books.open(a_catalogue(plan), MARCH)
        half = usage("acme", 1, MARCH + HOUR, {"gb": Decimal(2 * used)}, type="disk")
        books.apply([a_record(half, 1, books.catalogue)])
        books.open_next()
        amounts = {"p2-r-sparks": rolled, "p2-m0": lacking, "p2-c0": 9}
        held = {grant: units(amount) for grant, amount in amounts.items() if amount}
        mine = {**books.account.grants["sparks"]}
        assert mine.pop("p1-c0", 0) == units(max(0, 3 - used))  # It has expired.
        assert mine == held, used


@pytest.mark.parametrize(
    ("expires", "rollover_max", "kept"),
    [("period_end", 6, "p2-r-sparks"), ("never", 0, "p1-c0"), ("P40D", 0, "p1-c0")],
)
def test_a_refill_brings_what_is_left_to_the_amount_and_never_above(
    expires: str, rollover_max: int, kept: str
) -> None:
    included = IncludedCredits(
        "sparks", units(9), expires, rollover_max_nanos=units(rollover_max), refill=True
    )
    for used in (0, 2, 4, 9, 99):
        books = Books.open(a_catalogue(a_plan(credits=(included,))), MARCH)
        first = replace(books.grants["p1-c0"], rollover_max=0, expires_at=None)
        bought = replace(first, id="bought", source="purchase", priority=200)
        books.grants["bought"] = bought
        held = {**books.account.grants["sparks"], "bought": units(9)}
        books.account = replace(books.account, grants={"sparks": held})
        half = usage("acme", 1, MARCH + HOUR, {"gb": Decimal(2 * used)}, type="disk")
        books.apply([a_record(half, 1, books.catalogue)])
        books.open_next()
        own = {g: n for g, n in books.account.grants["sparks"].items() if g != "bought"}
        stays = min(max(0, 9 - used), rollover_max or 9)
        expected = {kept: units(stays), "p2-c0": units(9 - stays)}
        over = own.pop("p1-c0", 0) if kept != "p1-c0" else 0  # It has expired.
        assert over == units(max(0, 9 - used) - stays)
        assert own == {grant: nanos for grant, nanos in expected.items() if nanos}


def test_usage_from_before_the_customer_began_draws_what_the_first_phase_was_given() -> None:
    books = Books.open(CATALOGUE, MARCH)
    books.apply([a_record(usage("acme", 1, MARCH - HOUR), 1, CATALOGUE)])
    [_, _, messages, _] = books.account.current.totals
    assert (messages.covered, messages.amount) == (1, 0)


def test_a_period_opens_exactly_between_the_records_it_falls_between() -> None:
    last, first = APRIL - timedelta(microseconds=1), APRIL
    books = Books.open(CATALOGUE, MARCH)
    records = [a_record(usage("acme", n, at), n, CATALOGUE) for n, at in enumerate([last, first])]
    assert books.apply(records) == 3
    assert [phase.totals[1].count for phase in books.account.phases] == [1, 1]


def test_usage_far_ahead_opens_no_more_phases_than_an_account_holds() -> None:
    books = Books.open(CATALOGUE, MARCH)
    far = a_record(usage("acme", 1, MARCH + timedelta(days=400)), 1, CATALOGUE)
    books.apply([far])
    [(record, error)] = books.rejected
    assert (record, error.code) == (far, "unratable")


def test_late_usage_continues_the_tiers_of_its_closed_phase() -> None:
    """60 tokens at 0.01 and 1.00 flat, then 60 late ones: 40 at 0.01, 20 at 0.002 and 0.50."""
    books = Books.open(CATALOGUE, MARCH)
    sixty = {"tokens": Decimal(60), "model": "small"}
    on_time = a_record(usage("acme", 1, MARCH + HOUR, sixty), 1, CATALOGUE)
    late = [a_record(usage("acme", n, MARCH + HOUR, sixty), n, CATALOGUE) for n in (2, 3)]
    books.apply([on_time])
    books.open_next()
    frozen = books.close(APRIL + HOUR).closed[0].billed[1]
    books.apply(late[:1])
    assert frozen.amount == units("1.60")
    assert books.account.late[1][1].amount == units("0.40") + units("0.04") + units("0.50")
    assert [(each.phase, each.period) for each in books.late] == [(1, 2)]
    books.open_next()
    closing = books.close(MAY + HOUR)
    assert closing.invoice is not None
    [line] = [x for x in closing.invoice.lines if x.late and x.meter == "tokens"]
    assert (line.start, line.end, line.count) == (MARCH, APRIL, 1)
    assert books.closed[1].billed[1].amount == units("2.54")
    assert books.closed[1].phase.totals[1] == frozen
    assert books.account.late == {}
    books.apply(late[1:])
    assert books.account.late[1][1].amount == units("0.12")


@example(units_left=0)
@given(st.integers(0, 5))
def test_a_version_grows_by_one_with_every_write(units_left: int) -> None:
    books = Books.open(CATALOGUE, MARCH)
    at: Sequence[datetime] = [MARCH, MAY, MARCH, APRIL][: units_left + 1]
    steps = books.apply([a_record(usage("acme", n, t), n, CATALOGUE) for n, t in enumerate(at)])
    account: Account = books.account
    assert account.version == 1 + steps
