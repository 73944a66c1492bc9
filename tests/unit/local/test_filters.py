"""Filter criteria select the records that Lambda's documentation says they select."""

import json
from typing import Any

import pytest

from local.streams.filters import filter_records

RECORD = {
    "eventName": "INSERT",
    "dynamodb": {
        "Keys": {"pk": {"S": "acme"}, "sk": {"S": "ACCOUNT"}},
        "NewImage": {"price": 5, "note": None, "empty": "", "tags": ["a", "b"]},
    },
}


@pytest.mark.parametrize(
    ("pattern", "passes"),
    [
        ({"eventName": ["INSERT"]}, True),
        ({"eventName": ["MODIFY", "INSERT"]}, True),
        ({"eventName": ["REMOVE"]}, False),
        ({"event_name": ["INSERT"]}, False),
        ({"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": ["ACCOUNT"]}}}}, True),
        ({"eventName": ["INSERT"], "dynamodb": {"Keys": {"sk": {"S": ["PROFILE"]}}}}, False),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"prefix": "ACC"}]}}}}, True),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"suffix": "UNT"}]}}}}, True),
        ({"dynamodb": {"Keys": {"sk": {"S": [{"equals-ignore-case": "account"}]}}}}, True),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": ["acme"]}]}}}}, False),
        ({"dynamodb": {"Keys": {"pk": {"S": [{"anything-but": ["other"]}]}}}}, True),
        ({"dynamodb": {"NewImage": {"price": [{"numeric": [">", 0, "<=", 5]}]}}}, True),
        ({"dynamodb": {"NewImage": {"price": [{"numeric": ["=", 6]}]}}}, False),
        ({"dynamodb": {"NewImage": {"note": [None]}}}, True),
        ({"dynamodb": {"NewImage": {"empty": [""]}}}, True),
        ({"dynamodb": {"NewImage": {"tags": ["b"]}}}, True),
        ({"dynamodb": {"NewImage": {"gone": [{"exists": False}]}}}, True),
        ({"dynamodb": {"NewImage": {"price": [{"exists": True}]}}}, True),
        ({"dynamodb": {"OldImage": {"price": [{"exists": True}]}}}, False),
        ({"$or": [{"eventName": ["REMOVE"]}, {"dynamodb": {"NewImage": {"price": [5]}}}]}, True),
    ],
)
def test_a_pattern(pattern: dict[str, Any], passes: bool) -> None:
    assert filter_records([json.dumps(pattern)])(RECORD) is passes


def test_any_pattern_will_do_and_none_passes_all() -> None:
    patterns = [json.dumps({"eventName": [name]}) for name in ("REMOVE", "INSERT")]
    assert filter_records(patterns)(RECORD)
    assert filter_records([])(RECORD)


@pytest.mark.parametrize(
    "pattern", [[], {}, {"eventName": "INSERT"}, {"eventName": [{"like": "I"}]}, {"a": []}]
)
def test_what_lambda_would_not_accept_is_refused(pattern: Any) -> None:
    with pytest.raises(ValueError, match=r"filter|rule"):
        filter_records([json.dumps(pattern)])
