"""What rewards come to does not depend on how, when or how often usage is heard of."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.reward_rules import RewardCap, RewardRule
from shared.domain.rewards import RewardDay, RewardProgress, recounted

START = datetime(2026, 3, 1, tzinfo=UTC)
RULE = RewardRule("five", "calls", Decimal(5), "sparks", 10**9, START)
# Hours on both sides of a month's end, and what the meter counts in each, as it comes.
CHANGES = st.lists(
    st.tuples(st.integers(0, 1000), st.integers(1, 12).map(Decimal)), min_size=1, max_size=40
)


@given(CHANGES, st.randoms(use_true_random=False), st.booleans())
def test_any_order_and_redelivery_gives_the_floor_of_all_usage(
    changes: list[tuple[int, Decimal]], chance: "object", capped: bool
) -> None:
    rule = RULE
    if capped:
        rule = RewardRule(
            "five", "calls", Decimal(5), "sparks", 10**9, START, cap=RewardCap("month", 3 * 10**9)
        )
    totals: dict[datetime, Decimal] = {}
    for hours, quantity in changes:
        at = START + timedelta(hours=hours)
        totals[at] = totals.get(at, Decimal(0)) + quantity
    heard = [*totals, *list(totals)[: len(totals) // 2]]
    chance.shuffle(heard)  # type: ignore[attr-defined]
    progress, days, given_so_far = RewardProgress("ada", "five", START), {}, 0
    for at in heard:
        progress, changed = recounted(progress, days, {at: totals[at]})
        days |= {day.day: day for day in changed}
        given_so_far = max(given_so_far, rule.due(progress.months))
    assert progress.counted == sum(totals.values())
    march = sum((q for at, q in totals.items() if at.month == 3), Decimal(0))
    first, whole = int(march // 5), int(sum(totals.values()) // 5)
    expected = min(first, 3) + min(whole - first, 3) if capped else whole
    assert rule.due(progress.months) == expected * 10**9
    assert capped or given_so_far == expected * 10**9


def test_a_repeated_count_changes_nothing_and_a_correction_takes_back() -> None:
    progress = RewardProgress("ada", "five", START)
    progress, [day] = recounted(progress, {}, {START: Decimal(7)})
    again, changed = recounted(progress, {day.day: day}, {START: Decimal(7)})
    assert (again, changed) == (progress, [])
    less, [corrected] = recounted(progress, {day.day: day}, {START: Decimal(4)})
    assert corrected == RewardDay("ada", "five", "2026-03-01", {"00": Decimal(4)})
    assert (RULE.due(progress.months), RULE.due(less.months)) == (10**9, 0)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC)),
        (datetime(2026, 12, 31, 23, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)),
    ],
)
def test_rewards_expire_with_the_month_in_which_they_are_old_enough(
    now: datetime, expected: datetime
) -> None:
    rule = RewardRule("five", "calls", Decimal(5), "sparks", 10**9, START, expires_days=90)
    assert rule.expiry(now) == expected
    assert RULE.expiry(now) is None
