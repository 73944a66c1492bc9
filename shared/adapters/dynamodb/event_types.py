"""Event types as items of the billing table, listed by name through the index by kind.

`seen` is a set of "kind:name", so that adding to it is safe to repeat and loses no race.
"""

from collections.abc import Mapping
from typing import Any

from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.event_types import MAX_PROPERTIES_SEEN, EventType
from shared.domain.events import utc_time
from shared.services.store import Page

SORT_KEY = "EVENT_TYPE"
KIND = "EVENT_TYPE"


class DynamoEventTypeStore(TableReads):
    """See EventTypeStore."""

    def get(self, name: str) -> EventType | None:
        item = self._get(_partition(name), SORT_KEY)
        return _read(item) if item else None

    def page(self, limit: int, cursor: str | None) -> Page[EventType]:
        items, following = self._list_kind(KIND, limit, cursor)
        return Page(tuple(map(_read, items)), following)

    def add(self, before: EventType | None, after: EventType) -> None:
        if before is None or after.last_seen > before.last_seen:
            self._see(after)
        new = after.properties - before.properties if before else after.properties
        overflow = after.overflow and not (before and before.overflow)
        if new or overflow:
            self._add_properties(after.name, new, overflow=overflow)

    def _see(self, seen: EventType) -> None:
        """Moves the last time on, unless it has been moved further already."""
        values = {
            ":kind": KIND,
            ":name": seen.name,
            ":first": seen.first_seen,
            ":last": seen.last_seen,
        }
        try:
            self._update(
                seen.name,
                "SET kind = :kind, kind_sort = :name, last_seen = :last, "
                "first_seen = if_not_exists(first_seen, :first)",
                "attribute_not_exists(last_seen) OR last_seen < :last",
                to_item(values),
            )
        except ConditionFailedError:
            return

    def _add_properties(
        self, name: str, new: frozenset[tuple[str, str]], *, overflow: bool
    ) -> None:
        values: dict[str, Any] = {":room": {"N": str(MAX_PROPERTIES_SEEN - len(new))}}
        expression = []
        if overflow:
            expression.append("SET overflow = :overflow")
            values[":overflow"] = {"BOOL": True}
        if new:
            expression.append("ADD seen :new")
            values[":new"] = {"SS": sorted(f"{kind}:{name}" for name, kind in new)}
        room = "attribute_not_exists(seen) OR size(seen) <= :room"
        self._update(name, " ".join(expression), room, values)

    def _update(
        self, name: str, expression: str, condition: str, values: Mapping[str, Any]
    ) -> None:
        update = {
            "TableName": self._table,
            "Key": to_item({"pk": _partition(name), "sk": SORT_KEY}),
            "UpdateExpression": expression,
            "ConditionExpression": condition,
            "ExpressionAttributeValues": values,
        }
        retrying(lambda: self._client.update_item(**update))


def _partition(name: str) -> str:
    return f"EVENT_TYPE#{name}"


def _read(item: Mapping[str, Any]) -> EventType:
    stored = from_item(item)
    pairs = (member.partition(":") for member in stored.get("seen", ()))
    return EventType(
        name=stored["pk"].removeprefix("EVENT_TYPE#"),
        first_seen=utc_time(stored["first_seen"]),
        last_seen=utc_time(stored["last_seen"]),
        properties=frozenset((name, kind) for kind, _, name in pairs),
        overflow=stored.get("overflow", False),
    )
