"""Usage days in the billing table: one item a day, with the packed copy and the count of changes.

A packed copy is the zlib-compressed JSON of {"format", "groups", "hours", "values"}: `groups` lists
[dimension pairs, other, backfilled]; an hour is [group, hour of the day, four quarters], a quarter
[count, value, mark's quantity, weight and place, if any]; a value is [group, hash, quarters].
"""

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.billing_items import DAY_FORMAT, PROFILE_SORT_KEY, read_customer
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.adapters.dynamodb.reads import batch_get
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.customers import Customer
from shared.domain.distinct import DistinctValue, ValueKey
from shared.domain.events import Mark, utc_time
from shared.domain.money import format_quantity
from shared.domain.usage_answers import Kept
from shared.domain.usage_days import DayKey, UsageDay
from shared.domain.usage_hours import HourKey, Quarter, UsageHour

FORMAT = 1
HOUR = timedelta(hours=1)
MAX_PACKED_BYTES = 390_000  # An item holds 400 KB. A larger day is read by the hour, as before.


class DynamoUsageDays(TableReads):
    """See UsageDayStore. `table` is the billing table's name."""

    def opening(
        self, customer: str, meter: str, days: Sequence[datetime]
    ) -> tuple[Customer | None, Mapping[datetime, UsageDay]]:
        keys = [DayKey(customer, meter, day) for day in days]
        profile = customer_partition(customer), PROFILE_SORT_KEY
        found = batch_get(self._client, self._table, [profile, *map(_place, keys)])
        known = read_customer(found[profile]) if profile in found else None
        return known, {key.day: _read_day(key, found.get(_place(key))) for key in keys}

    def roll_up(self, day: UsageDay) -> None:
        packed = pack(day.kept or ())
        if len(packed) > MAX_PACKED_BYTES:
            return
        update = {
            **self._item(day.key),
            "UpdateExpression": "SET packed = :packed, as_of = :changes, read_at = :at",
            "ConditionExpression": "changes = :changes"
            + ("" if day.changes else " OR attribute_not_exists(changes)"),
            "ExpressionAttributeValues": to_item(
                {":packed": packed, ":changes": day.changes, ":at": day.read_at}
            ),
        }
        try:
            retrying(partial(self._client.update_item, **update))
        except ConditionFailedError:
            return  # Usage changed meanwhile: this copy may lack it.

    def note_changes(self, days: Iterable[DayKey]) -> None:
        for key in days:
            update = {
                **self._item(key),
                "UpdateExpression": "ADD changes :one REMOVE packed, as_of, read_at",
                "ExpressionAttributeValues": to_item({":one": 1}),
            }
            retrying(partial(self._client.update_item, **update))

    def _item(self, key: DayKey) -> dict[str, Any]:
        pk, sk = _place(key)
        return {"TableName": self._table, "Key": to_item({"pk": pk, "sk": sk})}


def _place(key: DayKey) -> tuple[str, str]:
    """The primary key of a day's copy."""
    return f"D#{key.meter}#{key.customer}", key.day.strftime(DAY_FORMAT)


def _read_day(key: DayKey, item: Mapping[str, Any] | None) -> UsageDay:
    stored = from_item(item) if item else {}
    changes = int(stored.get("changes", 0))
    if "packed" not in stored or stored["as_of"] != changes:
        return UsageDay(key, changes)
    kept = unpack(key, bytes(stored["packed"]))
    return UsageDay(key, changes, kept, utc_time(stored["read_at"]))


def pack(kept: Iterable[Kept]) -> bytes:
    """A day's copy. The same usage gives the same bytes only in the same order."""
    groups: dict[tuple[object, ...], int] = {}
    hours: list[object] = []
    values: list[object] = []
    for item in kept:
        key = item.key
        of = groups.setdefault((key.dimensions, key.other, key.backfilled), len(groups))
        if isinstance(item, DistinctValue):
            values.append([of, item.key.value, sorted(item.quarters)])
        else:
            hours.append([of, item.key.hour.hour, [_packed(q) for q in item.quarters]])
    members = {"format": FORMAT, "groups": list(groups), "hours": hours, "values": values}
    return zlib.compress(json.dumps(members, separators=(",", ":")).encode())


def unpack(key: DayKey, packed: bytes) -> tuple[Kept, ...] | None:
    """The day's usage; None of a format that this version does not know."""
    members = json.loads(zlib.decompress(packed))
    if members["format"] != FORMAT:
        return None
    groups = [
        (tuple((name, value) for name, value in dimensions), other, backfilled)
        for dimensions, other, backfilled in members["groups"]
    ]
    return (*_hours(key, groups, members["hours"]), *_values(key, groups, members["values"]))


_Group = tuple[tuple[tuple[str, str], ...], bool, bool]


def _hours(key: DayKey, groups: Sequence[_Group], stored: Iterable[Any]) -> Iterable[UsageHour]:
    for group, number, (first, second, third, fourth) in stored:
        dimensions, other, backfilled = groups[group]
        hour = key.day + number * HOUR
        yield UsageHour(
            HourKey(key.customer, key.meter, hour, dimensions, other, backfilled),
            (_quarter(first), _quarter(second), _quarter(third), _quarter(fourth)),
        )


def _values(
    key: DayKey, groups: Sequence[_Group], stored: Iterable[Any]
) -> Iterable[DistinctValue]:
    for group, value, quarters in stored:
        dimensions, other, backfilled = groups[group]
        of = ValueKey(key.customer, key.meter, key.day, dimensions, value, other, backfilled)
        yield DistinctValue(of, frozenset(quarters))


def _packed(quarter: Quarter) -> list[object]:
    members: list[object] = []
    if quarter.mark is not None:
        mark = quarter.mark
        members = [format_quantity(mark.quantity), format_quantity(mark.weight), *mark.place]
    if not quarter.count and not quarter.value and not members:
        return []
    return [quarter.count, format_quantity(quarter.value), *members]


def _quarter(stored: Sequence[Any]) -> Quarter:
    if not stored:
        return Quarter()
    count, value, *members = stored
    mark = None
    if members:
        quantity, weight, *place = members
        mark = Mark(Decimal(weight), tuple(place), Decimal(quantity))
    return Quarter(count, Decimal(value), mark=mark)
