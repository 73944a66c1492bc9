"""What is kept of earnings, in the billing table."""

from collections.abc import Iterator, Mapping, Sequence

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.attributes import from_item, to_item
from shared.adapters.dynamodb.errors import ConditionFailedError, retrying
from shared.adapters.dynamodb.record_items import (
    EARNINGS_KIND,
    EARNINGS_PREFIX,
    ENTRY_PREFIX,
    NOTHING_HELD,
    PAYOUT_PREFIX,
    accrual_key,
    read_accrual,
    read_earnings,
    read_entry,
    read_payout,
)
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.services.share_store import Mark
from shared.services.store import Page

MARK_KIND = "EARNINGS_DAY"
MARK_PREFIX = "EARNINGS_DAY#"


class DynamoShareStore(TableReads):
    """See ShareStore. `table` is the billing table's name."""

    def mark(self, mark: Mark) -> None:
        members = {"kind": MARK_KIND, "kind_sort": f"{mark.day}#{mark.customer}#{mark.rule}"}
        item = to_item({**_mark_key(mark), **members, "token": mark.token})
        retrying(lambda: self._client.put_item(TableName=self._table, Item=item))

    def marks(self) -> Iterator[Mark]:
        for item in self._all_of_kind(MARK_KIND):
            stored = from_item(item)
            rule, _, day = stored["sk"].removeprefix(MARK_PREFIX).partition("#")
            yield Mark(stored["pk"].removeprefix("C#"), rule, day, stored["token"])

    def unmark(self, mark: Mark) -> None:
        request = {
            "TableName": self._table,
            "Key": to_item(_mark_key(mark)),
            "ConditionExpression": "#token = :read",
            "ExpressionAttributeNames": {"#token": "token"},
            "ExpressionAttributeValues": to_item({":read": mark.token}),
        }
        try:
            retrying(lambda: self._client.delete_item(**request))
        except ConditionFailedError:
            return  # It changed again: the next run counts it.

    def accruals(self, customer: str, rule: str, day: str) -> Mapping[str, Accrual]:
        items = self._prefixed(customer_partition(customer), accrual_key(rule, day))
        return {accrual.beneficiary: accrual for accrual in map(read_accrual, items)}

    def earnings(self, beneficiary: str, rule: str) -> Earnings | None:
        item = self._get(customer_partition(beneficiary), EARNINGS_PREFIX + rule)
        return read_earnings(item) if item else None

    def all_earnings(self, beneficiary: str) -> Sequence[Earnings]:
        items = self._prefixed(customer_partition(beneficiary), EARNINGS_PREFIX)
        return [read_earnings(item) for item in items]

    def holding(self) -> Iterator[Earnings]:
        values = {":kind": EARNINGS_KIND, ":end": NOTHING_HELD}
        condition = "kind = :kind AND kind_sort < :end"
        items = self._query(condition, values, IndexName="by_kind", ConsistentRead=False)
        return map(read_earnings, items)

    def entries(self, beneficiary: str, limit: int, cursor: str | None) -> Page[EarningEntry]:
        items, after = self._page_prefixed(
            customer_partition(beneficiary), ENTRY_PREFIX, limit, cursor, newest_first=True
        )
        return Page(tuple(map(read_entry, items)), after)

    def payouts(self, beneficiary: str) -> Sequence[Payout]:
        items = self._prefixed(customer_partition(beneficiary), PAYOUT_PREFIX)
        return [read_payout(item) for item in items]


def _mark_key(mark: Mark) -> dict[str, str]:
    return {"pk": customer_partition(mark.customer), "sk": f"{MARK_PREFIX}{mark.rule}#{mark.day}"}
