"""The calls of the API, each written once for both clients: a request, and how to read it."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Generic, Literal, TypeVar

from meterline_client._exchange import Answer, Request, Retry, Steps, exchange
from meterline_client._http import packed, path
from meterline_client.errors import ApiError, MeterlineError
from meterline_client.models import (
    Balance,
    Customer,
    Entitlement,
    Held,
    Invoice,
    Nothing,
    Subscription,
    Usage,
    read,
)

T = TypeVar("T")
Amount = Decimal | int | str
Window = Literal["hour", "day", "week", "month", "total"]


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request, and the model of its answer."""

    request: Request
    kind: type[T]

    def steps(self, retry: Retry) -> Steps[T]:
        """Asks until an answer stands. Raises: ApiError, UnreachableError, MeterlineError."""
        answer = yield from exchange(self.request, retry, _has_json)
        if not answer.ok:
            raise ApiError.of(answer.status or 0, answer.content)
        try:
            return read(self.kind, answer.document())
        except (ArithmeticError, KeyError, TypeError, ValueError) as error:
            raise MeterlineError(f"the answer is no {self.kind.__name__}") from error


def _has_json(answer: Answer) -> bool:
    return answer.document() is not None


def usage(
    meter: str,
    *,
    customer: str | None = None,
    start: datetime | None = None,
    end: datetime | None = None,
    window: Window = "total",
    timezone: str = "UTC",
    group_by: tuple[str, ...] = (),
) -> Call[Usage]:
    """Usage of a meter in [start, end), on quarter hours; without them of the last 30 days."""
    query = {
        "meter": meter,
        "customer": customer,
        "from": _time_text(start),
        "to": _time_text(end),
        "window": window,
        "timezone": timezone,
        "group_by": ",".join(group_by) or None,
    }
    given = {name: value for name, value in query.items() if value is not None}
    return Call(Request("GET", "/v1/usage", given), Usage)


def balance(customer: str, unit: str, *, at: datetime | None = None) -> Call[Balance]:
    """What a customer holds of a unit: a currency, a credit unit, `meter:<key>` for allowances."""
    query = {"unit": unit}
    if (text := _time_text(at)) is not None:
        query["at"] = text
    return Call(Request("GET", _of(customer, "/balance"), query), Balance)


def upcoming_invoice(customer: str) -> Call[Invoice]:
    """The invoice of the current period as it stands."""
    return Call(Request("GET", _of(customer, "/invoices/upcoming")), Invoice)


def customer(key: str) -> Call[Customer]:
    """A customer's profile."""
    return Call(Request("GET", _of(key)), Customer)


def save_customer(
    key: str,
    *,
    name: str | None = None,
    email: str | None = None,
    currency: str | None = None,
    timezone: str = "UTC",
    traits: Mapping[str, str] | None = None,
) -> Call[Customer]:
    """Makes a customer, or replaces its whole profile: what is left out is cleared."""
    given = {"name": name, "email": email, "currency": currency}
    body: dict[str, object] = {k: v for k, v in given.items() if v is not None}
    body |= {"timezone": timezone, "traits": dict(traits or {})}
    return Call(Request("PUT", _of(key), **packed(json.dumps(body).encode())), Customer)


def subscription(customer: str) -> Call[Subscription]:
    """The plan a customer is on, and what is scheduled."""
    return Call(Request("GET", _of(customer, "/subscription")), Subscription)


def change_plan(
    customer: str, plan: str, *, at: Literal["now", "period_end"] | None = None
) -> Call[Subscription]:
    """Moves a customer to a plan's newest version; an upgrade at once unless told otherwise."""
    return _change(customer, {"action": "change", "plan": plan}, at)


def cancel_plan(
    customer: str, *, at: Literal["now", "period_end"] | None = None
) -> Call[Subscription]:
    """Cancels a customer's plan, at the period's end unless told otherwise."""
    return _change(customer, {"action": "cancel"}, at)


def _change(customer: str, body: Mapping[str, str], at: str | None) -> Call[Subscription]:
    body = {**body, **({"at": at} if at else {})}
    return _write(_of(customer, "/subscription"), body, Subscription)


def entitlement(customer: str, feature: str) -> Call[Entitlement]:
    """Whether a customer may use a feature or meter, and how much is left."""
    return Call(Request("GET", _of(customer, "/entitlements/{feature}", feature)), Entitlement)


def reserve(
    customer: str, unit: str, amount: Amount, meter: str | None, ttl_seconds: int
) -> Call[Held]:
    """Sets part of a balance aside."""
    body = {"unit": unit, "amount": amount_text(amount), "ttl_seconds": ttl_seconds}
    if meter is not None:
        body["meter"] = meter
    return _write(_of(customer, "/reservations"), body, Held)


def settle(customer: str, reservation: str, amount: Amount) -> Call[Nothing]:
    """Draws what was really used, and frees the rest."""
    place = _of(customer, "/reservations/{id}/settle", reservation)
    return _write(place, {"amount": amount_text(amount)}, Nothing)


def release(customer: str, reservation: str) -> Call[Nothing]:
    """Frees all of it."""
    return _write(_of(customer, "/reservations/{id}/release", reservation), {}, Nothing)


def amount_text(amount: Amount) -> str:
    """An exact amount as it travels. Raises: TypeError for a float, which is not exact."""
    if isinstance(amount, bool | float):
        raise TypeError("an amount is a Decimal, an int or a text, never a float")
    return format(Decimal(amount), "f")


def _write(place: str, body: Mapping[str, object], kind: type[T]) -> Call[T]:
    """A write whose Idempotency-Key is made here, once, so that retries change nothing more."""
    sent = packed(json.dumps(body).encode(), **{"Idempotency-Key": str(uuid.uuid4())})
    return Call(Request("POST", place, **sent), kind)


def _of(customer: str, rest: str = "", part: str = "") -> str:
    return path("/v1/customers/{customer}" + rest, customer=customer, id=part, feature=part)


def _time_text(at: datetime | None) -> str | None:
    if at is not None and at.utcoffset() is None:
        raise ValueError("the time needs a timezone")
    return at.isoformat() if at else None
