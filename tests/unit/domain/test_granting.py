"""Granting and voiding: from now on, or back to the period's start, and never twice."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import MAX_OPEN_GRANTS_PER_UNIT
from shared.domain.credits import Grant
from shared.domain.errors import ConflictError, InvalidError
from shared.domain.granting import add_grant, period_start, void_grant
from tests.support.books import Books, a_record
from tests.support.builders import APRIL, DAY, HOUR, MARCH, a_catalogue, a_plan, units, usage

NOW = MARCH + 10 * DAY
CATALOGUE = a_catalogue(a_plan(credits=()))


def a_grant(**changes: object) -> Grant:
    grant = Grant("gift", "acme", "sparks", units(10), "promotion", NOW, NOW)
    return replace(grant, **changes)  # type: ignore[arg-type]


def with_overage() -> Books:
    """30 sparks of storage and 1.00 USD of a flat fee that nothing covers."""
    books = Books.open(CATALOGUE, MARCH)
    books.apply(
        [a_record(usage("acme", 1, MARCH + DAY, {"gb": Decimal(60)}, type="disk"), 1, CATALOGUE)]
    )
    assert books.account.current.totals[3].overage == units(30)
    return books


def test_a_grant_from_now_on_leaves_earlier_overage_as_it_is() -> None:
    before = with_overage().account
    after = add_grant(before, a_grant(), NOW, CATALOGUE)
    assert after.phases == before.phases
    assert after.grants["sparks"] == {"gift": units(10)}
    assert after.version == before.version + 1


def test_a_grant_from_the_periods_start_covers_its_overage() -> None:
    before = with_overage().account
    after = add_grant(before, a_grant(effective_at=MARCH), NOW, CATALOGUE)
    storage = after.current.totals[3]
    assert (storage.amount, storage.drawn, storage.overage) == (units(30), units(10), units(20))
    assert "sparks" not in after.grants


def test_a_covering_grant_takes_rate_cards_in_order_and_keeps_the_rest() -> None:
    before = with_overage().account
    money = a_grant(unit="USD", effective_at=MARCH)
    after = add_grant(before, money, NOW, CATALOGUE)
    assert after.current.totals[1].overage == 0
    assert after.grants["USD"] == {"gift": units(9)}


def test_a_grant_for_other_meters_covers_nothing() -> None:
    before = with_overage().account
    after = add_grant(before, a_grant(effective_at=MARCH, meters=("tokens",)), NOW, CATALOGUE)
    assert after.phases == before.phases


@pytest.mark.parametrize(
    "changes",
    [
        {"effective_at": NOW - timedelta(microseconds=1)},
        {"effective_at": MARCH - HOUR},
        {"expires_at": NOW},
        {"effective_at": NOW + DAY, "expires_at": NOW + DAY},
    ],
)
def test_dates_that_cannot_be(changes: dict[str, datetime]) -> None:
    with pytest.raises(InvalidError):
        add_grant(with_overage().account, a_grant(**changes), NOW, CATALOGUE)


def test_at_most_sixteen_grants_of_a_unit_are_open() -> None:
    account = with_overage().account
    held = [a_grant(id=f"g{number}") for number in range(MAX_OPEN_GRANTS_PER_UNIT)]
    with pytest.raises(ConflictError):
        add_grant(account, a_grant(id="more"), NOW, CATALOGUE, held)
    add_grant(account, a_grant(id="other", unit="USD"), NOW, CATALOGUE, held)
    plans = [replace(grant, source="plan") for grant in held]
    add_grant(account, a_grant(id="more"), NOW, CATALOGUE, plans)


def test_voiding_takes_the_unused_part_and_nothing_else() -> None:
    books = with_overage()
    books.grants["gift"] = a_grant()
    books.account = add_grant(books.account, a_grant(), NOW, CATALOGUE)
    four = usage("acme", 2, NOW, {"gb": Decimal(8)}, type="disk")
    books.apply([a_record(four, 2, CATALOGUE)])
    done = void_grant(books.account, a_grant(), NOW + HOUR)
    assert done is not None
    account, voided = done
    assert voided.voided_at == NOW + HOUR
    assert "sparks" not in account.grants
    assert account.current.totals[3].drawn == units(4)
    assert void_grant(account, voided, NOW + DAY) is None


def test_an_expired_grant_cannot_be_voided() -> None:
    with pytest.raises(ConflictError):
        void_grant(with_overage().account, a_grant(expires_at=APRIL), APRIL)


def test_a_period_starts_with_its_first_phase() -> None:
    assert period_start(with_overage().account) == MARCH
