"""A decorator that meters the calls of a function."""

import functools
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeVar, cast

from meterline_client._async_client import AsyncClient
from meterline_client._client import Client
from meterline_client._event import Data, Value

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger("meterline_client")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with `result`, or with `error`, after so many seconds."""

    arguments: Mapping[str, Any]
    result: Any
    error: BaseException | None
    seconds: float


# What to send of a call; None: nothing.
Measure = Callable[[Outcome], Data | None]


def count(**data: Value) -> Measure:
    """An event a call, with always the same data."""
    return lambda _: data


def duration(name: str = "seconds", **data: Value) -> Measure:
    """An event a call with its duration in seconds, to the microsecond, under this name."""
    return lambda outcome: {**data, name: f"{outcome.seconds:.6f}"}


def value(name: str, of: Callable[[Any], Value], **data: Value) -> Measure:
    """An event a call with a value of its result; a call without a result is not metered."""
    return lambda outcome: {**data, name: of(outcome.result)} if outcome.error is None else None


def metered(
    client: Client | AsyncClient,
    type: str,
    *,
    customer: str | Callable[[Mapping[str, Any]], str],
    measure: Measure | None = None,
    errors: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Meters each call of the decorated function, plain or async, when it ends.

    `customer` is a customer's key, or finds it in the call's arguments by name. Calls that raise
    are metered only with `errors`. Metering never changes how the call ends: what goes wrong with
    it is logged. An AsyncClient needs an async function.

    Raises: TypeError for generators, whose end is not that of the call, and for a plain function
    with an AsyncClient.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError("a generator has not ended when its call has")
        is_async = inspect.iscoroutinefunction(function)
        if isinstance(client, AsyncClient) and not is_async:
            raise TypeError("an AsyncClient meters async functions")
        meter = _Meter(client, type, customer, measure or count(), errors, function)
        wrap = _wrap_async if is_async else _wrap
        return cast("Callable[P, R]", wrap(function, meter))

    return decorate


@dataclass(frozen=True, slots=True)
class _Meter:
    client: Client | AsyncClient
    type: str
    customer: str | Callable[[Mapping[str, Any]], str]
    measure: Measure
    errors: bool
    function: Callable[..., Any]

    def record(
        self, args: Any, kwargs: Any, result: Any, error: BaseException | None, began: float
    ) -> Awaitable[str] | None:
        """Meters one call; with an AsyncClient there is something to wait for."""
        if error is not None and not self.errors:
            return None
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        customer = self.customer
        key = customer if isinstance(customer, str) else customer(bound.arguments)
        data = self.measure(Outcome(bound.arguments, result, error, time.perf_counter() - began))
        if data is None:
            return None
        found = self.client.meter(self.type, key, data)
        return None if isinstance(found, str) else found


def _wrap(function: Callable[..., Any], meter: _Meter) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result, error = None, None
        try:
            result = function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            try:
                meter.record(args, kwargs, result, error, began)
            except Exception:
                logger.exception("a call of %s was not metered", function.__qualname__)
        return result

    return call


def _wrap_async(function: Callable[..., Any], meter: _Meter) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:
        began = time.perf_counter()
        result, error = None, None
        try:
            result = await function(*args, **kwargs)
        except BaseException as raised:
            error = raised
            raise
        finally:
            try:
                waiting = meter.record(args, kwargs, result, error, began)
                if waiting is not None:
                    await waiting
            except Exception:
                logger.exception("a call of %s was not metered", function.__qualname__)
        return result

    return call
