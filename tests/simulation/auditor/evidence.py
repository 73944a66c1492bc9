"""What the auditor sees, and how it reads it."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from tests.simulation.auditor.arithmetic import plain_text

Plain = dict[str, Any]
Dimensions = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Finding:
    """One broken invariant, and where."""

    invariant: str
    detail: str


@dataclass
class Evidence:
    """Plain data: nothing here has code of the system in it.

    `versions` are all versions of each customer's account in order; `orders` what people asked for
    and were told; `pending` how many records are still on their way;
    `lost` the events (customer, key) that the stream forgot unacknowledged, `lost_versions` the
    account versions (customer, version); `troubles` what the last reconciliation of each customer
    still found; `now` each customer's present.
    """

    settled: bool
    raw: list[Plain]
    acknowledged: list[Plain]
    catalogue: Plain
    customers: dict[str, Plain]
    versions: dict[str, list[Plain]]
    numbers: dict[str, int]
    orders: list[Plain]
    contradictions: list[str]
    pending: int
    lost: set[tuple[str, str]]
    lost_versions: set[tuple[str, int]]
    troubles: dict[str, list[str]]
    now: dict[str, datetime]
    grace_seconds: int


@dataclass
class Watch:
    """Remembers what must never change once it was seen."""

    _seen: dict[tuple[str, str], str] = field(default_factory=dict)
    _invoices: dict[str, set[str]] = field(default_factory=dict)

    def look(self, customers: dict[str, Plain]) -> list[Finding]:
        """Compares finalized invoices and closed phases with what they were."""
        findings = []
        for customer, kept in customers.items():
            findings += [
                Finding("V9", f"invoice {document['id']} changed")
                for document in kept["invoices"]
                if self._changed(("V9", str(document["id"])), document)
            ]
            for closed in kept["closed"]:
                name = f"{customer}/{closed['phase']['number']}"
                if self._changed(("V7", name), closed["phase"]):
                    findings.append(Finding("V7", f"closed phase {name} changed"))
            there = {str(document["id"]) for document in kept["invoices"]}
            known = self._invoices.setdefault(customer, set())
            findings += [Finding("V9", f"invoice {i} is gone") for i in sorted(known - there)]
            known |= there
        return findings

    def _changed(self, name: tuple[str, str], now: object) -> bool:
        text = repr(now)
        return self._seen.setdefault(name, text) != text


@dataclass(frozen=True)
class Usage:
    """What one event adds to one meter; `order` and `value` for what is not a sum.

    `order` is the event's place among others: its time, source and id. `sign` is -1 for what a
    correction takes back.
    """

    meter: str
    quantity: Fraction
    dimensions: Dimensions
    checksum: int
    aggregation: str
    order: tuple[str, str, str]
    value: str
    sign: int


@dataclass(frozen=True)
class Event:
    """A raw event as the auditor reads it, or an entry that corrects one.

    `correction` is the source, id and number of the correction that an entry belongs to, the same
    for its reversal and its replacement; `reversed_at` is when a reversal was made.
    """

    customer: str
    key: str
    occurred_at: datetime
    received_at: datetime
    usages: tuple[Usage, ...]
    corrects: bool
    reservation: str | None
    correction: tuple[str, str, str] | None
    reversed_at: datetime | None


def read_event(item: Plain, meters: list[Plain], newest: int) -> Event | None:
    """The event, or None for an item that is none."""
    try:
        data = json.loads(item["data"], parse_float=Decimal, parse_int=Decimal)
        stamp, kind = int(item["catalogue"]), item["type"]
        at = datetime.fromisoformat(item["occurred_at"])
    except (KeyError, ValueError):
        return None
    if stamp > newest:
        return None
    usages = []
    for meter in meters:
        archived = meter["archived_since"]
        live = meter["since"] <= stamp and (archived is None or stamp < archived)
        usage = _read(meter, item, data) if live and meter["event_type"] == kind else None
        if usage is not None:
            usages.append(usage)
    named = json.loads(item.get("extensions", "{}")).get("reservation")
    received_at = datetime.fromisoformat(item["received_at"])
    place = item["pk"], item["sk"], at, received_at
    made = item.get("correction")
    number = None if made is None else (item["source"], item["id"], str(made["n"]))
    reversed_at = None
    if made is not None and made["role"] == "reversal":
        reversed_at = datetime.fromisoformat(made["corrected_at"])
    return Event(*place, tuple(usages), made is not None, named, number, reversed_at)


def left_standing(usages: Iterable[Usage]) -> list[Usage]:
    """The usages that no correction took back, of which maxima and the like are told."""
    usages = list(usages)
    if all(usage.sign > 0 for usage in usages):
        return usages
    standing: Counter[tuple[object, ...]] = Counter()
    for usage in usages:
        standing[usage.order, usage.value, usage.quantity] += usage.sign
    return [u for u in usages if u.sign > 0 and standing[u.order, u.value, u.quantity] > 0]


def _read(meter: Plain, item: Plain, data: Plain) -> Usage | None:
    for name, wanted in meter["filter"].items():
        if _text(data.get(name)) not in wanted:
            return None
    read = data.get(meter["value"]) if meter["value"] is not None else Decimal(1)
    unique = meter["aggregation"] == "unique_count"
    quantity = Decimal(1) if unique and read is not None else _number(read)
    if quantity is None:
        return None
    value = _text(read) if unique else plain_text(quantity)
    dimensions = tuple(sorted((name, _text(data.get(name))) for name in meter["dimensions"]))
    correction = item.get("correction", {"n": 0, "role": "none"})
    sign = -1 if correction["role"] == "reversal" else 1
    entry = int(correction["n"]) - (sign < 0)
    parts = [item["source"], item["id"], value, *([entry] if entry else [])]
    text = json.dumps(parts, separators=(",", ":"))
    checksum = int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
    order = item["occurred_at"], item["source"], item["id"]
    kind = meter["aggregation"]
    return Usage(meter["key"], Fraction(quantity), dimensions, checksum, kind, order, value, sign)


def _number(value: object) -> Decimal | None:
    if isinstance(value, str):
        try:
            return Decimal(value)
        except InvalidOperation:
            return None
    return value if isinstance(value, Decimal) else None


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return plain_text(value) if isinstance(value, Decimal) else str(value)


def identity(source: str, event_id: str) -> str:
    """SHA-256 of the JSON array [source, id]."""
    text = json.dumps([source, event_id], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def fingerprint(kind: str, data: dict[str, str] | str) -> str:
    """SHA-256 of canonical type and data; data is JSON text, as a whole or by name."""
    if not isinstance(data, str):
        data = "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in data.items()) + "}"
    values = json.loads(data, parse_float=Decimal, parse_int=Decimal)
    whole = f"[{json.dumps(kind)},{canonical(values)}]"
    return hashlib.sha256(whole.encode()).hexdigest()


def canonical(values: dict[str, object]) -> str:
    """Flat data as JSON with sorted keys and normalised numbers."""
    members = []
    for name, value in sorted(values.items()):
        text = plain_text(value) if isinstance(value, Decimal) else json.dumps(value)
        members.append(f"{json.dumps(name)}:{text}")
    return "{" + ",".join(members) + "}"
