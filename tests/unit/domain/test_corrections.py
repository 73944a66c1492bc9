"""Events and their corrections, in any order and cut, come to what is in force."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.accounts import Totals
from shared.domain.corrections import History, correct
from shared.domain.events import CHECKSUM_MODULUS, Correction, UsageEvent, Value
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, a_catalogue, usage

CATALOGUE = a_catalogue()
NOW = MARCH + 20 * DAY

data = st.builds(
    lambda tokens, model: {"tokens": tokens, "model": model},
    st.decimals("0", "40", places=9, allow_nan=False),
    st.sampled_from(["large", "small", ""]),
)


@st.composite
def histories(draw: st.DrawFn) -> History:
    """An event with up to three corrections, of which the last may cancel it."""
    at = MARCH + draw(st.integers(0, 24 * 19)) * HOUR
    history = History(usage("acme", draw(st.integers(0, 10**9)), at, draw(data)))
    changes: list[dict[str, Value] | None] = list(draw(st.lists(data, max_size=2)))
    if draw(st.booleans()):
        changes.append(None)
    for change in changes:
        made = Correction(0, "reversal", "key", NOW, history.event.received_at)
        entries = correct(history, change, made, NOW)
        history = History(history.event, (*history.entries, *entries))
    return history


def counted(totals: Totals) -> tuple[object, ...]:
    return totals.count, totals.value, totals.checksum


def books_of(events: Sequence[UsageEvent], places: set[int]) -> Books:
    books = Books.open(CATALOGUE, MARCH)
    batch = []
    for number, event in enumerate(events):
        batch.append(a_record(event, number + 1, CATALOGUE))
        if number in places:
            books.apply(batch)
            books.apply(batch)
            batch = []
    books.apply(batch)
    assert not books.rejected
    return books


@given(
    st.lists(histories(), min_size=1, max_size=6, unique_by=lambda h: h.event.key),
    st.randoms(use_true_random=False),
    st.sets(st.integers(0, 30)),
)
def test_in_any_order_and_cut_they_come_to_what_is_in_force(
    histories: list[History], random: Random, places: set[int]
) -> None:
    entries = [entry for h in histories for entry in (h.event, *h.entries)]
    random.shuffle(entries)
    books = books_of(entries, places)
    in_force = [history.in_force for history in histories if history.effective is not None]
    recounted = books_of(in_force, set())
    phases = zip(books.account.phases, recounted.account.phases, strict=True)
    for mine, expected in ((a.totals, b.totals) for a, b in phases):
        assert list(map(counted, mine)) == list(map(counted, expected))
    for phase in books.account.phases:
        assert all(total.drawn + total.overage == total.amount for total in phase.totals)
    assert_conserved(books)


def assert_conserved(books: Books) -> None:
    """What was granted is drawn or left, and no grant holds more than it was given."""
    drawn: dict[str, int] = {}
    for plan, version, totals in books.all_totals():
        cards = CATALOGUE.plan(plan, version).rate_cards
        for card, total in zip(cards, totals, strict=True):
            drawn[card.unit] = drawn.get(card.unit, 0) + total.drawn
    for unit, left in books.account.grants.items():
        granted = {g.id: g.amount for g in books.grants.values() if g.unit == unit}
        assert all(0 < left[grant] <= granted[grant] for grant in left)
        if not unit.startswith("meter:"):
            assert sum(left.values()) + drawn.get(unit, 0) == sum(granted.values())


def test_a_replacement_of_the_same_value_is_told_from_what_it_replaced() -> None:
    sent = usage("acme", 1, MARCH + HOUR, {"tokens": Decimal(7), "model": "large"})
    history, shares = History(sent), [_share(sent)]
    for _ in range(2):
        made = Correction(0, "reversal", "key", NOW, sent.received_at)
        reversal, replacement = correct(history, sent.data, made, NOW)
        assert (shares[-1] + _share(reversal)) % CHECKSUM_MODULUS == 0
        history = History(sent, (*history.entries, reversal, replacement))
        shares.append(_share(replacement))
    assert len(set(shares)) == 3


def _share(event: UsageEvent) -> int:
    measurement, *_ = a_record(event, 1, CATALOGUE).measurements
    return measurement.checksum


def test_credits_that_expired_meanwhile_take_nothing_back() -> None:
    event = usage("acme", 1, MARCH + HOUR, {"tokens": Decimal(100), "model": "large"})
    books = books_of([event], set())
    for grant in books.grants.values():
        if grant.unit == "sparks":
            books.grants[grant.id] = replace(grant, expires_at=MARCH + DAY)
    made = Correction(0, "reversal", "key", NOW, event.received_at)
    [reversal] = correct(History(event), None, made, NOW)
    before = books.account.grants
    books.apply([a_record(reversal, 9, CATALOGUE)])
    large = books.account.phases[0].totals[0]
    assert (large.count, large.amount) == (0, 0)
    assert (large.drawn, large.overage) == (3 * 10**9, -3 * 10**9)
    assert books.account.grants.get("sparks") == before.get("sparks")


def test_spent_credits_go_back_to_their_grant() -> None:
    event = usage("acme", 1, MARCH + HOUR, {"tokens": Decimal(2000), "model": "large"})
    books = books_of([event], set())
    assert "sparks" not in books.account.grants
    made = Correction(0, "reversal", "key", NOW, event.received_at)
    [reversal] = correct(History(event), None, made, NOW)
    books.apply([a_record(reversal, 9, CATALOGUE)])
    assert books.account.remaining("sparks") == 50 * 10**9
    assert books.account.phases[0].totals[0] == Totals()
    assert books.account.validity.keys() >= set(books.account.open_grants)


def test_what_was_billed_is_credited_on_a_late_line_of_the_next_invoice() -> None:
    event = usage("acme", 1, MARCH + HOUR, {"tokens": Decimal(200), "model": "small"})
    books = books_of([event], set())
    books.open_next()
    books.close(APRIL + HOUR)
    made = Correction(0, "reversal", "key", APRIL + DAY, event.received_at)
    entries = correct(History(event), {"tokens": Decimal(50), "model": "small"}, made, APRIL + DAY)
    books.apply([a_record(entry, n, CATALOGUE) for n, entry in enumerate(entries, 9)])
    assert [late.event.key for late in books.late] == [entry.key for entry in entries]
    books.open_next()
    invoice = books.close(MAY + HOUR).invoice
    assert invoice is not None
    [line] = [line for line in invoice.lines if line.late and line.meter == "tokens"]
    # 100 at 0.01 and 1.00, 100 at 0.002 and 0.50 were billed; 50 at 0.01 and 1.00 are due.
    assert (line.amount, line.count, line.quantity) == (-1_200_000_000, 0, Decimal(-150))
    assert (line.start, line.end) == (MARCH, APRIL)
