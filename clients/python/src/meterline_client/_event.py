"""Usage events as bytes: encoded once, under an identity and a time that no retry changes."""

import json
import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from json.encoder import encode_basestring_ascii as quoted
from typing import Any

Value = str | int | float | Decimal | bool | None
Data = Mapping[str, Value]


# The two bits that say RFC 9562, before two random ones.
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def uuid7() -> str:
    """A UUID of version 7 (RFC 9562): Unix milliseconds, then 74 random bits.

    The randomness is the system's, so that neither a fork nor a seeded program repeats it.
    """
    moment = f"{time.time_ns() // 1_000_000:012x}"
    lot = os.urandom(10).hex()
    return f"{moment[:8]}-{moment[8:]}-7{lot[:3]}-{_VARIANT[lot[3]]}{lot[4:7]}-{lot[8:]}"


def _plain(value: object) -> str:
    """Decimals travel as text, so that no digit is lost."""
    if isinstance(value, Decimal) and value.is_finite():
        return format(value, "f")
    raise TypeError(f"{type(value).__name__} is not a value of a usage event")


_encode_data = json.JSONEncoder(allow_nan=False, separators=(",", ":"), default=_plain).encode


def encode_event(
    *, id: str, source: str, type: str, customer: str, data: Data | None, at: datetime | None
) -> bytes:
    """One CloudEvents 1.0 event in JSON: ASCII, on one line. Without a time it is now.

    Raises: TypeError, ValueError for what JSON cannot say, and for a time without a zone.
    """
    moment = datetime.now(UTC) if at is None else at
    if moment.utcoffset() is None:
        raise ValueError("the time of a usage event needs a timezone")
    return (
        f'{{"specversion":"1.0","id":{quoted(id)},"source":{quoted(source)},'
        f'"type":{quoted(type)},"subject":{quoted(customer)},"time":"{moment.isoformat()}",'
        f'"data":{_encode_data(dict(data)) if data else "{}"}}}'
    ).encode("ascii")


def decode_event(payload: bytes) -> dict[str, Any]:
    """The event that was encoded."""
    event: dict[str, Any] = json.loads(payload)
    return event
