"""A usage event as it is stored: its identity, its fingerprint, and what a meter reads from it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from json.encoder import encode_basestring_ascii as _quoted
from typing import Literal

from shared.domain.catalogue import Aggregation, Meter
from shared.domain.money import EXACT, format_quantity

# A data property: flat JSON, numbers as exact decimals.
Value = str | bool | Decimal | None

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# 128 bits of SHA-256 stand for a value that is counted once: nobody finds two with the same.
DISTINCT_DIGITS = 32


CorrectionRole = Literal["reversal", "replacement"]


@dataclass(frozen=True, slots=True)
class Correction:
    """What makes an event an entry that corrects another one, which itself never changes.

    Correction `number` (from 1) takes back what was in force with its reversal, and may put a
    replacement in its place. `corrected_at` is by the customer's clock, `sent_at` is when the
    event itself was received.
    """

    number: int
    role: CorrectionRole
    actor: str
    corrected_at: datetime
    sent_at: datetime
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One accepted CloudEvents event of one customer (its `subject`).

    `occurred_at` is the event's own time, `received_at` the machine's clock at ingest, and
    `catalogue_version` what ingest saw. `extensions` are the sender's own CloudEvents attributes.
    With a `correction` it is an entry that corrects the event of this source and id: a reversal
    holds the data that it takes back, a replacement the data that it puts instead.
    """

    customer: str
    source: str
    id: str
    type: str
    occurred_at: datetime
    received_at: datetime
    catalogue_version: int
    data: Mapping[str, Value]
    extensions: Mapping[str, str]
    correction: Correction | None = None

    @property
    def key(self) -> str:
        """The identity within the customer, for ever; an entry that corrects has one of its own."""
        if self.correction is None:
            return self.corrected_key
        return correction_key(self.source, self.id, self.correction.number, self.correction.role)

    @property
    def corrected_key(self) -> str:
        """The identity of the event as it was sent, which an entry that corrects is about."""
        return event_key(self.source, self.id)

    @property
    def reversed_key(self) -> str | None:
        """Which entry a reversal takes back; None for what is no reversal."""
        if self.correction is None or self.correction.role != "reversal":
            return None
        if self.correction.number == 1:
            return self.corrected_key
        return correction_key(self.source, self.id, self.correction.number - 1, "replacement")

    @property
    def entry(self) -> int:
        """Which entry of its source and id it counts or takes back: 0 as sent, n replacement n."""
        if self.correction is None:
            return 0
        return self.correction.number - (self.correction.role == "reversal")

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of canonical `type` and `data`: equal for a resend, different for a change."""
        return hashlib.sha256(canonical_json([self.type, self.data]).encode()).digest()


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A candidate for the one quantity that `min`, `max` or `latest` keeps: the greatest wins.

    The weight is the quantity for `max`, its negative for `min`, and for `latest` the event's time
    in Unix microseconds, where ties fall to `place`: source, then id.
    """

    weight: Decimal
    place: tuple[str, ...]
    quantity: Decimal


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one event adds to one meter, under the meter's dimension values.

    Each event counts 1 for `count` and `unique_count`. `mark` is for `min`, `max` and `latest`;
    `distinct` for `unique_count`: a hash of the value that is counted once. Of a reversal `count`
    is -1, quantity and checksum are the opposites of what it takes back, and the mark or the
    distinct value is what it takes back.
    """

    meter: str
    quantity: Decimal
    dimensions: Mapping[str, str]
    checksum: int
    aggregation: Aggregation = "sum"
    mark: Mark | None = None
    distinct: str | None = None
    count: int = 1


def correction_key(source: str, event_id: str, number: int, role: CorrectionRole) -> str:
    """SHA-256 (hex) of the JSON array [source, id, number, role]."""
    identity = canonical_json([source, event_id, number, role])
    return hashlib.sha256(identity.encode()).hexdigest()


# An event is asked for its key, and for its share of checksums, many times over.
@lru_cache(maxsize=4096)
def event_key(source: str, event_id: str) -> str:
    """SHA-256 (hex) of the JSON array [source, id]."""
    return hashlib.sha256(canonical_json([source, event_id]).encode()).hexdigest()


def measure(event: UsageEvent, meter: Meter) -> Measurement | None:
    """What the event adds to the meter; None where its filter or a missing value says nothing.

    A `count` meter counts 1. A dimension that the event lacks is its own group, the empty text.
    """
    measurement = _measured(event, meter)
    if measurement is None or event.reversed_key is None:
        return measurement
    return replace(
        measurement,
        count=-1,
        quantity=EXACT.subtract(Decimal(0), measurement.quantity),
        checksum=-measurement.checksum % CHECKSUM_MODULUS,
    )


def keeps_value(measurement: Measurement) -> bool:
    """Whether it adds what no sum holds: a minimum, maximum, latest or distinct value."""
    return measurement.mark is not None or measurement.distinct is not None


def takes_value_back(measurement: Measurement) -> bool:
    """Whether it takes back what no difference does.

    What is kept is then counted anew from the events that remain.
    """
    return keeps_value(measurement) and measurement.count < 0


def filter_takes(event: UsageEvent, meter: Meter) -> bool:
    """Whether each property that the meter filters by has one of the values wanted."""
    for name, wanted in meter.filter.items():
        if dimension_text(event.data.get(name)) not in wanted:
            return False
    return True


def _measured(event: UsageEvent, meter: Meter) -> Measurement | None:
    if not filter_takes(event, meter):
        return None
    value = event.data.get(meter.value) if meter.value is not None else Decimal(1)
    dimensions = {name: dimension_text(event.data.get(name)) for name in meter.dimensions}
    if meter.aggregation == "unique_count":
        return None if value is None else _distinct(event, meter, dimensions, dimension_text(value))
    quantity = numeric(value)
    if quantity is None:
        return None
    return Measurement(
        meter.key,
        quantity,
        dimensions,
        event_checksum(event, format_quantity(quantity)),
        meter.aggregation,
        _mark(event, meter, quantity),
    )


def _distinct(
    event: UsageEvent, meter: Meter, dimensions: Mapping[str, str], value: str
) -> Measurement:
    return Measurement(
        meter.key,
        Decimal(1),
        dimensions,
        event_checksum(event, value),
        meter.aggregation,
        distinct=hashlib.sha256(value.encode()).hexdigest()[:DISTINCT_DIGITS],
    )


def _mark(event: UsageEvent, meter: Meter, quantity: Decimal) -> Mark | None:
    match meter.aggregation:
        case "max":
            return Mark(quantity, (), quantity)
        case "min":
            return Mark(quantity.copy_negate(), (), quantity)
        case "latest":
            micros = (event.occurred_at - EPOCH) // timedelta(microseconds=1)
            return Mark(Decimal(micros), (event.source, event.id), quantity)
        case _:
            return None


def numeric(value: Value) -> Decimal | None:
    """The property as a quantity, or None if it is no number."""
    if isinstance(value, Decimal):
        return value
    if isinstance(value, str) and is_decimal_text(value):
        return Decimal(value)
    return None


def is_decimal_text(text: str) -> bool:
    """Whether the text is a plain ASCII decimal number of bounded length, safe to convert."""
    body = text.removeprefix("-")
    whole, _, places = body.partition(".")
    if len(body) > 40 or not body.isascii() or body.endswith("."):
        return False
    return whole.isdigit() and (not places or places.isdigit())


def dimension_text(value: Value) -> str:
    """A property as a group's name: text as it is, numbers in plain form, missing as empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return format_quantity(value) if isinstance(value, Decimal) else value


def event_checksum(event: UsageEvent, value: str) -> int:
    """The event's share of a checksum: 8 bytes of SHA-256 of [source, id, canonical value].

    The n-th replacement's is of [source, id, canonical value, n]: one that left the value as it was
    is told from what it replaced.
    """
    return _share(event.source, event.id, value, event.entry)


@lru_cache(maxsize=4096)
def _share(source: str, event_id: str, value: str, entry: int) -> int:
    text = canonical_json([source, event_id, value, Decimal(entry)][: 4 if entry else 3])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])


CHECKSUM_MODULUS = 2**64


def canonical_json(value: object) -> str:
    """One text per meaning: sorted keys, no spaces, numbers as normalised decimals."""
    if isinstance(value, str):  # Most values are, and the other questions take longer.
        return _quoted(value)
    if isinstance(value, Mapping):
        pairs = (f"{_quoted(k)}:{canonical_json(v)}" for k, v in sorted(value.items()))
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical_json, value)) + "]"
    if isinstance(value, Decimal):
        return format_quantity(value)
    return json.dumps(value)


def utc_text(instant: datetime) -> str:
    """RFC 3339 in UTC with six places, so that text order is time order."""
    utc = instant.astimezone(UTC).replace(tzinfo=None)
    return utc.isoformat(timespec="microseconds") + "Z"


def time_text(instant: datetime) -> str:
    """RFC 3339 in UTC as people are shown it: without a fraction of zeros."""
    return utc_text(instant).replace(".000000Z", "Z")


def utc_time(text: str) -> datetime:
    """The instant that `utc_text` wrote."""
    return datetime.fromisoformat(text)
