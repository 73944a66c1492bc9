"""Usage events on the wire: CloudEvents 1.0 in its JSON format, with flat data."""

import re
import unicodedata
from collections.abc import Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from shared.domain.events import Value, canonical_json
from shared.services.ingest import Submission
from shared.wire.common import (
    CustomerKey,
    Identifier,
    PageQuery,
    Text,
    Time,
    TooLargeError,
    WireModel,
    plain_text,
    refuse,
)

MAX_EVENTS = 1000
MAX_PROPERTIES = 50
MAX_NAME_CHARACTERS = 64
VALUE_BYTES_LIMIT = 4096  # a text value stays below it
MAX_EXTENSIONS = 20
MAX_EXTENSION_CHARACTERS = 256
# As stored, where a character may take twelve bytes. The item, and a quarantined copy of it with
# every quote escaped once more, have to stay below 400 KB.
MAX_DATA_BYTES = 128 * 1024
MAX_BYTES_PER_CHARACTER = 12

# Card numbers as people write them: never ours to keep. Longer runs of digits are other things.
_CARD_NUMBER = re.compile(
    r"(?<![\w.-])(?:[24-6]\d{3}|3[0-9]{3})([ -]?)(?:\d{4}\1\d{4}\1\d{4}|\d{6}\1\d{4,5})(?![\w-])",
    re.ASCII,
)
_CARD_PREFIX = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:2[2-9]|[3-6]\d|7[01])\d{13}|2720\d{12}"  # Visa, Mastercard
    r"|3[47]\d{13}|3(?:0[0-5]|[68]\d)\d{11}|35\d{14}"  # American Express, Diners, JCB
    r"|6(?:011|5\d\d|4[4-9]\d|2\d\d)\d{12}"  # Discover, UnionPay
)
_EXTENSION_NAME = re.compile(r"[a-z0-9]{1,20}")


def flat_data(data: object) -> dict[str, Value]:
    """The properties of an event: at most 50, flat, numbers as exact decimals."""
    if not isinstance(data, dict):
        raise refuse("not-an-object")
    if len(data) > MAX_PROPERTIES:
        raise refuse("too-many-properties")
    return {property_name(name): value for name, value in data.items()}


def property_name(name: str) -> str:
    """A property's name: 1 to 64 plain characters, no card number."""
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise refuse("name-length")
    if has_card_number(name):
        raise refuse("card-number")
    return plain_text(name)


def property_value(value: object) -> Value:
    """A property's value: a text below 4 KiB, a number, a boolean or null; no card number."""
    if isinstance(value, dict | list):
        raise refuse("nested")
    if isinstance(value, str):
        if len(value) >= VALUE_BYTES_LIMIT or len(value.encode()) >= VALUE_BYTES_LIMIT:
            raise refuse("value-length")
        if "\0" in value:
            raise refuse("control-character")
        if has_card_number(value):
            raise refuse("card-number")
        return value
    if isinstance(value, bool) or value is None:
        return value
    if not isinstance(value, int | Decimal):
        raise refuse("not-a-value")
    if isinstance(value, int) and has_card_number(str(value)):
        raise refuse("card-number")
    return Decimal(value) or Decimal(0)


def storable(data: dict[str, Value]) -> dict[str, Value]:
    """The data, unless its stored form is too large."""
    texts = [text for pair in data.items() for text in pair if isinstance(text, str)]
    # Few events come near, so that the exact size is seldom computed.
    suspect = sum(map(len, texts)) > MAX_DATA_BYTES // MAX_BYTES_PER_CHARACTER
    if suspect and len(canonical_json(data)) > MAX_DATA_BYTES:
        raise refuse("data-too-large")
    return data


def has_card_number(text: str) -> bool:
    """Whether a payment card's number, of an issuer's form, stands in the text."""
    if len(text) < 14:
        return False
    for found in _CARD_NUMBER.finditer(text):
        digits = re.sub("[ -]", "", found[0])
        if _CARD_PREFIX.fullmatch(digits) and _luhn_sum(digits) % 10 == 0:
            return True
    return False


def _luhn_sum(digits: str) -> int:
    odd = sum(map(int, digits[-1::-2]))
    return odd + sum(sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])


Property = Annotated[
    Any,
    BeforeValidator(property_value),
    WithJsonSchema({"type": ["string", "number", "boolean", "null"]}),
]
Data = Annotated[
    dict[str, Property],
    BeforeValidator(flat_data),
    Field(max_length=MAX_PROPERTIES),
    AfterValidator(storable),
]


def attribute_name(name: str) -> str:
    """The name of an attribute of the sender's own, as CloudEvents has them."""
    if not _EXTENSION_NAME.fullmatch(name):
        raise refuse("attribute-name")
    return name


def attribute_value(value: object) -> object:
    """Its value: a short scalar, a text without control characters; no card number."""
    if not isinstance(value, str | bool | int) or len(str(value)) > MAX_EXTENSION_CHARACTERS:
        raise refuse("attribute-value")
    if isinstance(value, str) and any(unicodedata.category(c) == "Cc" for c in value):
        raise refuse("control-character")
    if has_card_number(str(value)):
        raise refuse("card-number")
    return value


AttributeName = Annotated[str, AfterValidator(attribute_name)]
# Described as anything: types made from the description would hold `data` to it as well.
AttributeValue = Annotated[Any, BeforeValidator(attribute_value), WithJsonSchema({})]


class Event(WireModel):
    """One usage event: a CloudEvents 1.0 event whose `subject` is the customer's key.

    Its identity is (`source`, `id`) within the customer, for ever. Further attributes are kept.
    """

    model_config = ConfigDict(frozen=True, extra="allow", strict=True)

    specversion: Literal["1.0"]
    id: Identifier
    source: Identifier
    type: Identifier
    subject: CustomerKey
    time: Time | None = None
    datacontenttype: Literal["application/json"] | None = None
    data: Data = Field(default_factory=dict)

    __pydantic_extra__: dict[AttributeName, AttributeValue]

    @model_validator(mode="before")
    @classmethod
    def _count_extensions(cls, event: object) -> object:
        """Attributes of the sender's own are few."""
        if isinstance(event, dict):
            extensions = event.keys() - cls.model_fields.keys()
            if len(extensions) > MAX_EXTENSIONS:
                raise refuse("too-many-attributes")
        return event

    @property
    def extensions(self) -> dict[str, str]:
        """The sender's own attributes as text."""
        return {name: _attribute_text(v) for name, v in (self.model_extra or {}).items()}


def _attribute_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _bounded(value: object) -> object:
    """Too many events are refused before any of them is looked at."""
    if isinstance(value, list) and len(value) > MAX_EVENTS:
        raise TooLargeError(f"A request carries at most {MAX_EVENTS} events.")
    return value


Batch = Annotated[list[Event], Field(min_length=1, max_length=MAX_EVENTS)]
# Told apart by shape, so that complaints are about the one that was sent.
EventOrBatch = Annotated[
    Annotated[Event, Tag("<event>")] | Annotated[Batch, Tag("<batch>")],
    Discriminator(lambda value: "<batch>" if isinstance(value, list) else "<event>"),
    BeforeValidator(_bounded),
]


def submissions(body: Event | Sequence[Event]) -> list[Submission]:
    """The events of a request as ingest takes them, each with its place."""
    if isinstance(body, Event):
        return [_submission(body, "")]
    return [_submission(event, f"/{index}") for index, event in enumerate(body)]


def _submission(event: Event, pointer: str) -> Submission:
    return Submission(
        pointer=pointer,
        customer=event.subject,
        source=event.source,
        id=event.id,
        type=event.type,
        occurred_at=event.time,
        data=event.data,
        extensions=event.extensions,
    )


class IngestAnswer(WireModel):
    """How many events were stored now, were stored before, and are read by no meter."""

    accepted: int
    duplicates: int
    unmetered: int


class EventsQuery(PageQuery):
    """Which raw events: of one customer, in [from, to), newest first.

    `property` and `value` ask for a data property: numbers in plain form, `true`, `false`.

    `to` is five minutes from now unless given, `from` 35 days before `to`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    customer: CustomerKey
    type: Identifier | None = None
    source: Identifier | None = None
    id: Identifier | None = None
    property: Annotated[str, AfterValidator(property_name)] | None = None
    value: Annotated[Text | None, Field(validate_default=True)] = None
    start: Annotated[Time | None, Field(alias="from")] = None
    end: Annotated[Time | None, Field(alias="to")] = None

    @field_validator("value")
    @classmethod
    def _with_its_property(cls, value: str | None, info: ValidationInfo) -> str | None:
        if "property" in info.data and (value is None) != (info.data["property"] is None):
            raise refuse("property-and-value")
        return value
