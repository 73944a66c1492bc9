"""Recounting: gaps, what makes them, which quarters a phase has, what is under way."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import Phase, Totals
from shared.domain.checkpoints import LIFETIME_SECONDS, Checkpoints
from shared.domain.missing import find_missing
from shared.domain.reconciliation import (
    PhaseTotals,
    cut_quarters,
    gaps,
    holds,
    in_flight,
    misrated,
    total_of,
)
from shared.domain.usage_hours import REDRIVE, Quarter
from tests.support.builders import APRIL, HOUR, MARCH, a_catalogue

MINUTE = timedelta(minutes=1)
NOW = 10**6


def some(count: int, seed: int = 1) -> list[tuple[int, Quarter]]:
    """Candidates with values that repeat and checksums that do not."""
    draw = random.Random(seed)
    return [(n, Quarter(1, Decimal(n % 5), draw.getrandbits(64))) for n in range(count)]


def gap_of(candidates: Sequence[tuple[int, Quarter]], *missing: int) -> Quarter:
    return total_of(candidates[n][1] for n in missing)


@pytest.mark.parametrize(
    "missing",
    [
        (0,),
        (19,),
        tuple(range(20)),
        tuple(range(5, 12)),
        (3, 17),
        tuple(n for n in range(20) if n != 7),
        tuple(n for n in range(20) if n not in (4, 16)),
        (0, 1, 2, 17, 18, 19),
    ],
)
def test_missing_events_are_found_by_their_checksum(missing: tuple[int, ...]) -> None:
    candidates = some(20)
    found = find_missing(candidates, gap_of(candidates, *missing))
    assert found is not None
    assert tuple(sorted(found)) == missing


def test_missing_events_may_count_once_for_each_meter() -> None:
    candidates = [(n, replace(own, count=3)) for n, own in some(40)]
    most = tuple(range(2, 40))
    assert find_missing(candidates, gap_of(candidates, *most)) == most


def test_every_run_of_any_candidates_is_found() -> None:
    for seed in range(30):
        candidates = some(12, seed)
        for first in range(12):
            for last in range(first, 12):
                run = tuple(range(first, last + 1))
                found = find_missing(candidates, gap_of(candidates, *run))
                assert found is not None
                assert tuple(sorted(found)) == run


@pytest.mark.parametrize(
    "gap",
    [
        Quarter(1, Decimal(1), 5),
        Quarter(-1, Decimal(0), 0),
        Quarter(0, Decimal(3), 0),
        Quarter(21, Decimal(0), 0),
    ],
)
def test_what_no_events_make_is_not_found(gap: Quarter) -> None:
    assert find_missing(some(20), gap) is None


def test_a_right_checksum_with_a_wrong_sum_is_not_found() -> None:
    candidates = some(20)
    gap = gap_of(candidates, 3, 4, 5)
    assert find_missing(candidates, replace(gap, value=gap.value + 1)) is None


def test_of_few_candidates_any_are_found() -> None:
    candidates = some(38)
    scattered = tuple(range(0, 38, 3))
    found = find_missing(candidates, gap_of(candidates, *scattered))
    assert found is not None
    assert tuple(sorted(found)) == scattered


def test_scattered_events_among_many_are_not_guessed() -> None:
    candidates = some(40)
    assert find_missing(candidates, gap_of(candidates, 2, 13, 25, 38)) is None


@pytest.mark.parametrize(
    "missing",
    [
        (11, *range(13, 17), *range(19, 40)),
        (2, *range(4, 25)),
        (3, *range(5, 30), 33, 35),
        (12, 14, 17, 21),
        (*range(10), 12, 30, *range(32, 40)),
    ],
)
def test_the_order_of_receipt_may_differ_at_the_ends_of_a_run(missing: tuple[int, ...]) -> None:
    candidates = some(40)
    found = find_missing(candidates, gap_of(candidates, *missing))
    assert found is not None
    assert tuple(sorted(found)) == missing


def test_a_ragged_run_is_found_among_very_many() -> None:
    candidates = some(20_000)
    missing = (7_000, *range(7_002, 15_000), 15_002)
    found = find_missing(candidates, gap_of(candidates, *missing))
    assert found is not None
    assert tuple(sorted(found)) == missing


def test_equal_tallies_have_no_gap() -> None:
    one = Quarter(1, Decimal("1.50"), 7)
    assert gaps({"a": one}, {"a": Quarter(1, Decimal("1.5"), 7), "b": Quarter()}) == {}
    assert gaps({}, {"a": one}) == {"a": Quarter(-1, Decimal("-1.5"), 2**64 - 7)}


def a_phase(number: int, **changes: object) -> Phase:
    terms = {"start": MARCH, "end": APRIL, "plan": "basic", "plan_version": 1, "totals": ()}
    return Phase(number, number, **{**terms, **changes})  # type: ignore[arg-type]


def test_the_first_phase_reaches_back_and_the_others_do_not() -> None:
    assert holds(a_phase(1), MARCH - HOUR)
    assert not holds(a_phase(2), MARCH - HOUR)
    assert holds(a_phase(2), MARCH)
    assert not holds(a_phase(1), APRIL)


def test_boundaries_inside_a_quarter_cut_it() -> None:
    assert cut_quarters(a_phase(2)) == set()
    assert cut_quarters(a_phase(2, start=MARCH + 30 * MINUTE)) == set()
    cut = a_phase(2, start=MARCH + 20 * MINUTE, end=APRIL + 59 * MINUTE)
    assert cut_quarters(cut) == {MARCH + 15 * MINUTE, APRIL + 45 * MINUTE}
    assert cut_quarters(replace(cut, number=1)) == {APRIL + 45 * MINUTE}


def test_an_hour_ahead_of_the_account_is_under_way() -> None:
    hour = Checkpoints().advanced("shard", 7, NOW)
    assert in_flight(hour, Checkpoints(), NOW)
    assert in_flight(hour, Checkpoints().advanced("shard", 6, NOW), NOW)
    assert not in_flight(hour, Checkpoints().advanced("shard", 7, NOW), NOW)
    assert not in_flight(hour, Checkpoints(), NOW + LIFETIME_SECONDS + 1)
    assert not in_flight(Checkpoints().advanced(REDRIVE, 1, NOW), Checkpoints(), NOW)


def test_amounts_that_are_not_the_price_are_told() -> None:
    catalogue = a_catalogue()
    zero = [Totals(), Totals(amount=10**9, overage=10**9), Totals(), Totals()]
    right = PhaseTotals(a_phase(1), tuple(zero), closed=False)
    assert list(misrated(right, catalogue)) == []
    dearer = replace(zero[1], amount=10**9 + 1)
    wrong = replace(right, totals=(zero[0], dearer, *zero[2:]))
    assert len(list(misrated(wrong, catalogue))) == 2
