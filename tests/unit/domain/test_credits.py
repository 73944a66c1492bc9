"""Drawing credits: the declared order, the half-open life of a grant, never more than is left."""

import itertools
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.credits import Grant, Purse, draw_order
from tests.support.builders import APRIL, DAY, HOUR, MARCH

PLAIN = Grant("g", "acme", "sparks", 100, "promotion", MARCH, MARCH)
LATER = MARCH + DAY


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"priority": 1, "expires_at": None}, {"expires_at": APRIL}),
        ({"meters": ("tokens",), "expires_at": None}, {"expires_at": APRIL}),
        ({"expires_at": APRIL, "cost_basis": Decimal(1)}, {"expires_at": None}),
        ({"expires_at": APRIL - DAY, "effective_at": LATER}, {"expires_at": APRIL}),
        ({"effective_at": LATER}, {"cost_basis": Decimal("0.01")}),
        ({"cost_basis": Decimal(0)}, {"cost_basis": Decimal(1)}),
        ({"created_at": LATER}, {"effective_at": LATER}),
        ({"id": "z"}, {"id": "a", "created_at": LATER}),
        ({"id": "a"}, {"id": "b"}),
    ],
)
def test_what_is_drawn_first(first: dict[str, object], second: dict[str, object]) -> None:
    """Priority, restriction, expiry, cost, effective date, creation, id: in this order."""
    one = replace(PLAIN, **{"id": "one", **first})  # type: ignore[arg-type]
    two = replace(PLAIN, **{"id": "two", **second})  # type: ignore[arg-type]
    for grants in itertools.permutations([one, two]):
        purse = Purse(grants, {"sparks": {one.id: 100, two.id: 100}})
        _, after = purse.draw("sparks", 150, "tokens", LATER + HOUR)
        assert after.remaining == {"sparks": {two.id: 50}}


@pytest.mark.parametrize(
    ("at", "drawn"),
    [
        (LATER - timedelta(microseconds=1), 0),
        (LATER, 100),
        (APRIL - timedelta(microseconds=1), 100),
        (APRIL, 0),
    ],
)
def test_a_grant_is_active_from_its_effect_until_its_expiry(at: object, drawn: int) -> None:
    grant = replace(PLAIN, effective_at=LATER, expires_at=APRIL)
    purse = Purse([grant], {"sparks": {"g": 100}})
    assert purse.draw("sparks", 500, "tokens", at)[0] == drawn  # type: ignore[arg-type]
    voided = replace(grant, expires_at=None, voided_at=APRIL)
    purse = Purse([voided], {"sparks": {"g": 100}})
    assert purse.draw("sparks", 500, "tokens", at)[0] == drawn  # type: ignore[arg-type]


def test_a_grant_for_other_meters_or_of_another_unit_is_left_alone() -> None:
    restricted = replace(PLAIN, meters=("storage",))
    purse = Purse([restricted], {"sparks": {"g": 100}})
    assert purse.draw("sparks", 10, "tokens", LATER) == (0, purse)
    assert purse.draw("USD", 10, "storage", LATER) == (0, purse)
    assert purse.draw("sparks", 10, "storage", LATER)[0] == 10


grants = st.builds(
    lambda n, amount, priority, expires: replace(
        PLAIN,
        id=f"g{n}",
        amount=amount,
        priority=priority,
        expires_at=None if expires is None else MARCH + expires * HOUR,
    ),
    st.integers(0, 9),
    st.integers(1, 1000),
    st.integers(1, 3),
    st.none() | st.integers(1, 9),
)


@given(
    st.lists(grants, max_size=5, unique_by=lambda g: g.id),
    st.lists(st.tuples(st.integers(0, 900), st.integers(0, 10)), max_size=8),
)
def test_what_is_drawn_is_gone_and_nothing_else(
    held: list[Grant], usages: list[tuple[int, int]]
) -> None:
    purse = Purse(held, {"sparks": {g.id: g.amount for g in held}})
    by_id = {g.id: g for g in held}
    for wanted, hour in usages:
        at = MARCH + hour * HOUR
        before = purse.remaining.get("sparks", {})
        taken, purse = purse.draw("sparks", wanted, "tokens", at)
        after = purse.remaining.get("sparks", {})
        active = sum(nanos for g, nanos in before.items() if by_id[g].active_at(at))
        assert taken == min(wanted, active) == sum(before.values()) - sum(after.values())
        touched = {g for g in before if after.get(g) != before[g]}
        assert all(by_id[g].active_at(at) for g in touched)
        assert all(nanos > 0 for nanos in after.values())
        # All but the last of those touched are used up, in the declared order.
        in_order = sorted((by_id[g] for g in touched), key=draw_order)
        assert all(g.id not in after for g in in_order[:-1])
