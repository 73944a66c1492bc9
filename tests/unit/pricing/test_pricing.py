"""Prices against worked examples, their laws, and an oracle in exact fractions."""

from decimal import Decimal
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.prices import (
    Flat,
    Graduated,
    GraduatedPercentage,
    Package,
    Percentage,
    PerUnit,
    Price,
    RateTier,
    Tier,
    Volume,
    by_event,
    can_fall,
    price_of,
    price_values,
    tiers_of,
)
from shared.domain.pricing import Usage, event_nanos, explain, price_nanos, total, usage_of
from tests.support.random_prices import a_decimal, a_price, disagreement, some_usage

NANO = 10**9
CASES = 4000


def priced(price: Price, *quantities: str) -> Decimal:
    """What events of these quantities come to, in major units."""
    usage = usage_of(price, [Decimal(each) for each in quantities])
    return Decimal(price_nanos(price, usage)).scaleb(-9)


def tiers(*listed: tuple[str | None, str, str]) -> tuple[Tier, ...]:
    return tuple(
        Tier(None if up_to is None else Decimal(up_to), Decimal(price), Decimal(fee))
        for up_to, price, fee in listed
    )


TIERS = Graduated(tiers(("10", "1", "5"), ("20", "0.5", "2"), (None, "0.1", "0")))


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
    assert priced(TIERS, quantity) == Decimal(amount)


@pytest.mark.parametrize(
    ("quantity", "amount"),
    [("0", "5"), ("10", "15"), ("10.000000001", "7.000000001"), ("20", "12"), ("21", "2.1")],
)
def test_volume_prices_all_units_at_the_tier_they_reach(quantity: str, amount: str) -> None:
    assert priced(Volume(TIERS.tiers), quantity) == Decimal(amount)


def test_a_closed_last_tier_prices_nothing_beyond_its_bound() -> None:
    assert priced(Graduated((Tier(Decimal(10), Decimal(1)),)), "11") == 10


def test_per_unit_rounds_the_total_once_half_away_from_zero() -> None:
    price = PerUnit(Decimal("0.0000000005"))
    amounts = [price_nanos(price, Usage(Decimal(n))) for n in range(5)]
    assert amounts == [0, 1, 1, 2, 2]


def test_a_price_by_event_rounds_each_event() -> None:
    price = Percentage(Decimal("0.00000005"), min_per_event=Decimal(0))
    assert [event_nanos(price, Decimal(n)) for n in (0, 1, -1)] == [0, 1, -1]
    assert priced(price, "1", "1", "1") == Decimal("0.000000003")
    assert event_nanos(PerUnit(Decimal(1)), Decimal(1)) == 0


# What other engines' documentation says that their models come to.
LAGO_VOLUME = Volume(
    tiers(
        ("10000", "0.001", "10"),
        ("50000", "0.0008", "10"),
        ("100000", "0.0006", "10"),
        (None, "0.0004", "10"),
    )
)
LAGO_GRADUATED = Graduated(tiers(("100", "1", "0"), ("200", "0.5", "0"), (None, "0.1", "0")))
LAGO_RATES = GraduatedPercentage(
    (
        RateTier(Decimal(1000), Decimal(1), Decimal(200)),
        RateTier(Decimal(10000), Decimal(2), Decimal(300)),
        RateTier(None, Decimal(3), Decimal(400)),
    )
)
LAGO_PACKAGE = Package(Decimal(100), Decimal(5), free_units=Decimal(100))
LAGO_CARDS = Percentage(Decimal("2.9"), Decimal("0.30"))
AUTUMN_GRADUATED = Graduated(
    tiers(("1000", "0.01", "0"), ("10000", "0.008", "0"), (None, "0.005", "0"))
)
FLEXPRICE_PACKAGE = Package(Decimal(1000), Decimal(1))


@pytest.mark.parametrize(
    ("price", "quantities", "amount"),
    [
        pytest.param(LAGO_VOLUME, ["65000"], "49", id="lago-volume"),
        pytest.param(LAGO_GRADUATED, ["250"], "155", id="lago-graduated"),
        pytest.param(LAGO_PACKAGE, ["201"], "10", id="lago-package"),
        pytest.param(LAGO_PACKAGE, ["100"], "0", id="lago-package-free"),
        pytest.param(LAGO_RATES, ["500"], "205", id="lago-first-transaction"),
        pytest.param(LAGO_RATES, ["500", "550"], "511", id="lago-second-transaction"),
        pytest.param(LAGO_RATES, ["500", "550", "4000"], "591", id="lago-third-transaction"),
        pytest.param(LAGO_CARDS, ["100", "50"], "4.95", id="lago-card-payments"),
        pytest.param(AUTUMN_GRADUATED, ["15000"], "107", id="autumn-graduated"),
        pytest.param(FLEXPRICE_PACKAGE, ["4500"], "5", id="flexprice-packages"),
    ],
)
def test_peers_examples(price: Price, quantities: list[str], amount: str) -> None:
    assert priced(price, *quantities) == Decimal(amount)


@pytest.mark.parametrize(
    ("modifiers", "amount"),
    [
        ({"free_units": "4"}, "60"),
        ({"free_units": "11"}, "0"),
        ({"discount_percentage": "12.5"}, "87.5"),
        ({"discount_percentage": "10", "maximum_amount": "95"}, "90"),  # the discount comes first
        ({"discount_percentage": "10", "maximum_amount": "80"}, "80"),
        ({"maximum_amount": "80", "minimum_amount": "80"}, "80"),
        ({"discount_percentage": "100", "minimum_amount": "3"}, "3"),  # the minimum comes last
        ({"free_units": "11", "minimum_amount": "0.5"}, "0.5"),
    ],
)
def test_modifiers(modifiers: dict[str, str], amount: str) -> None:
    price = PerUnit(Decimal(10), **{name: Decimal(value) for name, value in modifiers.items()})
    assert priced(price, "10") == Decimal(amount)


def test_a_minimum_is_due_at_zero_usage_and_a_flat_price_always() -> None:
    assert priced(PerUnit(Decimal(1), minimum_amount=Decimal(5))) == 5
    assert priced(Flat(Decimal(7))) == priced(Flat(Decimal(7)), "12") == 7


def parts(price: Price, *quantities: str) -> list[tuple[Any, ...]]:
    shares = explain(price, usage_of(price, [Decimal(each) for each in quantities]))
    return [(s.tier, s.component, f"{s.units:f}", f"{s.amount:f}") for s in shares]


def test_explain_names_each_part() -> None:
    assert parts(TIERS, "10.5") == [(1, "usage", "10", "15"), (2, "usage", "0.5", "2.25")]
    card = Percentage(
        Decimal(2),
        Decimal("0.5"),
        Decimal(1),
        Decimal(50),
        free_units=Decimal(10),
        discount_percentage=Decimal(50),
        maximum_amount=Decimal(2),
        minimum_amount=Decimal(2),
    )
    assert parts(card, "100", "160", "100") == [
        (None, "free_units", "10", "0"),
        (None, "usage", "300", "6.00"),
        (None, "fixed_fee", "2", "1.0"),
        (None, "discount_percentage", "0", "-3.5000"),
        (None, "maximum_amount", "0", "-1.5000"),
    ]
    assert parts(card)[-1] == (None, "minimum_amount", "0", "2.0000")


def test_equals_the_oracle() -> None:
    found = (disagreement(Random(seed)) for seed in range(CASES))
    assert [wrong for wrong in found if wrong] == []


seeds = st.integers(0, 2**32).map(Random)


@given(seeds)
def test_has_one_plain_form(rng: Random) -> None:
    price = a_price(rng)
    assert price_of(price_values(price)) == price


@given(seeds)
def test_the_parts_make_the_price(rng: Random) -> None:
    price = a_price(rng)
    usage = usage_of(price, some_usage(rng, price))
    assert round(total(explain(price, usage)) * NANO - price_nanos(price, usage)) == 0


@given(seeds)
def test_never_falls_as_usage_grows(rng: Random) -> None:
    price = a_price(rng)
    more = [*(before := some_usage(rng, price)), a_decimal(rng, 9, 10**9)]
    less = price_nanos(price, usage_of(price, before))
    assert can_fall(price) or less <= price_nanos(price, usage_of(price, more))


def test_a_volume_price_can_fall() -> None:
    price = Volume(tiers(("10", "1", "0"), (None, "0.5", "0")))
    assert can_fall(price)
    assert priced(price, "11") < priced(price, "10")


@given(seeds)
def test_steps_up_at_a_bound_only_by_a_later_tiers_flat_fee(rng: Random) -> None:
    price = a_price(rng)
    step = Decimal("0.000000001")
    for before, tier in zip(tiers_of(price), tiers_of(price)[1:], strict=False):
        if can_fall(price) or before.up_to is None:
            continue
        at = Usage(before.up_to + price.free_units)
        jump = price_nanos(price, Usage(at.quantity + step)) - price_nanos(price, at)
        # A unit price is 10,000 at most, and so is a rate: the step itself costs less than this.
        assert 0 <= jump <= tier.flat_fee * NANO + 10**4 + 1


@given(seeds)
def test_differences_add_up_to_the_total_however_usage_arrives(rng: Random) -> None:
    price = a_price(rng)
    usage = [a_decimal(rng, 9, 10**6) for _ in range(rng.randint(0, 20))]

    def sum_of_differences(ordered: list[Decimal]) -> int:
        billed = price_nanos(price, usage_of(price, []))
        for number in range(len(ordered)):
            before, after = (usage_of(price, ordered[:n]) for n in (number, number + 1))
            billed += price_nanos(price, after) - price_nanos(price, before)
        return billed

    whole = price_nanos(price, usage_of(price, usage))
    assert sum_of_differences(usage) == sum_of_differences(rng.sample(usage, len(usage))) == whole


@given(seeds)
def test_only_bounds_of_single_events_look_at_single_events(rng: Random) -> None:
    price = a_price(rng)
    usage = usage_of(price, some_usage(rng, price))
    alike = Usage(usage.quantity, usage.count)
    assert by_event(price) or price_nanos(price, usage) == price_nanos(price, alike)
