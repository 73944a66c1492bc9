"""Customers, usage hours, ledger entries and quarantined records as items."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.domain.checkpoints import Checkpoints
from shared.domain.customers import Customer
from shared.domain.dimension_cap import RegisterKey
from shared.domain.distinct import DistinctValue, ValueKey
from shared.domain.events import Mark, canonical_json, utc_text, utc_time
from shared.domain.ledger import LedgerEntry
from shared.domain.placing import Claim
from shared.domain.usage_hours import OTHER, HourKey, Quarter, UsageHour
from shared.services.changes import PutQuarantine
from shared.services.store import QuarantinedRecord

PROFILE_SORT_KEY = "PROFILE"
CUSTOMER_KIND = "CUSTOMER"
# What of a profile changes, or tells that there is one.
CUSTOMER_MEMBERS = (
    "created_at",
    "timezone",
    "currency",
    "name",
    "email",
    "traits",
    "test_clock",
    "archived_at",
)
QUARANTINE_KIND = "QUARANTINE"
QUARANTINE_PREFIX = "QUARANTINE#"
BACKFILLED = "#backfilled"  # the end of such an hour's sort key
HOUR_FORMAT = "%Y-%m-%dT%H"
DAY_FORMAT = "%Y-%m-%d"


def customer_item(customer: Customer) -> Item:
    """The profile, listed among all customers by key."""
    return to_item(
        {
            "pk": customer_partition(customer.key),
            "sk": PROFILE_SORT_KEY,
            "kind": CUSTOMER_KIND,
            "kind_sort": customer.key,
            "created_at": customer.created_at,
            "timezone": customer.timezone,
            "currency": customer.currency,
            "name": customer.name,
            "email": customer.email,
            "traits": customer.traits,
            "test_clock": customer.test_clock,
            "archived_at": customer.archived_at,
        }
    )


def customer_as_read(read: Customer) -> tuple[str, dict[str, str], Item]:
    """The condition that the stored profile is this one, with its names and values."""
    before = customer_item(read)
    names = {f"#{place}": name for place, name in enumerate(CUSTOMER_MEMBERS)}
    values = {f":{token[1:]}": before[name] for token, name in names.items() if name in before}
    same = (
        f"{token} = :{token[1:]}" if name in before else f"attribute_not_exists({token})"
        for token, name in names.items()
    )
    return " AND ".join(same), names, values


def read_customer(item: Mapping[str, Any]) -> Customer:
    """The profile of an item."""
    stored = from_item(item)
    archived_at = stored.get("archived_at")
    return Customer(
        key=stored["pk"].removeprefix("C#"),
        created_at=utc_time(stored["created_at"]),
        timezone=stored["timezone"],
        currency=stored.get("currency"),
        name=stored.get("name"),
        email=stored.get("email"),
        traits=stored["traits"],
        test_clock=stored.get("test_clock"),
        archived_at=utc_time(archived_at) if archived_at else None,
    )


def usage_partition(meter: str, customer: str) -> str:
    """The partition of a customer's usage of a meter; a meter's key holds no "#"."""
    return f"U#{meter}#{customer}"


def hour_keys(key: HourKey) -> dict[str, str]:
    """The primary key of a usage hour: by time, then by a hash of its dimension values."""
    hour = key.hour.strftime(HOUR_FORMAT)
    group = group_of(key.dimensions, other=key.other) + (BACKFILLED if key.backfilled else "")
    return {"pk": usage_partition(key.meter, key.customer), "sk": f"{hour}#{group}"}


def group_of(dimensions: tuple[tuple[str, str], ...], *, other: bool) -> str:
    """What stands for dimension values in a sort key."""
    if not dimensions:
        return OTHER if other else ""
    return hashlib.sha256(canonical_json(list(dimensions)).encode()).hexdigest()[:32]


def usage_hour_item(hour: UsageHour) -> Item:
    """A usage hour; quarters are lists of count, value, checksum and, if any, the mark's members.

    A mark is its quantity and weight, and for `latest` the event's source and id.
    """
    return to_item(
        {
            **hour_keys(hour.key),
            "dimensions": dict(hour.key.dimensions) or None,
            "quarters": [
                [q.count, q.value, q.checksum, *(_mark_members(q.mark) if q.mark else ())]
                for q in hour.quarters
            ],
            "checkpoints": hour.checkpoints.pack(),
        }
    )


def _mark_members(mark: Mark) -> tuple[object, ...]:
    return mark.quantity, mark.weight, *mark.place


def read_usage_hour(item: Mapping[str, Any]) -> UsageHour:
    """The usage hour of an item."""
    stored = from_item(item)
    meter, _, customer = stored["pk"].removeprefix("U#").partition("#")
    start, _, group = stored["sk"].partition("#")
    hour = datetime.fromisoformat(start + ":00+00:00")
    dimensions = tuple(sorted(stored.get("dimensions", {}).items()))
    other = group.removesuffix(BACKFILLED) == OTHER
    first, second, third, fourth = map(_read_quarter, stored["quarters"])
    return UsageHour(
        key=HourKey(customer, meter, hour, dimensions, other, group.endswith(BACKFILLED)),
        quarters=(first, second, third, fourth),
        checkpoints=Checkpoints.unpack(bytes(stored["checkpoints"])),
    )


def _read_quarter(stored: Sequence[Any]) -> Quarter:
    count, value, checksum, *members = stored
    mark = None
    if members:
        quantity, weight, *place = members
        mark = Mark(weight, tuple(place), quantity)
    return Quarter(int(count), value, int(checksum), mark)


def value_partition(meter: str, customer: str) -> str:
    """The partition of the distinct values of a customer's usage of a meter."""
    return f"V#{meter}#{customer}"


def value_keys(key: ValueKey) -> dict[str, str]:
    """The primary key of a distinct value: by day, so that a span of days is one query."""
    group = group_of(key.dimensions, other=key.other)
    return {
        "pk": value_partition(key.meter, key.customer),
        "sk": f"{key.day.strftime(DAY_FORMAT)}#{group}#{key.value}"
        + (BACKFILLED if key.backfilled else ""),
    }


def read_value(item: Mapping[str, Any]) -> DistinctValue:
    """The distinct value of an item."""
    stored = from_item(item)
    meter, _, customer = stored["pk"].removeprefix("V#").partition("#")
    day, group, value, *backfilled = stored["sk"].split("#")
    start = datetime.fromisoformat(day).replace(tzinfo=UTC)
    dimensions = tuple(sorted(stored.get("dimensions", {}).items()))
    of = (customer, meter, start, dimensions, value)
    key = ValueKey(*of, other=group == OTHER, backfilled=bool(backfilled))
    # A set of numbers with nothing left in it is no member of its item.
    return DistinctValue(key, frozenset(int(number) for number in stored.get("quarters", ())))


def register_partition(meter: str, customer: str) -> str:
    """The partition of the registers of dimension values of a customer's usage of a meter."""
    return f"R#{meter}#{customer}"


def register_keys(key: RegisterKey) -> dict[str, str]:
    """The primary key of an hour's register."""
    hour = key.hour.strftime(HOUR_FORMAT)
    return {"pk": register_partition(key.meter, key.customer), "sk": hour}


def read_register(item: Mapping[str, Any]) -> tuple[RegisterKey, frozenset[bytes]]:
    """The register of an item: its groups, of which there are some."""
    stored = from_item(item)
    meter, _, customer = stored["pk"].removeprefix("R#").partition("#")
    hour = datetime.fromisoformat(stored["sk"] + ":00+00:00")
    return RegisterKey(customer, meter, hour), frozenset(map(bytes, stored["groups"]))


def claim_keys(customer: str, claim: Claim) -> dict[str, str]:
    """The primary key of a value that a rate card has counted."""
    sort_key = f"CLAIM#{claim.phase:06d}#{claim.card:02d}#{claim.value}"
    return {"pk": customer_partition(customer), "sk": sort_key}


def ledger_item(entry: LedgerEntry) -> Item:
    """A ledger entry, keyed by the account version it leads to."""
    return to_item(
        {
            "pk": customer_partition(entry.customer),
            "sk": f"LEDGER#{entry.to_version:012d}",
            "from_version": entry.from_version,
            "to_version": entry.to_version,
            "at": entry.at,
            "entry": entry.kind,
            "changes": entry.changes or None,
            "remaining": entry.remaining or None,
            "cause": entry.cause or None,
        }
    )


def read_ledger_entry(item: Mapping[str, Any]) -> LedgerEntry:
    """The ledger entry of an item."""
    stored = from_item(item)
    return LedgerEntry(
        customer=stored["pk"].removeprefix("C#"),
        from_version=int(stored["from_version"]),
        to_version=int(stored["to_version"]),
        at=utc_time(stored["at"]),
        kind=stored["entry"],
        changes=_amounts(stored.get("changes", {})),
        remaining=_amounts(stored.get("remaining", {})),
        cause=stored.get("cause", {}),
    )


def _amounts(stored: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    return {u: {grant: int(nanos) for grant, nanos in held.items()} for u, held in stored.items()}


def late_prefix(phase: int) -> str:
    """What the sort keys of a closed phase's late usage begin with; the event's key follows."""
    return f"LATE#{phase:06d}#"


def quarantine_keys(customer: str, event_key: str) -> dict[str, str]:
    """The primary key of a quarantined record."""
    return {"pk": customer_partition(customer), "sk": f"{QUARANTINE_PREFIX}{event_key}"}


def quarantine_item(kept: PutQuarantine) -> Item:
    """A quarantined record, listed among all of them by time."""
    return to_item(
        {
            **quarantine_keys(kept.customer, kept.event_key),
            "kind": QUARANTINE_KIND,
            "kind_sort": f"{utc_text(kept.quarantined_at)}#{kept.event_key}",
            "shard": kept.shard,
            "sequence": str(kept.sequence),
            "reason": kept.reason,
            "detail": kept.detail,
            "not_applied": kept.not_applied,
            "quarantined_at": kept.quarantined_at,
            "record": kept.record,
        }
    )


def read_quarantine(item: Mapping[str, Any]) -> QuarantinedRecord:
    """The quarantined record of an item."""
    stored = from_item(item)
    redriven_at = stored.get("redriven_at")
    return QuarantinedRecord(
        customer=stored["pk"].removeprefix("C#"),
        event_key=stored["sk"].removeprefix(QUARANTINE_PREFIX),
        reason=stored["reason"],
        detail=stored["detail"],
        not_applied=tuple(stored["not_applied"]),
        quarantined_at=utc_time(stored["quarantined_at"]),
        record=stored["record"],
        redriven_at=utc_time(redriven_at) if redriven_at else None,
    )
