"""How Stripe refuses, and how its requests are read."""

import json
from dataclasses import replace

from functions._http import OWN_DIALECT, Answer
from functions._statuses import retry_after, status_of
from functions.vendors._reading import read_form
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    MeterlineError,
)

_CODES = {
    "required": "parameter_missing",
    "unknown-member": "parameter_unknown",
    "too-old": "timestamp_too_far_in_past",
    "in-the-future": "timestamp_in_future",
    "differs-from-stored": "duplicate_meter_event",
    "too-many-requests": "rate_limit",
}


def refuse(error: MeterlineError, instance: str) -> Answer:
    """The refusal as Stripe's `error` object: the first offending parameter, and all in words."""
    status = status_of(error).value
    if isinstance(error, InvalidError | ConflictError):
        status = 400
    code = _code(error.code)
    kind = "api_error" if status >= 500 else "invalid_request_error"
    content = {"type": kind, "code": code}
    message = error.detail
    if error.problems:
        first = error.problems[0]
        content["code"] = _code(first.code)
        message = " ".join([message, *(f"{p.pointer}: {p.code};" for p in error.problems)])
    if error.problems and (parameter := _parameter(error.problems[0].pointer)):
        content["param"] = parameter
    content |= {"message": message.rstrip(";"), "request_id": instance}
    return Answer(json.dumps({"error": content}), status, headers=retry_after(error))


def _code(code: str) -> str:
    return _CODES.get(code, code.replace("-", "_"))


def _parameter(pointer: str) -> str:
    """A JSON pointer as Stripe names parameters: `/payload/value` is `payload[value]`."""
    first, *rest = pointer.strip("/").split("/")
    return first + "".join(f"[{part}]" for part in rest)


FORMS = replace(OWN_DIALECT, read_body=read_form, refuse=refuse)
JSON_BODIES = replace(OWN_DIALECT, refuse=refuse)
