"""DynamoDB's typed attribute values, as plain values and back; numbers stay exact."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.domain.events import utc_text
from shared.domain.money import format_quantity

Item = dict[str, Any]


def to_item(values: Mapping[str, object]) -> Item:
    """An item; members that are None are left out."""
    return {name: to_attribute(value) for name, value in values.items() if value is not None}


def from_item(item: Mapping[str, Any]) -> dict[str, Any]:
    """An item's plain values; numbers as Decimal."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}


def to_attribute(value: object) -> dict[str, Any]:
    """One typed value: instants as text that sorts by time, mappings as M, sequences as L."""
    kind: str
    stored: object
    match value:
        case None:
            kind, stored = "NULL", True
        case bool():
            kind, stored = "BOOL", value
        case int():
            kind, stored = "N", str(value)
        case Decimal():
            kind, stored = "N", format_quantity(value)
        case str():
            kind, stored = "S", value
        case bytes():
            kind, stored = "B", value
        case datetime():
            kind, stored = "S", utc_text(value)
        case Mapping():
            kind, stored = "M", {str(name): to_attribute(each) for name, each in value.items()}
        case list() | tuple():
            kind, stored = "L", [to_attribute(each) for each in value]
        case _:
            raise TypeError(f"no attribute type for {type(value).__name__}")
    return {kind: stored}


def from_attribute(attribute: Mapping[str, Any]) -> Any:
    """The plain value."""
    [(kind, value)] = attribute.items()
    match kind:
        case "NULL":
            return None
        case "N":
            return Decimal(value)
        case "M":
            return from_item(value)
        case "L":
            return [from_attribute(member) for member in value]
        case "NS":
            return {Decimal(member) for member in value}
        case _:
            return value
