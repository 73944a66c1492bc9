"""The one error tree: every refusal has a stable `code` that clients may rely on."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One offending place: a JSON pointer into the request and a stable code."""

    pointer: str
    code: str


class MeterlineError(Exception):
    """Base of all errors that Meterline raises on purpose.

    `retry_after_seconds` is how soon the same request may succeed, where that is known.
    """

    code = "internal"
    retry_after_seconds: int | None = None

    def __init__(self, detail: str = "", problems: Sequence[Problem] = ()) -> None:
        super().__init__(detail or self.code)
        self.detail = detail
        self.problems = tuple(problems)


class MalformedError(MeterlineError):
    """The request cannot be read at all (400)."""

    code = "malformed-json"


class InvalidError(MeterlineError):
    """The request can be read but breaks a rule (422); `problems` point at the offenders."""

    code = "validation"


class UnauthenticatedError(MeterlineError):
    """No valid credential (401)."""

    code = "unauthenticated"


class ForbiddenError(MeterlineError):
    """A valid credential without the scope that the route needs (403)."""

    code = "forbidden"


class NotFoundError(MeterlineError):
    """No such thing, or not visible to this caller (404)."""

    code = "not-found"


class ConflictError(MeterlineError):
    """The request contradicts what is stored (409)."""

    code = "conflict"


class VersionConflictError(ConflictError):
    """A conditional write lost a race: read again and decide anew. Never reaches a client as is."""

    code = "version-conflict"


class PreconditionFailedError(MeterlineError):
    """What is stored is not what the caller says it has read (412): read again and decide anew."""

    code = "precondition-failed"


class UnavailableError(MeterlineError):
    """Storage refused or was out of reach for now (503): send the request again."""

    code = "unavailable"
    retry_after_seconds = 1


class RatingError(MeterlineError):
    """A record that cannot be applied: it is quarantined, and the stream goes on."""

    code = "unratable"


class UnreadableError(MeterlineError):
    """A stored item is not what this version of the system reads as an event."""

    code = "unreadable"
