"""Reading vendors' requests: forms, and lines of JSON."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

from functions._body import read_bytes
from functions._http import Request
from shared.domain.errors import MalformedError
from shared.wire import strict_json

FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 1000

_NESTED = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")

Fields = dict[str, str | dict[str, str]]


class UnreadableFormError(MalformedError):
    """The body is not one form (400)."""

    code = "malformed-form"


def read_form(request: Request, content_types: Sequence[str]) -> Fields:
    """The form in the body; `a[b]=c` is a member of an object.

    Raises: UnsupportedMediaTypeError, TooLargeError, UnreadableFormError.
    """
    body = read_bytes(request.headers, request.body, content_types)
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=MAX_FIELDS,
        )
    except ValueError as error:
        raise UnreadableFormError("The body is not a form in UTF-8.") from error
    return _nested(pairs)


def _nested(pairs: Sequence[tuple[str, str]]) -> Fields:
    """Raises: UnreadableFormError where a field is there twice, or has a name that JSON may not."""
    fields: Fields = {}
    for name, value in pairs:
        if "__proto__" in name:
            raise UnreadableFormError("A field has a forbidden name.")
        match = _NESTED.fullmatch(name)
        if match is None:
            holder, key = fields, name
        else:
            inner = fields.setdefault(match[1], {})
            if not isinstance(inner, dict):
                raise UnreadableFormError("A field is repeated.")
            holder, key = inner, match[2]  # type: ignore[assignment]
        if key in holder:
            raise UnreadableFormError("A field is repeated.")
        holder[key] = value
    return fields


def read_json_or_lines(request: Request, content_types: Sequence[str]) -> strict_json.Json:
    """The JSON document in the body, or a list of those on its lines.

    Raises: UnsupportedMediaTypeError, TooLargeError, MalformedError, InvalidError.
    """
    body = read_bytes(request.headers, request.body, content_types)
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) < 2 or not all(line.strip().startswith(b"{") for line in lines):
        return strict_json.loads(body)
    try:
        return [strict_json.loads(line) for line in lines]
    except MalformedError:
        return strict_json.loads(body)  # One document may stand on several lines.
