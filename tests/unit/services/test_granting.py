"""Grants: what one that reaches back covers, and how each stands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from shared.domain.accounts import Account, Phase, Totals
from shared.domain.catalogue import Catalogue, Plan, Rate
from shared.domain.credits import Grant
from shared.domain.granting import add_grant
from shared.domain.prices import PerUnit
from shared.services.granting import held_grant

START = datetime(2026, 3, 1, tzinfo=UTC)
NOON = START + timedelta(hours=12)
PLAN = Plan("free", 1, "Free", "USD", rates=(Rate("calls", PerUnit(Decimal(1)), "sparks"),))
CATALOGUE = Catalogue(1, plans={"free": (PLAN,)})
OVERAGE = Totals(count=3, value=Decimal(3), amount=3 * 10**9, overage=3 * 10**9)
PHASE = Phase(1, 1, START, START + timedelta(days=31), "free", 1, (OVERAGE,))
ACCOUNT = Account("ada", 1, (PHASE,))
GRANT = Grant("g", "ada", "sparks", 5 * 10**9, "purchase", START, START)


@pytest.mark.parametrize("now", [START, NOON])
def test_a_grant_effective_at_the_period_start_covers_earlier_overage(now: datetime) -> None:
    account = add_grant(ACCOUNT, GRANT, now, CATALOGUE)
    assert account.remaining("sparks") == 2 * 10**9
    assert account.current.totals[0].overage == 0
    assert account.current.totals[0].drawn == 3 * 10**9


def test_a_grant_from_now_on_covers_nothing_earlier() -> None:
    account = add_grant(ACCOUNT, replace(GRANT, effective_at=NOON), NOON, CATALOGUE)
    assert account.remaining("sparks") == 5 * 10**9
    assert account.phases == ACCOUNT.phases


@pytest.mark.parametrize(
    ("change", "remaining", "status"),
    [
        ({}, 1, "active"),
        ({"effective_at": NOON}, 1, "active"),
        ({"effective_at": NOON + timedelta(seconds=1)}, 1, "scheduled"),
        ({}, 0, "used_up"),
        ({"expires_at": NOON}, 1, "expired"),
        ({"expires_at": NOON + timedelta(seconds=1)}, 1, "active"),
        ({"voided_at": NOON, "expires_at": NOON}, 0, "voided"),
    ],
)
def test_a_grant_is_active_from_its_effect_to_before_its_expiry(
    change: dict[str, datetime], remaining: int, status: str
) -> None:
    assert held_grant(replace(GRANT, **change), remaining, NOON).status == status
