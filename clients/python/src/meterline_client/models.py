"""What the API answers, with exact decimals and real times. Members not named here are left out."""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Span:
    """Half-open: `start` is in it, `end` is not."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class UsageRow(Span):
    """The usage of one group in one window; no value where there is none, as of an average."""

    value: Decimal | None
    group: dict[str, str]


@dataclass(frozen=True)
class Usage:
    """Usage of a meter by windows of time."""

    meter: str
    window: str
    timezone: str
    data: list[UsageRow]


@dataclass(frozen=True)
class Grant:
    """A credit grant and what is left of it."""

    id: str
    amount: Decimal
    remaining: Decimal
    status: str
    source: str
    priority: int
    effective_at: datetime
    expires_at: datetime | None


@dataclass(frozen=True)
class Balance:
    """What a customer holds of a unit. `available` is settled less reserved."""

    unit: str
    settled: Decimal
    reserved: Decimal
    available: Decimal
    overage: Decimal
    as_of: datetime
    grants: list[Grant]


@dataclass(frozen=True)
class InvoiceLine:
    """One line; `amount` is in the invoice's currency, `unit_amount` exact in `unit`."""

    n: int
    type: str
    description: str
    amount: Decimal
    unit: str
    unit_amount: Decimal
    service_period: Span
    late: bool
    meter: str | None = None
    quantity: Decimal | None = None
    included: Decimal | None = None


@dataclass(frozen=True)
class Invoice:
    """A draft, or a finalized invoice, which has a number. `total` is the sum of the lines."""

    id: str
    number: str | None
    customer: str
    kind: str
    status: str
    period: Span
    currency: str
    lines: list[InvoiceLine]
    total: Decimal
    finalized_at: datetime | None


@dataclass(frozen=True)
class Customer:
    """A customer's profile."""

    key: str
    name: str | None
    email: str | None
    currency: str | None
    timezone: str
    traits: dict[str, str]
    created_at: datetime
    archived_at: datetime | None


@dataclass(frozen=True)
class NextChange:
    """The plan that takes over, and when."""

    plan: str
    plan_version: int
    at: datetime


@dataclass(frozen=True)
class Subscription:
    """What a customer is on, and what is scheduled."""

    customer: str
    plan: str
    plan_version: int
    currency: str
    timezone: str
    period: Span
    next_change: NextChange | None


@dataclass(frozen=True)
class Entitlement:
    """Whether a feature or meter may be used, how much is left, and when that resets."""

    allowed: bool
    used: Decimal | None = None
    limit: Decimal | None = None
    remaining: Decimal | None = None
    resets_at: datetime | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Held:
    """A reservation as it was made."""

    id: str


@dataclass(frozen=True)
class Nothing:
    """An answer of which nothing is read."""


def read(kind: type[T], value: Any) -> T:
    """The model in a JSON value. Raises: KeyError, TypeError, ValueError, ArithmeticError."""
    return typing.cast("T", _read(kind, value))


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    return typing.get_type_hints(kind)


def _read(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        [inner] = [option for option in typing.get_args(kind) if option is not types.NoneType]
        return None if value is None else _read(inner, value)
    if typing.get_origin(kind) is list:
        [inner] = typing.get_args(kind)
        return [_read(inner, item) for item in value]
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast("type", kind))
        given = {name: _read(hint, value[name]) for name, hint in hints.items() if name in value}
        return typing.cast("Any", kind)(**given)
    return _scalar(typing.get_origin(kind) or kind, value)


def _scalar(kind: type, value: Any) -> Any:
    if kind is Decimal:
        return Decimal(str(value))
    if kind is datetime:
        return datetime.fromisoformat(value)
    if not isinstance(value, kind):
        raise TypeError(f"{kind.__name__} expected")
    return value
