"""Reconciliation's notes as items, and raw events in order of time."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import Item, from_item, to_item
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.table_reads import TableReads
from shared.adapters.dynamodb.usage_events import lane, read_event
from shared.domain.errors import UnreadableError
from shared.domain.events import utc_text, utc_time
from shared.services.event_list import months_descending
from shared.services.reconciliation import JournalGap, RawEvent, Reconciliation
from shared.services.store import Page

SORT_KEY = "RECONCILIATION"
RIGHT_KIND = "RECONCILED"
CONTRADICTED_KIND = "CONTRADICTED"


def reconciliation_item(note: Reconciliation) -> Item:
    """The note, listed by the time of its last clean pass; never clean comes first."""
    clean_at = utc_text(note.clean_at) if note.clean_at else ""
    return to_item(
        {
            "pk": customer_partition(note.customer),
            "sk": SORT_KEY,
            "kind": CONTRADICTED_KIND if note.findings else RIGHT_KIND,
            "kind_sort": f"{clean_at}#{note.customer}",
            "judged_until": note.judged_until,
            "settled_until": note.settled_until,
            "postponed": note.postponed or None,
            "ledger_version": note.ledger_version,
            "gap": asdict(note.gap) if note.gap else None,
            "checked_at": note.checked_at,
            "clean_at": note.clean_at,
            "findings": note.findings or None,
            "busy": dict(note.busy) or None,
        }
    )


def read_reconciliation(item: Mapping[str, Any]) -> Reconciliation:
    """The note of an item."""
    stored = from_item(item)

    def moment(name: str) -> datetime | None:
        return utc_time(stored[name]) if name in stored else None

    gap = stored.get("gap")
    return Reconciliation(
        customer=stored["pk"].removeprefix("C#"),
        judged_until=moment("judged_until"),
        settled_until=moment("settled_until"),
        postponed=tuple(map(utc_time, stored.get("postponed", ()))),
        ledger_version=int(stored["ledger_version"]),
        gap=_read_gap(gap) if gap else None,
        checked_at=moment("checked_at"),
        clean_at=moment("clean_at"),
        findings=tuple(stored.get("findings", ())),
        busy={meter: utc_time(at) for meter, at in stored.get("busy", {}).items()},
    )


def _read_gap(stored: Mapping[str, Any]) -> JournalGap:
    return JournalGap(int(stored["account_version"]), utc_time(stored["seen_at"]))


class DynamoReconciliationStore(TableReads):
    """See ReconciliationStore. `table` is the billing table's name."""

    def reconciliation(self, customer: str) -> Reconciliation | None:
        item = self._get(customer_partition(customer), SORT_KEY)
        return read_reconciliation(item) if item else None

    def save(self, reconciliation: Reconciliation) -> None:
        item = reconciliation_item(reconciliation)
        retrying(lambda: self._client.put_item(TableName=self._table, Item=item))

    def contradicted(self, limit: int, cursor: str | None) -> Page[Reconciliation]:
        return self._list(CONTRADICTED_KIND, limit, cursor)

    def oldest(self) -> Reconciliation | None:
        notes = [
            note
            for kind in (RIGHT_KIND, CONTRADICTED_KIND)
            for note in self._list(kind, 1, None).items
        ]
        return min(notes, key=lambda n: utc_text(n.clean_at) if n.clean_at else "", default=None)

    def _list(self, kind: str, limit: int, cursor: str | None) -> Page[Reconciliation]:
        items, following = self._list_kind(kind, limit, cursor)
        return Page(tuple(map(read_reconciliation, items)), following)


class DynamoRawEvents(TableReads):
    """See RawEvents: the index by time, month after month."""

    def first(self, customer: str, start: datetime, end: datetime) -> datetime | None:
        for item in self._items(customer, start, end, Limit=1):
            return utc_time(item["occurred_at"]["S"])
        return None

    def between(self, customer: str, start: datetime, end: datetime) -> Iterator[RawEvent]:
        for item in self._items(customer, start, end):
            try:
                event = read_event(item)
            except UnreadableError:
                yield RawEvent(item["sk"]["S"], None)
            else:
                yield RawEvent(item["sk"]["S"], event)

    def _items(
        self, customer: str, start: datetime, end: datetime, **options: object
    ) -> Iterator[Item]:
        for first, until in reversed(list(months_descending(start, end))):
            last = until - timedelta(microseconds=1)
            yield from self._query(
                "lane = :lane AND occurred_at BETWEEN :start AND :last",
                {":lane": lane(customer, utc_text(first)[:7]), ":start": first, ":last": last},
                IndexName="by_time",
                ConsistentRead=False,
                **options,
            )
