"""The comparison names what differs, whatever it is."""

import copy
from fractions import Fraction
from typing import Any

import pytest

from local.demo.compare import decimal_text, invoice_differences
from local.demo.tally import ExpectedInvoice, Line

ZERO = Fraction(0)
EXPECTED = ExpectedInvoice(
    kind="period",
    lines=(
        Line(
            "pro",
            "tokens",
            "model large",
            False,
            "spark",
            3,
            Fraction(30),
            ZERO,
            Fraction(15),
            ZERO,
        ),
        Line("pro", "", "", False, "USD", 0, ZERO, ZERO, Fraction(20), Fraction(20)),
    ),
    drawn=Fraction(10),
    overage=Fraction(5),
    overage_value=Fraction("0.01"),
)
ABOUT = {"plan": "pro", "late": False}
TOKENS = {**ABOUT, "meter": "tokens", "where": {"model": "large"}, "unit": "spark"}
ACTUAL: dict[str, Any] = {
    "kind": "period",
    "total": "20.05",
    "lines": [
        {
            **TOKENS,
            "type": "usage",
            "description": "tokens",
            "quantity": "30",
            "included": "0",
            "events": {"count": 3},
            "unit_amount": "15",
            "amount": "0.00",
        },
        {
            **TOKENS,
            "type": "credits_applied",
            "description": "credits",
            "unit_amount": "-10",
            "amount": "0.00",
        },
        {
            **TOKENS,
            "type": "overage",
            "description": "overage",
            "unit_amount": "5",
            "amount": "0.05",
        },
        {
            **ABOUT,
            "type": "fee",
            "description": "fee",
            "unit": "USD",
            "unit_amount": "20",
            "amount": "20.00",
        },
    ],
}


def test_agreement_is_silent() -> None:
    assert list(invoice_differences(EXPECTED, ACTUAL)) == []


@pytest.mark.parametrize(
    ("line", "member", "value", "named"),
    [
        (0, "quantity", "31", "quantity: expected 30, got 31"),
        (0, "included", "1", "included"),
        (0, "unit_amount", "15.000000001", "exact amount"),
        (0, "events", {"count": 4}, "events"),
        (0, "late", True, "not expected"),
        (1, "unit_amount", "-9", "credits applied"),
        (2, "unit_amount", "6", "overage of credits"),
        (2, "amount", "0.06", "amount"),
        (3, "amount", "20.01", "amount"),
    ],
)
def test_every_figure_of_a_line_is_held(line: int, member: str, value: object, named: str) -> None:
    changed = copy.deepcopy(ACTUAL)
    changed["lines"][line][member] = value
    assert any(named in text for text in invoice_differences(EXPECTED, changed))


@pytest.mark.parametrize("line", range(4))
def test_a_missing_line_is_named(line: int) -> None:
    changed = copy.deepcopy(ACTUAL)
    del changed["lines"][line]
    assert list(invoice_differences(EXPECTED, changed))


@pytest.mark.parametrize(("member", "value"), [("total", "20.06"), ("kind", "change")])
def test_the_whole_is_held(member: str, value: str) -> None:
    assert list(invoice_differences(EXPECTED, {**ACTUAL, member: value}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(-5, 4), "-1.25"),
        (Fraction(20), "20"),
        (Fraction(1, 10**12), "0.000000000001"),
    ],
)
def test_fractions_are_shown_as_decimals(value: Fraction, text: str) -> None:
    assert decimal_text(value) == text
