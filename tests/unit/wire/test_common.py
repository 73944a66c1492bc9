"""Scalars on the wire: exact, bounded, unmistakable."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pydantic import ValidationError

from shared.domain.errors import Problem
from shared.wire.common import (
    CustomerKey,
    Items,
    Quantity,
    QueryModel,
    Time,
    WireModel,
    invalid,
)
from shared.wire.prices import UnitPrice


class Sample(WireModel):
    key: CustomerKey = "k"
    quantity: Quantity = Decimal(0)
    price: UnitPrice = Decimal(0)
    time: Time = datetime(2026, 1, 1, tzinfo=UTC)
    count: int = 0
    parts: Items["Sample"] = ()


def refusals(value: object) -> list[Problem]:
    with pytest.raises(ValidationError) as error:
        Sample.model_validate(value)
    return list(invalid(error.value, value).problems)


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("1", "1"),
        ("-0", "0"),
        (7, "7"),
        (Decimal("0.5"), "0.5"),
        ("0.123456789", "0.123456789"),
        ("1.5000000000", "1.5"),
        (Decimal("1e12"), "1000000000000"),
    ],
)
def test_quantities_are_exact_and_travel_as_text(sent: object, read: str) -> None:
    assert Sample.model_validate({"quantity": sent}).model_dump(mode="json")["quantity"] == read


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("abc", "not-a-number"),
        (None, "not-a-number"),
        (True, "not-a-number"),
        (["1"], "not-a-number"),
        ("١٢٣", "not-a-number"),
        ("1_000", "not-a-number"),
        (" 1 ", "not-a-number"),
        ("1e3", "not-a-number"),
        ("", "not-a-number"),
        ("+1", "not-a-number"),
        ("1" * 41, "not-a-number"),
        ("1" * 39, "out-of-range"),
        ("-1", "out-of-range"),
        ("1000000000000.1", "out-of-range"),
        ("0.1234567891", "too-many-decimals"),
        (Decimal("1.0000000000000000000000000000000000001"), "too-many-decimals"),
    ],
)
def test_what_is_no_quantity(sent: object, code: str) -> None:
    assert refusals({"quantity": sent}) == [Problem("/quantity", code)]


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-02-01T01:30:00.5+02:00", datetime(2026, 1, 31, 23, 30, 0, 500000, tzinfo=UTC)),
        ("2026-01-01T00:00:00.123456999Z", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("2024-02-29T00:00:00-00:30", datetime(2024, 2, 29, 0, 30, tzinfo=UTC)),
    ],
)
def test_times(text: str, instant: datetime) -> None:
    assert Sample.model_validate({"time": text}).time == instant


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("2026-01-31T12:00:00", "not-rfc3339"),
        ("2026-01-31", "not-rfc3339"),
        ("2026-01-31T12:00Z", "not-rfc3339"),
        ("2026-W05-6T12:00:00Z", "not-rfc3339"),
        ("20260131T120000Z", "not-rfc3339"),
        ("10000-01-01T00:00:00Z", "not-rfc3339"),
        ("2026-01-31T12:00:00+24:00", "not-rfc3339"),
        ("٢٠٢٦-01-31T12:00:00Z", "not-rfc3339"),
        (1769860800, "not-rfc3339"),
        ("2026-02-30T00:00:00Z", "no-such-time"),
        ("2026-01-31T24:00:00Z", "no-such-time"),
        ("2026-06-30T23:59:60Z", "no-such-time"),
        ("0001-01-01T00:00:00+01:00", "no-such-time"),
        ("0000-01-01T00:00:00Z", "no-such-time"),
        ("1969-12-31T23:59:59Z", "time-out-of-range"),
        ("9999-12-31T23:59:59Z", "time-out-of-range"),
    ],
)
def test_what_is_no_time(text: object, code: str) -> None:
    assert refusals({"time": text}) == [Problem("/time", code)]


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "string-too-short"),
        ("x" * 257, "string-too-long"),
        ("a\x1b[0m", "control-character"),
        ("a\0", "control-character"),
        ("a\x85", "control-character"),
        ("\u202eabc", "control-character"),
        ("e\u0301", "not-nfc"),
        ("\ud800", "lone-surrogate"),
        ("a/b", "not-a-key"),
        ("..", "not-a-key"),
    ],
)
def test_what_is_no_key(key: str, code: str) -> None:
    found = refusals({"key": key})
    assert found in ([Problem("/key", code)], [Problem("/key", "string-unicode")])


@pytest.mark.parametrize("key", ["acme", "Ünïcode ✓", "user@example.com", "a#b?c", "x" * 256])
def test_keys(key: str) -> None:
    assert Sample.model_validate({"key": key}).key == key


def test_pointers_lead_into_the_request() -> None:
    sent = {"parts": [{}, {"count": True, "more": 1}], "balance": "5"}
    assert refusals(sent) == [
        Problem("/parts/1/count", "int-type"),
        Problem("/parts/1/more", "unknown-member"),
        Problem("/balance", "unknown-member"),
    ]


def test_long_names_are_not_repeated() -> None:
    assert refusals({"n" * 1000: 1}) == [Problem("", "unknown-member")]


def test_query_parameters_are_read_from_text() -> None:
    class Query(QueryModel):
        limit: int

    assert Query.model_validate({"limit": "5"}).limit == 5
