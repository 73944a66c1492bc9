"""Prices against worked examples, their laws, and an oracle in exact fractions."""

from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.prices import Graduated, PerUnit, Price, Tier
from shared.domain.pricing import Usage, explain
from shared.domain.pricing import price_nanos as nanos_of_usage

NANO = 10**9


def price_nanos(price: Price, quantity: Decimal) -> int:
    return nanos_of_usage(price, Usage(quantity))


def decimals(places: int, largest: int) -> st.SearchStrategy[Decimal]:
    steps = st.integers(0, largest * 10**places)
    return steps.map(lambda n: Decimal(n).scaleb(-places))


def quantities() -> st.SearchStrategy[Decimal]:
    small = st.integers(0, 40).map(lambda halves: Decimal(halves) / 2)
    return small | decimals(9, 10**12)


@st.composite
def graduated_prices(draw: st.DrawFn) -> Graduated:
    widths = draw(st.lists(st.integers(1, 20) | st.integers(1, 10**12), max_size=5))
    bounds: list[Decimal | None] = []
    reached = Decimal(0)
    for width in widths:
        reached += width
        bounds.append(reached)
    bounds.append(None)
    money = decimals(12, 1000)
    return Graduated(tuple(Tier(bound, draw(money), draw(money)) for bound in bounds))


def prices() -> st.SearchStrategy[Price]:
    return decimals(12, 10**4).map(PerUnit) | graduated_prices()


def oracle_nanos(price: Price, quantity: Decimal) -> int:
    """The price in fractions, each tier by its own definition, rounded once at the end."""
    used = Fraction(quantity)
    if isinstance(price, PerUnit):
        exact = used * Fraction(price.unit_price)
    else:
        exact = Fraction(0)
        lower = Fraction(0)
        for position, tier in enumerate(price.tiers):
            upper = used if tier.up_to is None else Fraction(tier.up_to)
            inside = max(Fraction(0), min(used, upper) - lower)
            exact += inside * Fraction(tier.unit_price)
            if position == 0 or used > lower:
                exact += Fraction(tier.flat_fee)
            lower = upper
    doubled = exact * NANO * 2
    return (doubled.numerator // doubled.denominator + 1) // 2  # half up, as nothing is negative


TIERS = Graduated(
    (
        Tier(Decimal(10), Decimal(1), Decimal(5)),
        Tier(Decimal(20), Decimal("0.5"), Decimal(2)),
        Tier(None, Decimal("0.1")),
    )
)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [
        ("0", "5"),  # the first tier's flat fee is due at zero usage
        ("0.000000001", "5.000000001"),
        ("10", "15"),  # a bound is inclusive
        ("10.5", "17.25"),  # half a unit in the second tier brings its flat fee
        ("20", "22"),
        ("21", "22.1"),
        ("-3", "5"),  # corrections below zero bill as zero usage
    ],
)
def test_graduated(quantity: str, amount: str) -> None:
    assert price_nanos(TIERS, Decimal(quantity)) == Decimal(amount) * NANO


def test_a_closed_last_tier_prices_nothing_beyond_its_bound() -> None:
    price = Graduated((Tier(Decimal(10), Decimal(1)),))
    assert price_nanos(price, Decimal(11)) == 10 * NANO


def test_per_unit_rounds_the_total_once_half_away_from_zero() -> None:
    price = PerUnit(Decimal("0.0000000005"))
    assert [price_nanos(price, Decimal(n)) for n in range(5)] == [0, 1, 1, 2, 2]


def test_explain_names_each_tier() -> None:
    lines = [(s.tier, s.units, s.amount) for s in explain(TIERS, Usage(Decimal("10.5")))]
    assert lines == [(1, Decimal(10), Decimal(15)), (2, Decimal("0.5"), Decimal("2.25"))]


@given(prices(), quantities())
def test_equals_the_oracle(price: Price, quantity: Decimal) -> None:
    assert price_nanos(price, quantity) == oracle_nanos(price, quantity)


@given(prices(), quantities(), quantities())
def test_never_falls_as_usage_grows(price: Price, one: Decimal, other: Decimal) -> None:
    less, more = sorted((one, other))
    assert price_nanos(price, less) <= price_nanos(price, more)


@given(prices(), st.lists(decimals(9, 10**6), max_size=20), st.randoms())
def test_differences_add_up_to_the_total_however_usage_arrives(
    price: Price, parts: list[Decimal], random: Random
) -> None:
    def sum_of_differences(ordered: list[Decimal]) -> int:
        running, billed = Decimal(0), price_nanos(price, Decimal(0))
        for part in ordered:
            before = price_nanos(price, running)
            running += part
            billed += price_nanos(price, running) - before
        return billed

    shuffled = random.sample(parts, len(parts))
    whole = price_nanos(price, sum(parts, Decimal(0)))
    assert sum_of_differences(parts) == sum_of_differences(shuffled) == whole
