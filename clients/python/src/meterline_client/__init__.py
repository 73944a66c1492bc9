"""Meterline's client: sends usage events, each counted once, and asks about usage and balances."""

from meterline_client._async_client import AsyncClient
from meterline_client._client import Client
from meterline_client._core import Counters, Failure, Options
from meterline_client._event import uuid7
from meterline_client._exchange import Retry
from meterline_client._metered import Outcome, count, duration, metered, value
from meterline_client._queue import Batching, Buffer
from meterline_client._reservations import AsyncReservation, Reservation
from meterline_client._spool import Spool
from meterline_client._tokens import TokenMeter
from meterline_client.errors import (
    ApiError,
    AuthenticationError,
    BufferFullError,
    ClosedError,
    ConflictError,
    EventTooLargeError,
    InsufficientBalanceError,
    InvalidRequestError,
    MeterlineError,
    NotFoundError,
    PermissionDeniedError,
    Problem,
    RateLimitedError,
    ServerError,
    SpoolError,
    UnreachableError,
)

__all__ = [
    "ApiError",
    "AsyncClient",
    "AsyncReservation",
    "AuthenticationError",
    "Batching",
    "Buffer",
    "BufferFullError",
    "Client",
    "ClosedError",
    "ConflictError",
    "Counters",
    "EventTooLargeError",
    "Failure",
    "InsufficientBalanceError",
    "InvalidRequestError",
    "MeterlineError",
    "NotFoundError",
    "Options",
    "Outcome",
    "PermissionDeniedError",
    "Problem",
    "RateLimitedError",
    "Reservation",
    "Retry",
    "ServerError",
    "Spool",
    "SpoolError",
    "TokenMeter",
    "UnreachableError",
    "count",
    "duration",
    "metered",
    "uuid7",
    "value",
]
