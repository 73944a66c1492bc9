"""JSON as strangers send it: one meaning or a refusal, and nothing that is costly to touch."""

import json
import re
from collections.abc import Iterable, Iterator
from decimal import Decimal

from shared.domain.errors import InvalidError, MalformedError, Problem

Scalar = str | int | bool | Decimal | None
Json = Scalar | list["Json"] | dict[str, "Json"]

MAX_DEPTH = 32
# A longer literal is no number that anyone means, and costs time to read.
MAX_LITERAL_CHARACTERS = 1000
# The numbers that a DynamoDB attribute can hold.
MAX_DIGITS = 38
MIN_MAGNITUDE, MAX_MAGNITUDE = -130, 125
MAX_PROBLEMS = 100

_NUMBER = re.compile(r"-?0*\.?0*([0-9]*)\.?([0-9]*)(?:[eE][+-]?0*([0-9]*))?")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_OUT_OF_RANGE = object()


def loads(raw: bytes) -> Json:
    """The document in `raw`, which must be UTF-8 without a byte order mark.

    Integers are `int`, other numbers exact `Decimal`, all of at most 38 digits.
    Raises: MalformedError where RFC 8259 does not give one plain meaning, or nesting is over 32;
    InvalidError, with pointers, for numbers out of range, lone surrogates and `__proto__` keys.
    """
    reader = _Reader()
    try:
        text = raw.decode()
        value: Json = json.loads(
            text,
            object_pairs_hook=reader.object,
            parse_int=reader.integer,
            parse_float=reader.decimal,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise MalformedError("The body is not one JSON document in UTF-8.") from error
    _check_depth(value)
    if reader.suspect or _SURROGATE_ESCAPE.search(text):
        problems = tuple(_problems(value, ""))[:MAX_PROBLEMS]
        if problems:
            raise InvalidError("The body holds values that no field can take.", problems)
    return value


def pointer_token(name: str | int) -> str:
    """One reference token of a JSON pointer (RFC 6901), with its slash."""
    return "/" + str(name).replace("~", "~0").replace("/", "~1")


class _Reader:
    """The parser's hooks. `suspect` says that something has to be looked for and pointed at."""

    def __init__(self) -> None:
        self.suspect = False

    def object(self, pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a repeated name")
        self.suspect |= "__proto__" in found
        return found

    def integer(self, text: str) -> Json:
        return int(text) if self._in_range(text) else _OUT_OF_RANGE  # type: ignore[return-value]

    def decimal(self, text: str) -> Json:
        return Decimal(text) if self._in_range(text) else _OUT_OF_RANGE  # type: ignore[return-value]

    def _in_range(self, text: str) -> bool:
        """Judged on the text: arithmetic on 1e999999999 would not finish."""
        if len(text) > MAX_LITERAL_CHARACTERS:
            raise ValueError("a number of absurd length")
        match = _NUMBER.fullmatch(text)
        whole, places, exponent = match.groups("") if match else ("", "", "99999")
        fits = len(whole) + len(places) <= MAX_DIGITS and len(exponent) <= 4
        fits = fits and MIN_MAGNITUDE <= Decimal(text).adjusted() <= MAX_MAGNITUDE
        self.suspect |= not fits
        return fits


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is not JSON")


def _check_depth(value: Json) -> None:
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [inner for node in level for inner in _containers(_children(node))]
    if level:
        raise MalformedError(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _containers(values: Iterable[Json]) -> list[Json]:
    return [value for value in values if isinstance(value, dict | list)]


def _children(node: Json) -> Iterable[Json]:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()


def _problems(value: object, pointer: str) -> Iterator[Problem]:
    if value is _OUT_OF_RANGE:
        yield Problem(pointer, "number-out-of-range")
    elif isinstance(value, str) and not is_unicode(value):
        yield Problem(pointer, "lone-surrogate")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _problems(child, pointer + pointer_token(index))
    elif isinstance(value, dict):
        for name, child in value.items():
            if name == "__proto__" or not is_unicode(name):
                yield Problem(pointer, "forbidden-name")
            else:
                yield from _problems(child, pointer + pointer_token(name))


def is_unicode(text: str) -> bool:
    """Whether the text has no lone surrogate, so that it can be written as UTF-8."""
    return not any("\ud800" <= character <= "\udfff" for character in text)
