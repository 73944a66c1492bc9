"""Recognised revenue: whatever an invoice can charge is of some part of it."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import get_args

import pytest

from shared.domain.invoices import LineKind
from shared.domain.recognition import PARTS, charges_of

KINDS = get_args(LineKind)


def document(kind: str) -> dict[str, object]:
    line = {
        "type": kind,
        "plan": "basic",
        "amount": "3.00",
        "service_period": {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"},
    }
    return {
        "kind": "period",
        "currency": "USD",
        "finalized_at": "2026-04-01T01:00:00Z",
        "period": {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"},
        "lines": [line],
    }


def test_every_kind_of_line_is_of_a_part_or_is_said_to_earn_nothing() -> None:
    assert set(PARTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_line_is_earned_in_its_part(kind: str) -> None:
    earned = [(charge.part, charge.nanos) for charge in charges_of(document(kind))]
    part = PARTS[kind]
    assert earned == ([] if part is None else [(part, 3_000_000_000)])


def test_a_pack_is_earned_when_it_is_sold_and_one_that_recurs_over_its_period() -> None:
    half = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 16, 12, tzinfo=UTC)
    renewal = document("add_on")
    [charge] = charges_of(renewal)
    assert charge.within(*half) == Decimal("1.5")
    assert [each.within(*half) for each in charges_of(renewal, half[0])] == [Decimal("1.5")]
    [charge] = charges_of({**renewal, "kind": "add_on"})
    assert charge.within(*half) == Decimal(3)


@pytest.mark.parametrize(
    "now", [datetime(2026, 2, 20, tzinfo=UTC), datetime(2026, 3, 1, 0, 30, tzinfo=UTC)]
)
def test_a_drafts_discount_on_the_next_fee_is_earned_as_the_fee_is(now: datetime) -> None:
    ended = {"start": "2026-02-01T00:00:00Z", "end": "2026-03-01T00:00:00Z"}
    half = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 16, 12, tzinfo=UTC)
    for kind in ("fee", "discount"):
        [charge] = charges_of({**document(kind), "period": ended}, now)
        assert charge.within(*half) == Decimal("1.5")


def test_a_drafts_discount_on_usage_is_of_the_time_up_to_now() -> None:
    now = datetime(2026, 3, 16, 12, tzinfo=UTC)
    [charge] = charges_of(document("discount"), now)
    assert charge.within(datetime(2026, 3, 1, tzinfo=UTC), now) == Decimal(3)
