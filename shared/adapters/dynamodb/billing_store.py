"""The billing table behind the BillingStore port: consistent reads, commits all or nothing."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any

from shared.adapters.dynamodb.account_items import (
    ACCOUNT_SORT_KEY,
    DUE_LANES,
    SUBSCRIPTION_SORT_KEY,
    customer_partition,
    due_lane,
    read_account,
    read_closed_phase,
    read_grant,
    read_subscription,
)
from shared.adapters.dynamodb.attributes import Item, from_item
from shared.adapters.dynamodb.billing_items import (
    CUSTOMER_KIND,
    DAY_FORMAT,
    HOUR_FORMAT,
    PROFILE_SORT_KEY,
    QUARANTINE_KIND,
    QUARANTINE_PREFIX,
    claim_keys,
    hour_keys,
    late_prefix,
    quarantine_keys,
    read_customer,
    read_ledger_entry,
    read_quarantine,
    read_register,
    read_usage_hour,
    read_value,
    register_keys,
    register_partition,
    usage_partition,
    value_keys,
    value_partition,
)
from shared.adapters.dynamodb.commits import (
    all_writes,
    idempotency_key,
    number_key,
    single_write,
)
from shared.adapters.dynamodb.conversion_items import CONVERSION_PREFIX, read_conversion
from shared.adapters.dynamodb.coupon_items import read_redemptions, redemption_keys
from shared.adapters.dynamodb.errors import retrying
from shared.adapters.dynamodb.reads import batch_get
from shared.adapters.dynamodb.reservation_items import (
    RESERVATION_PREFIX,
    read_reservation,
    reservation_keys,
)
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.accounts import Account, ClosedPhase
from shared.domain.conversions import Conversion
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.dimension_cap import RegisterKey, Registers
from shared.domain.distinct import DistinctValue, Seen, ValueKey
from shared.domain.events import utc_text, utc_time
from shared.domain.ledger import LedgerEntry
from shared.domain.placing import Claim
from shared.domain.reservations import Reservation
from shared.domain.usage_hours import HourKey, UsageHour
from shared.services.changes import Change
from shared.services.store import Footing, Page, QuarantinedRecord, StoredAnswer


class DynamoBillingStore(TableReads):
    """See BillingStore. `table` is the billing table's name."""

    def customer(self, key: str) -> Customer | None:
        item = self._get(customer_partition(key), PROFILE_SORT_KEY)
        return read_customer(item) if item else None

    def customers(self, limit: int, cursor: str | None) -> Page[Customer]:
        items, after = self._list_kind(CUSTOMER_KIND, limit, cursor)
        return Page(tuple(map(read_customer, items)), after)

    def subscription(self, customer: str) -> Subscription | None:
        item = self._get(customer_partition(customer), SUBSCRIPTION_SORT_KEY)
        return read_subscription(item) if item else None

    def account(self, customer: str) -> Account | None:
        item = self._get(customer_partition(customer), ACCOUNT_SORT_KEY)
        return read_account(item) if item else None

    def grants(self, customer: str, ids: Iterable[str]) -> Mapping[str, Grant]:
        partition = customer_partition(customer)
        keys = [{"pk": partition, "sk": f"GRANT#{grant}"} for grant in ids]
        return {grant.id: grant for grant in map(read_grant, self._batch_get(keys))}

    def all_grants(self, customer: str) -> Sequence[Grant]:
        return [read_grant(item) for item in self._prefixed(customer_partition(customer), "GRANT#")]

    def closed_phases(self, customer: str, limit: int) -> Sequence[ClosedPhase]:
        items = self._prefixed(customer_partition(customer), "CLOSED#", newest_first=True)
        return [read_closed_phase(item) for item in islice(items, limit)]

    def quarantined(self, customer: str, event_keys: Iterable[str]) -> set[str]:
        keys = [quarantine_keys(customer, key) for key in event_keys]
        return {read_quarantine(item).event_key for item in self._batch_get(keys)}

    def set_aside(self, customer: str) -> Mapping[str, QuarantinedRecord]:
        records = map(
            read_quarantine, self._prefixed(customer_partition(customer), QUARANTINE_PREFIX)
        )
        return {record.event_key: record for record in records}

    def quarantined_record(self, customer: str, event_key: str) -> QuarantinedRecord | None:
        key = quarantine_keys(customer, event_key)
        item = self._get(key["pk"], key["sk"])
        return read_quarantine(item) if item else None

    def quarantine(self, limit: int, cursor: str | None) -> Page[QuarantinedRecord]:
        items, after = self._list_kind(QUARANTINE_KIND, limit, cursor, newest_first=True)
        return Page(tuple(map(read_quarantine, items)), after)

    def late_usage(self, customer: str, phase: int) -> Mapping[str, int]:
        prefix = late_prefix(phase)
        items = self._prefixed(customer_partition(customer), prefix)
        return {i["sk"]["S"].removeprefix(prefix): int(i["period"]["N"]) for i in items}

    def footing(self, customer: str, hours: Iterable[HourKey]) -> Footing:
        partition = customer_partition(customer)
        account, terms = (partition, ACCOUNT_SORT_KEY), (partition, SUBSCRIPTION_SORT_KEY)
        places = [(key["pk"], key["sk"]) for key in map(hour_keys, hours)]
        found = batch_get(self._client, self._table, [account, terms, *places])
        stored = (read_usage_hour(found[place]) for place in places if place in found)
        return Footing(
            account=read_account(found[account]) if account in found else None,
            subscription=read_subscription(found[terms]) if terms in found else None,
            hours={hour.key: hour for hour in stored},
        )

    def usage_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Sequence[UsageHour]:
        items = self._between(usage_partition(meter, customer), start, end, HOUR_FORMAT)
        return [hour for hour in map(read_usage_hour, items) if hour.key.hour < end]

    def registers(self, keys: Iterable[RegisterKey]) -> Registers:
        return dict(map(read_register, self._batch_get([register_keys(key) for key in keys])))

    def registers_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Registers:
        items = self._between(register_partition(meter, customer), start, end, HOUR_FORMAT)
        found = map(read_register, items)
        return {key: groups for key, groups in found if key.hour < end}

    def seen(self, keys: Iterable[ValueKey]) -> Seen:
        found = map(read_value, self._batch_get([value_keys(key) for key in keys]))
        return {value.key: value.quarters for value in found}

    def values_between(
        self, meter: str, customer: str, start: datetime, end: datetime
    ) -> Sequence[DistinctValue]:
        items = self._between(value_partition(meter, customer), start, end, DAY_FORMAT)
        return [value for value in map(read_value, items) if value.key.day < end]

    def claimed(self, customer: str, claims: Iterable[Claim]) -> set[Claim]:
        by_place = {claim_keys(customer, claim)["sk"]: claim for claim in claims}
        partition = customer_partition(customer)
        found = self._batch_get([{"pk": partition, "sk": place} for place in by_place])
        return {by_place[item["sk"]["S"]] for item in found}

    def reservations(self, customer: str, ids: Iterable[str]) -> Mapping[str, Reservation]:
        found = self._batch_get([reservation_keys(customer, each) for each in ids])
        return {reservation.id: reservation for reservation in map(read_reservation, found)}

    def reservations_from(self, customer: str, first: str) -> Iterator[Reservation]:
        keys = reservation_keys(customer, first)
        values = {":pk": keys["pk"], ":first": keys["sk"], ":last": f"{RESERVATION_PREFIX}~"}
        items = self._query("pk = :pk AND sk BETWEEN :first AND :last", values)
        return map(read_reservation, items)

    def list_reservations(self, customer: str, limit: int, cursor: str | None) -> Page[Reservation]:
        items, after = self._page_prefixed(
            customer_partition(customer), RESERVATION_PREFIX, limit, cursor, newest_first=True
        )
        return Page(tuple(map(read_reservation, items)), after)

    def conversion(self, customer: str) -> Conversion | None:
        partition = customer_partition(customer)
        latest = self._prefixed(partition, CONVERSION_PREFIX, newest_first=True)
        return next(map(read_conversion, latest), None)

    def redemptions(self, coupons: Iterable[str]) -> Mapping[str, int]:
        return dict(map(read_redemptions, self._batch_get([redemption_keys(c) for c in coupons])))

    def ledger(
        self, customer: str, limit: int, cursor: str | None, *, newest_first: bool = False
    ) -> Page[LedgerEntry]:
        items, after = self._page_prefixed(
            customer_partition(customer), "LEDGER#", limit, cursor, newest_first=newest_first
        )
        return Page(tuple(map(read_ledger_entry, items)), after)

    def invoice(self, invoice_id: str) -> Mapping[str, object] | None:
        item = self._get(f"INVOICE#{invoice_id}", "INVOICE")
        return _document(item) if item else None

    def invoices(self, customer: str, limit: int, cursor: str | None) -> Page[Mapping[str, object]]:
        items, after = self._page_prefixed(
            customer_partition(customer), "INVOICE#", limit, cursor, newest_first=True
        )
        ids = [from_item(item)["id"] for item in items]
        found = self._batch_get([{"pk": f"INVOICE#{i}", "sk": "INVOICE"} for i in ids])
        documents = {str(document["id"]): document for document in map(_document, found)}
        return Page(tuple(documents[i] for i in ids), after)

    def last_invoice_number(self, series: str) -> int:
        key = number_key(series)
        item = self._get(key["pk"], key["sk"])
        return int(from_item(item)["last_number"]) if item else 0

    def idempotent_answer(self, customer: str, key: str) -> StoredAnswer | None:
        stored_under = idempotency_key(customer, key)
        item = self._get(stored_under["pk"], stored_under["sk"])
        if item is None:
            return None
        stored = from_item(item)
        return StoredAnswer(stored["body_hash"], int(stored["status"]), stored["answer"])

    def due_customers(self, until: datetime) -> Iterator[str]:
        for lane in range(DUE_LANES):
            values = {":lane": due_lane(lane), ":until": utc_text(until)}
            condition = "due_lane = :lane AND due_at <= :until"
            for item in self._query(condition, values, IndexName="by_due", ConsistentRead=False):
                yield item["pk"]["S"].removeprefix("C#")

    def clock(self, clock_id: str) -> datetime | None:
        item = self._get(f"CLOCK#{clock_id}", "CLOCK")
        return utc_time(from_item(item)["now"]) if item else None

    def clock_members(self, clock_id: str) -> Sequence[str]:
        items = self._prefixed(f"CLOCK#{clock_id}", "CUSTOMER#")
        return [item["sk"]["S"].removeprefix("CUSTOMER#") for item in items]

    def commit(self, changes: Sequence[Change]) -> None:
        writes = all_writes(changes, self._table)
        if len(writes) == 1:
            retrying(lambda: single_write(self._client, writes[0]))
        else:
            retrying(lambda: self._client.transact_write_items(TransactItems=writes))


def _document(item: Item) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(from_item(item)["document"])
    return document
