"""How Lago's requests are read, and how it refuses."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from functions._http import OWN_DIALECT, Answer
from functions._statuses import retry_after, status_of
from shared.domain.errors import InvalidError, MeterlineError, NotFoundError, Problem

_CODES = {"required": "value_is_mandatory"}


def refuse(error: MeterlineError, instance: str) -> Answer:
    """The refusal in Lago's shape: `error_details` by field, in a batch by index and field."""
    status = status_of(error)
    content: dict[str, object] = {"status": status.value, "error": status.phrase}
    if isinstance(error, InvalidError):
        content |= {"code": "validation_errors", "error_details": _details(error.problems)}
    elif isinstance(error, NotFoundError):
        content |= {"code": "event_not_found"}
    else:
        content |= {"code": error.code.replace("-", "_"), "message": error.detail}
    return Answer(json.dumps(content), status.value, headers=retry_after(error))


def _details(problems: Sequence[Problem]) -> dict[str, Any]:
    details: dict[str, Any] = {}
    for problem in problems:
        top, *path = problem.pointer.strip("/").split("/")
        fields = details.setdefault(path.pop(0), {}) if top == "events" and path else details
        code = _CODES.get(problem.code, problem.code.replace("-", "_"))
        fields.setdefault("/".join(path) or "base", []).append(code)
    return details


DIALECT = replace(OWN_DIALECT, refuse=refuse)
