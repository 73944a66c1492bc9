"""Filter criteria of event source mappings: which records Lambda passes to the function.

A record passes when any of the patterns matches; a pattern matches when every field it names has
one of the values or conditions listed. Fields that a pattern does not name do not matter.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

Predicate = Callable[[dict[str, Any]], bool]
_ABSENT = object()


def filter_records(patterns: Iterable[str]) -> Predicate:
    """A predicate from the `Pattern` strings of FilterCriteria; without any, all records pass.

    Raises ValueError for a rule that Lambda would not accept.
    """
    parsed = [json.loads(pattern) for pattern in patterns]
    for pattern in parsed:
        _check(pattern)
    if not parsed:
        return lambda _: True
    return lambda record: any(_matches(pattern, record) for pattern in parsed)


def _check(pattern: Any) -> None:
    if not isinstance(pattern, dict) or not pattern:
        raise ValueError("a filter pattern is a JSON object that names at least one field")
    for name, rule in pattern.items():
        if name == "$or":
            for alternative in rule:
                _check(alternative)
        elif isinstance(rule, dict):
            _check(rule)
        elif not isinstance(rule, list) or not rule:
            raise ValueError(f"the rule of {name!r} is not a list of values")
        else:
            for condition in rule:
                _satisfies(condition, _ABSENT)


def _matches(pattern: dict[str, Any], record: Any) -> bool:
    """Whether each field named in a pattern satisfies its rule."""
    for name, rule in pattern.items():
        if name == "$or":
            if not any(_matches(alternative, record) for alternative in rule):
                return False
            continue
        value = record.get(name, _ABSENT) if isinstance(record, dict) else _ABSENT
        if isinstance(rule, dict):
            if not _matches(rule, value):
                return False
        elif not _any_satisfies(rule, value):
            return False
    return True


def _any_satisfies(conditions: list[Any], value: Any) -> bool:
    """A field that holds a list satisfies a condition when one of its elements does."""
    values = value if isinstance(value, list) else [value]
    return any(_satisfies(condition, each) for condition in conditions for each in values)


def _satisfies(condition: Any, value: Any) -> bool:
    if not isinstance(condition, dict):
        # In JSON true is not 1, though Python says they are equal.
        return type(condition) is type(value) and condition == value
    if len(condition) != 1:
        raise ValueError("a filter condition has exactly one operator")
    [(operator, operand)] = condition.items()
    if operator == "exists":
        # Lambda looks at leaves only: a field that holds an object does not exist to it.
        return (value is not _ABSENT and not isinstance(value, dict)) is operand
    if operator == "anything-but":
        excluded = operand if isinstance(operand, list) else [operand]
        return value is not _ABSENT and value not in excluded
    if operator == "numeric":
        return _is_number(value) and _in_range(operand, value)
    if operator not in _TEXT_OPERATORS:
        raise ValueError(f"unknown filter operator {operator!r}")
    return isinstance(value, str) and _TEXT_OPERATORS[operator](value, operand)


_TEXT_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "prefix": lambda value, operand: value.startswith(operand),
    "suffix": lambda value, operand: value.endswith(operand),
    "equals-ignore-case": lambda value, operand: value.casefold() == operand.casefold(),
}
_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "=": lambda value, bound: value == bound,
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _in_range(operand: list[Any], value: float) -> bool:
    """`operand` alternates comparisons and bounds, such as [">", 0, "<=", 5]."""
    pairs = zip(operand[::2], operand[1::2], strict=True)
    return all(_COMPARISONS[comparison](value, bound) for comparison, bound in pairs)
