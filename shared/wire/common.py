"""What all requests and answers share: base models, exact scalars, lists, and refusals of form."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    Strict,
    ValidationError,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.domain.errors import InvalidError, MeterlineError, Problem
from shared.domain.events import is_decimal_text, time_text
from shared.domain.money import bounds_problem, format_quantity
from shared.wire.strict_json import MAX_PROBLEMS, is_unicode, pointer_token

T = TypeVar("T")


class TooLargeError(MeterlineError):
    """More bytes or items than one request may carry (413)."""

    code = "too-large"


class UnsupportedMediaTypeError(MeterlineError):
    """A content type or encoding that the route does not read (415)."""

    code = "unsupported-media-type"


class WireModel(BaseModel):
    """A JSON object of a request or an answer: no unknown members, nothing silently converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Members that no ETag is of, as nobody puts them: a tag is of what a PUT would replace.
    untagged: ClassVar[frozenset[str]] = frozenset()


class QueryModel(BaseModel):
    """Query parameters. They arrive as text, so numbers are read from text here."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PageQuery(QueryModel):
    """Query parameters of every list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class Page(WireModel, Generic[T]):
    """One page of a list; `next_cursor` is null on the last one."""

    data: Sequence[T]
    next_cursor: str | None = None


# JSON arrays: strict models would refuse a list for a tuple.
Items = Annotated[tuple[T, ...], Strict(False)]


def refuse(code: str) -> PydanticCustomError:
    """A validation error that reaches the client as this stable code."""
    return PydanticCustomError(code, "refused")


# --- text ---------------------------------------------------------------------------------------

_BIDIRECTIONAL_CONTROLS = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e") | frozenset(
    "\u2066\u2067\u2068\u2069"
)


def plain_text(text: str) -> str:
    """The text, if it looks like what it is: NFC, without control or direction characters."""
    if text.isascii() and text.isprintable():
        return text
    if not is_unicode(text):
        raise refuse("lone-surrogate")
    if any(c in _BIDIRECTIONAL_CONTROLS or unicodedata.category(c) == "Cc" for c in text):
        raise refuse("control-character")
    if not unicodedata.is_normalized("NFC", text):
        raise refuse("not-nfc")
    return text


# A sort key in storage has 1,024 bytes, and some hold more than the customer's key.
MAX_KEY_BYTES = 900


def _path_safe(text: str) -> str:
    """A key that can be one segment of a path, whoever decodes that path, and of a storage key."""
    if "/" in text or "%" in text or text in (".", ".."):
        raise refuse("not-a-key")
    if len(text.encode()) > MAX_KEY_BYTES:
        raise refuse("key-length")
    return text


Text = Annotated[str, Field(max_length=256), AfterValidator(plain_text)]
Identifier = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(plain_text)]
CustomerKey = Annotated[Identifier, AfterValidator(_path_safe)]
# Keys of meters, plans, units, features: made by operators, used in storage keys and in code.
Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]


# --- numbers ------------------------------------------------------------------------------------


def exact_decimal(value: object) -> Decimal:
    """A JSON number, or a string of plain ASCII decimal digits, as an exact decimal; -0 is 0."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise refuse("not-a-number")
    if isinstance(value, str) and not is_decimal_text(value):
        raise refuse("not-a-number")
    number = Decimal(value)
    return number or Decimal(0)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Annotates a Decimal: it is bounded, and travels as a string."""

    places: int
    lowest: Decimal = Decimal(0)
    highest: Decimal = Decimal(10**12)

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read,
            serialization=core_schema.plain_serializer_function_ser_schema(format_quantity),
        )

    def read(self, value: object) -> Decimal:
        """The number in the value, if it keeps the bounds."""
        number = exact_decimal(value)
        if code := bounds_problem(number, self.places, self.lowest, self.highest):
            raise refuse(code)
        return number

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        text = {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}
        if handler.mode == "serialization":
            return text
        return {"anyOf": [text, {"type": "number"}]}


Quantity = Annotated[Decimal, Bounds(places=9)]
# Any exact decimal in an answer.
DecimalText = Annotated[
    Decimal, Bounds(places=40, lowest=Decimal("-1e38"), highest=Decimal("1e38"))
]


# --- times --------------------------------------------------------------------------------------

# Whatever is added to a time or taken from it then stays a time.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)

_RFC_3339 = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,30}))?"
    r"(?:[Zz]|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)


def rfc3339(text: object) -> datetime:
    """The instant, in UTC; digits below the microsecond are cut off, an offset is required."""
    match = _RFC_3339.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise refuse("not-rfc3339")
    *fields, fraction, sign, hours, minutes = match.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    zone = timezone(-offset if sign == "-" else offset)
    microsecond = int((fraction or "")[:6].ljust(6, "0"))
    try:
        year, month, day, hour, minute, second = map(int, fields)
        local = datetime(year, month, day, hour, minute, second, microsecond, zone)
        instant = local.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise refuse("no-such-time") from error
    if not EARLIEST <= instant < LATEST:
        raise refuse("time-out-of-range")
    return instant


class _Rfc3339:
    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            lambda value: value if isinstance(value, datetime) else rfc3339(value),
            serialization=core_schema.plain_serializer_function_ser_schema(time_text),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}


Time = Annotated[datetime, _Rfc3339()]


# --- refusals -----------------------------------------------------------------------------------

# Member names longer than any of ours are not repeated either.
MAX_TOKEN_CHARACTERS = 64
_CODES = {"missing": "required", "extra_forbidden": "unknown-member"}


def invalid(error: ValidationError, value: object, prefix: str = "") -> InvalidError:
    """Pydantic's complaint as pointers into `value`, without repeating anything of it."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    problems = [
        Problem(
            prefix + _pointer(item["loc"], value),
            _CODES.get(item["type"], item["type"].replace("_", "-")),
        )
        for item in found[:MAX_PROBLEMS]
    ]
    return InvalidError("The request breaks a rule at each place listed.", problems)


def _pointer(location: Sequence[str | int], value: object) -> str:
    """The location as a JSON pointer, without the names of union branches that pydantic puts in."""
    pointer = ""
    for step, token in enumerate(location):
        if isinstance(value, dict):
            is_branch = step < len(location) - 1 or str(token).startswith("<")
            if token not in value and is_branch:
                continue
            value = value.get(token)
        elif isinstance(value, list | tuple) and isinstance(token, int) and token < len(value):
            value = value[token]
        else:
            continue
        if len(str(token)) > MAX_TOKEN_CHARACTERS:
            break
        pointer += pointer_token(token)
    return pointer
