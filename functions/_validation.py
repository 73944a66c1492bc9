"""Reading a request into models: what breaks a rule is refused with pointers, never repeated."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from shared.domain.errors import InvalidError, MalformedError, Problem
from shared.wire.common import Identifier, invalid


class IdempotencyKeyRequiredError(MalformedError):
    """A money write came without an Idempotency-Key (400)."""

    code = "idempotency-key-required"


def validate(model: Any, value: object) -> Any:
    """The value as the model (a pydantic model or any annotation that pydantic knows).

    Raises: InvalidError.
    """
    try:
        if isinstance(model, type) and issubclass(model, BaseModel):
            return model.model_validate(value)
        return _adapter(model).validate_python(value)
    except ValidationError as error:
        raise invalid(error, value) from None


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    return TypeAdapter(annotation)


def distinct(pairs: Sequence[tuple[str, str]]) -> Mapping[str, str]:
    """The query parameters by name; repeated ones are refused.

    Raises: InvalidError.
    """
    values = dict(pairs)
    if len(values) < len(pairs):
        raise InvalidError("A query parameter is repeated.", [Problem("", "repeated-parameter")])
    return values


_MEMBER = re.compile(r"([A-Za-z_]+)\[([^\[\]]+)\]")


def gathered(
    lists: Collection[str], mappings: Collection[str]
) -> Callable[[Sequence[tuple[str, str]]], Mapping[str, object]]:
    """A reader of query parameters where those in `lists` may be repeated.

    Of those in `mappings` each member, `name[member]=text`, may be; any other only stands once.
    """

    def read(pairs: Sequence[tuple[str, str]]) -> Mapping[str, object]:
        values: dict[str, Any] = {}
        single = []
        for name, text in pairs:
            member = _MEMBER.fullmatch(name)
            if name in lists:
                values.setdefault(name, []).append(text)
            elif member and member[1] in mappings:
                values.setdefault(member[1], {}).setdefault(member[2], []).append(text)
            else:
                single.append((name, text))
        return {**distinct(single), **values}

    return read


def validate_query(values: Mapping[str, object], model: type[BaseModel] | None) -> Any:
    """The query parameters as the model; unknown ones are refused.

    Raises: InvalidError.
    """
    if model is not None:
        return validate(model, values)
    if values:
        raise InvalidError("No query parameters here.", [Problem("", "unknown-member")])
    return None


def idempotency_key(headers: Mapping[str, str]) -> str:
    """The Idempotency-Key. Header names are lower-case.

    Raises: IdempotencyKeyRequiredError, InvalidError for a key that is no plain text.
    """
    key = headers.get("idempotency-key")
    if not key:
        raise IdempotencyKeyRequiredError("A money write needs an Idempotency-Key header.")
    try:
        checked: str = validate(Identifier, key)
    except InvalidError as error:
        words = "The Idempotency-Key header is not 1 to 256 plain characters."
        raise InvalidError(words, error.problems) from None
    return checked
