"""Which HTTP status each kind of refusal has."""

from http import HTTPStatus

from shared.domain.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    MalformedError,
    MeterlineError,
    NotFoundError,
    PreconditionFailedError,
    UnauthenticatedError,
    UnavailableError,
    UnreadableError,
)
from shared.domain.reservations import InsufficientBalanceError
from shared.services.rate_limiting import TooManyRequestsError
from shared.wire.common import TooLargeError, UnsupportedMediaTypeError


class MethodNotAllowedError(MeterlineError):
    """The path exists, but not with this method (405)."""

    code = "method-not-allowed"


STATUSES: tuple[tuple[type[MeterlineError], HTTPStatus], ...] = (
    (MalformedError, HTTPStatus.BAD_REQUEST),
    (UnauthenticatedError, HTTPStatus.UNAUTHORIZED),
    (InsufficientBalanceError, HTTPStatus.PAYMENT_REQUIRED),
    (ForbiddenError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    (MethodNotAllowedError, HTTPStatus.METHOD_NOT_ALLOWED),
    (ConflictError, HTTPStatus.CONFLICT),
    # What is stored stands in the way, and waits in quarantine: nobody has it corrected before.
    (UnreadableError, HTTPStatus.CONFLICT),
    (PreconditionFailedError, HTTPStatus.PRECONDITION_FAILED),
    (TooLargeError, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
    (UnsupportedMediaTypeError, HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
    (InvalidError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (TooManyRequestsError, HTTPStatus.TOO_MANY_REQUESTS),
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: MeterlineError) -> HTTPStatus:
    """The status that the error is answered with; 500 for one that no client caused."""
    found = next((status for kind, status in STATUSES if isinstance(error, kind)), None)
    return found or HTTPStatus.INTERNAL_SERVER_ERROR


def retry_after(error: MeterlineError) -> dict[str, str]:
    """The header that says how soon to send the request again; none where that is not known."""
    seconds = error.retry_after_seconds
    return {} if seconds is None else {"Retry-After": str(seconds)}
