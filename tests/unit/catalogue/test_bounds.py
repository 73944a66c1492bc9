"""Plans that would outgrow what storage holds are refused when they are published."""

from dataclasses import replace
from decimal import Decimal

from shared.domain.catalogue import IncludedCredits, Rate
from shared.domain.prices import Graduated, Tier
from shared.domain.publishing import plan_problems
from tests.support.builders import a_catalogue, a_plan

TIERS = Graduated(tuple(Tier(Decimal(n), Decimal(1)) for n in range(1, 120)))


def codes(**changes: object) -> list[str]:
    plan = replace(a_plan(), **changes)  # type: ignore[arg-type]
    return [problem.code for problem in plan_problems(a_catalogue(), plan)]


def test_an_invoice_has_room_for_every_price() -> None:
    wide = (Rate("messages", TIERS, "USD"), Rate("tokens", TIERS, "USD"))
    assert "too-many-tiers" in codes(rates=wide)
    assert "too-many-tiers" not in codes(rates=wide[:1])


def test_an_account_has_room_for_every_open_grant() -> None:
    lasting = (IncludedCredits("sparks", 10**9, expires="P90D"),)
    assert "too-many-open-grants" in codes(credits=lasting, interval="day")
    assert "too-many-open-grants" not in codes(credits=lasting, interval="month")
