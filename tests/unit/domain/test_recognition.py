"""Recognised revenue: whatever an invoice can charge is of some part of it."""

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
    return {"currency": "USD", "finalized_at": "2026-04-01T01:00:00Z", "lines": [line]}


def test_every_kind_of_line_is_of_a_part_or_is_said_to_earn_nothing() -> None:
    assert set(PARTS) == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_line_is_earned_in_its_part(kind: str) -> None:
    earned = [(charge.part, charge.nanos) for charge in charges_of(document(kind))]
    part = PARTS[kind]
    assert earned == ([] if part is None else [(part, 3_000_000_000)])
