"""Events on the wire: CloudEvents with flat data that is safe to keep."""

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from shared.domain.errors import Problem
from shared.wire.common import invalid
from shared.wire.events import Event, has_card_number


def event(**changes: Any) -> dict[str, Any]:
    plain = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": "c"}
    return plain | changes


def refusals(value: object) -> list[Problem]:
    with pytest.raises(ValidationError) as error:
        Event.model_validate(value)
    return list(invalid(error.value, value).problems)


def test_numbers_are_exact_and_attributes_of_the_senders_own_are_kept() -> None:
    data = {"n": 3, "d": Decimal("0.10"), "zero": Decimal("-0.0"), "t": "x", "b": False, "z": None}
    read = Event.model_validate(event(data=data, traceparent="00-a", sampled=True, hops=3))
    assert read.data == data
    assert str(read.data["zero"]) == "0"
    assert read.extensions == {"traceparent": "00-a", "sampled": "true", "hops": "3"}


def test_large_data_in_plain_letters_is_fine() -> None:
    data = {f"p{i}": "x" * 2500 for i in range(50)}
    assert Event.model_validate(event(data=data)).data == data


def test_time_and_data_may_be_left_out() -> None:
    read = Event.model_validate(event(time=None))
    assert (read.time, read.data) == (None, {})


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"specversion": "0.3"}, Problem("/specversion", "literal-error")),
        ({"data": []}, Problem("/data", "not-an-object")),
        ({"data": None}, Problem("/data", "not-an-object")),
        ({"data": {f"p{i}": 1 for i in range(51)}}, Problem("/data", "too-many-properties")),
        ({"data": {"x" * 65: 1}}, Problem("/data", "name-length")),
        ({"data": {"": 1}}, Problem("/data", "name-length")),
        ({"data": {"a\n": 1}}, Problem("/data", "control-character")),
        ({"data": {"a": "x" * 4096}}, Problem("/data/a", "value-length")),
        ({"data": {"a": "é" * 2048}}, Problem("/data/a", "value-length")),
        ({"data": {"a": {"b": 1}}}, Problem("/data/a", "nested")),
        ({"data": {"a": [1]}}, Problem("/data/a", "nested")),
        ({"data": {"a": "\0"}}, Problem("/data/a", "control-character")),
        ({"data": {"a": "4111111111111111"}}, Problem("/data/a", "card-number")),
        ({"data": {"a": 4111111111111111}}, Problem("/data/a", "card-number")),
        (
            {"data": {f"p{i}": "é" * 2000 for i in range(11)}},
            Problem("/data", "data-too-large"),
        ),
        ({f"x{i}": "1" for i in range(21)}, Problem("", "too-many-attributes")),
        ({"data_base64": "AA=="}, Problem("/data_base64", "attribute-name")),
        ({"ext": {"a": 1}}, Problem("/ext", "attribute-value")),
        ({"ext": "a\0b"}, Problem("/ext", "control-character")),
        ({"ext": "4111 1111 1111 1111"}, Problem("/ext", "card-number")),
        ({"data": {"4111111111111111": 1}}, Problem("/data", "card-number")),
        ({"datacontenttype": "text/xml"}, Problem("/datacontenttype", "literal-error")),
    ],
)
def test_refused(changes: dict[str, Any], problem: Problem) -> None:
    assert refusals(event(**changes)) == [problem]


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1111",
        "card 5555-5555-5555-4444, thanks",
        "378282246310005",
        "3782 822463 10005",
        "2223003122003222",
        "6011111111111117",
        "30569309025904",
    ],
)
def test_card_numbers(text: str) -> None:
    assert has_card_number(text)


@pytest.mark.parametrize(
    "text",
    [
        "4111111111111112",  # wrong check digit
        "1758045137123",  # milliseconds
        "17580451371230000",
        "550e8400-e29b-41d4-a716-446655440000",
        "41111111111111111",  # too long
        "v4111111111111111",
        "9999999999999995",  # nobody issues these
        "+49 30 1234 5678 9012",
    ],
)
def test_other_numbers(text: str) -> None:
    assert not has_card_number(text)
