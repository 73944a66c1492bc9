"""How large an item is by DynamoDB's rules: what write units are counted by."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from shared.domain.money import EXACT

ELEMENT_BYTES = 1
CONTAINER_BYTES = 3


def item_bytes(item: Mapping[str, Any]) -> int:
    """Names and values of all attributes."""
    return sum(len(name.encode()) + attribute_bytes(value) for name, value in item.items())


def attribute_bytes(attribute: Mapping[str, Any]) -> int:
    """One typed value."""
    [(kind, value)] = attribute.items()
    match kind:
        case "S":
            return len(value.encode())
        case "B":
            return len(value)
        case "N":
            return number_bytes(Decimal(value))
        case "L":
            return CONTAINER_BYTES + sum(ELEMENT_BYTES + attribute_bytes(v) for v in value)
        case "M":
            return CONTAINER_BYTES + item_bytes(value) + ELEMENT_BYTES * len(value)
        case _:
            return 1


def number_bytes(value: Decimal) -> int:
    """A byte for every two significant digits and one more, and one for a sign."""
    significant = len(value.normalize(EXACT).as_tuple().digits)
    return (significant + 1) // 2 + 1 + (value < 0)
