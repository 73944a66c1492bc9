"""What can go wrong, as types: one tree, with the API's own codes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class MeterlineError(Exception):
    """The root of everything that this package raises on purpose."""


class UnreachableError(MeterlineError):
    """No usable answer came, after every attempt; what was sent may have been stored."""


class BufferFullError(MeterlineError):
    """The buffer had no room for an event."""


class EventTooLargeError(MeterlineError):
    """One event alone is larger than a request may be."""


class ClosedError(MeterlineError):
    """The client was closed before this event was metered."""


class SpoolError(MeterlineError):
    """The spool could not keep an event: the disk is full, or the folder cannot be written."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One place in what was sent, as a JSON pointer, and the stable code of what is wrong there."""

    pointer: str
    code: str


class ApiError(MeterlineError):
    """A refusal: the members of its problem document (RFC 9457), as far as it had one."""

    def __init__(self, status: int, document: Mapping[str, Any]) -> None:
        self.status = status
        self.code = _text(document, "code")
        self.detail = _text(document, "detail") or _text(document, "message")
        self.instance = _text(document, "instance")
        self.problems = _problems(document)
        super().__init__(f"{status} {self.code}: {self.detail}".rstrip(": "))

    @staticmethod
    def of(status: int, content: bytes) -> "ApiError":
        """The error of this status, told by the body of the answer."""
        try:
            document = json.loads(content)
        except (ValueError, RecursionError):
            document = None
        kind = _KINDS.get(status, ServerError if status >= 500 else ApiError)
        return kind(status, document if isinstance(document, dict) else {})


class InvalidRequestError(ApiError):
    """The request breaks a rule at each place that `problems` lists (400, 413, 415, 422)."""


class AuthenticationError(ApiError):
    """The key is missing, unknown or revoked (401)."""


class InsufficientBalanceError(ApiError):
    """The available balance does not cover what was asked for (402)."""


class PermissionDeniedError(ApiError):
    """The key lacks the scope (403)."""


class NotFoundError(ApiError):
    """There is no such resource, or not for this key (404)."""


class ConflictError(ApiError):
    """It contradicts what is stored (409)."""


class RateLimitedError(ApiError):
    """Too many requests, still after waiting as asked (429)."""


class ServerError(ApiError):
    """The server failed or was not available, still after every attempt (5xx)."""


_KINDS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: AuthenticationError,
    402: InsufficientBalanceError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidRequestError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: RateLimitedError,
}


def _text(document: Mapping[str, Any], name: str) -> str:
    value = document.get(name)
    return value if isinstance(value, str) else ""


def _problems(document: Mapping[str, Any]) -> tuple[Problem, ...]:
    listed = document.get("errors")
    if not isinstance(listed, list):
        return ()
    entries = [entry for entry in listed if isinstance(entry, dict)]
    return tuple(Problem(_text(entry, "pointer"), _text(entry, "code")) for entry in entries)
