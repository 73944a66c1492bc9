"""The demo's tally: independent of the system, and right on a month worked out by hand."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from local.demo.arithmetic import CENT, price_of, rounded
from local.demo.scenario import Customer, Event, Purchase
from local.demo.tally import Account
from local.home import REPOSITORY

START = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 7, 1, tzinfo=UTC)
NEXT_END = datetime(2026, 8, 1, tzinfo=UTC)

CATALOGUE: dict[str, Any] = {
    "credit_units": {"spark": {"values": [{"value": "0.01"}]}},
    "meters": {
        "messages": {"event_type": "message", "aggregation": "count"},
        "tokens": {
            "event_type": "completion",
            "aggregation": "sum",
            "value": "tokens",
            "dimensions": ["model"],
        },
    },
    "plans": {
        "free": {"currency": "USD", "on_exhausted": "block"},
        "pro": {
            "currency": "USD",
            "fee": "30.00",
            "on_exhausted": "bill",
            "allowances": [{"meter": "messages", "quantity": "2"}],
            "credits": [{"unit": "spark", "amount": "10"}],
            "rates": [
                {
                    "meter": "tokens",
                    "unit": "spark",
                    "price": {"model": "per_unit", "unit_price": "0.5"},
                },
                {"meter": "messages", "price": {"model": "per_unit", "unit_price": "0.125"}},
            ],
        },
    },
}


def test_it_shares_no_code_with_what_it_checks() -> None:
    program = (
        "import sys, local.demo.tally\n"
        "print([m for m in sys.modules if m.split('.')[0] in ('shared', 'functions', 'decimal')])"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    # The standard library's fractions load decimal; nothing of the system's own is there.
    assert ran.stdout.strip() in ("[]", "['decimal']")


def message(n: int, at: datetime) -> Event:
    return Event("acme", f"m{n}", "message", at, {})


def tokens(n: int, count: int, at: datetime) -> Event:
    return Event("acme", f"t{n}", "completion", at, {"model": "large", "tokens": count})


def account(joins_at: datetime = START, purchase: Purchase | None = None) -> Account:
    customer = Customer("acme", "Acme", "pro", joins_at, purchase=purchase)
    return Account(CATALOGUE, customer, START, END)


def test_a_month_by_hand() -> None:
    acme = account(purchase=Purchase("5", 100, "0.01"))
    at = START + timedelta(days=3)
    acme.use([message(1, at), message(2, at), message(3, at), tokens(1, 24, at)])
    assert acme.balance == 3
    acme.use([tokens(2, 10, at)])
    invoice = acme.upcoming()
    assert (invoice.drawn, invoice.overage, invoice.overage_value) == (15, 2, Fraction(1, 100))
    by_meter = {line.meter: line for line in invoice.lines}
    assert by_meter["messages"].included == 2
    assert by_meter["messages"].exact == Fraction("0.125")
    assert by_meter["messages"].amount == Fraction("0.13")
    assert by_meter["tokens"].exact == 17
    assert by_meter[""].amount == 30


def test_late_usage_continues_the_closed_month_and_draws_only_what_still_stands() -> None:
    acme = account(purchase=Purchase("5", 100, "0.01"))
    acme.use([tokens(1, 4, START)])
    acme.open_next(NEXT_END)
    acme.close()
    assert acme.balance == 15
    acme.use([tokens(2, 8, START), message(1, START)])
    assert acme.balance == 11
    late = [line for line in acme.upcoming().lines if line.late]
    assert [(line.meter, line.exact, line.included) for line in late] == [
        ("tokens", 4, 0),
        ("messages", Fraction("0.125"), 0),
    ]


def test_joining_in_the_middle_prorates_fee_and_what_is_given() -> None:
    acme = account(joins_at=START + timedelta(days=10))
    [invoice] = acme.invoices
    assert invoice.lines[0].amount == 20
    assert acme.balance == rounded(Fraction(20, 3), Fraction(1, 10**9))


def test_a_stage_that_mixes_periods_is_refused() -> None:
    acme = account()
    acme.open_next(NEXT_END)
    with pytest.raises(ValueError, match="mixes periods"):
        acme.use([message(1, START), message(2, END)])


@pytest.mark.parametrize(
    ("amount", "expected"), [("0.005", "0.01"), ("-0.005", "-0.01"), ("0.0049", "0")]
)
def test_rounding_is_half_away_from_zero(amount: str, expected: str) -> None:
    assert rounded(Fraction(amount), CENT) == Fraction(expected)


@pytest.mark.parametrize(
    ("quantity", "expected"), [("0", "1"), ("10", "11"), ("10.5", "13.25"), ("12", "14")]
)
def test_graduated_prices(quantity: str, expected: str) -> None:
    price = {
        "model": "graduated",
        "tiers": [
            {"up_to": "10", "unit_price": "1", "flat_fee": "1"},
            {"up_to": None, "unit_price": "0.5", "flat_fee": "2"},
        ],
    }
    assert price_of(price, Fraction(quantity)) == Fraction(expected)
