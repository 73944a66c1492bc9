"""What is kept of rewards, in the billing table."""

from collections.abc import Iterable, Mapping, Sequence

from shared.adapters.dynamodb.account_items import customer_partition
from shared.adapters.dynamodb.record_items import (
    PROGRESS_PREFIX,
    day_key,
    read_day,
    read_progress,
)
from shared.adapters.dynamodb.table_reads import TableReads
from shared.domain.rewards import RewardDay, RewardProgress


class DynamoRewardStore(TableReads):
    """See RewardStore. `table` is the billing table's name."""

    def progress(self, customer: str, rule: str) -> RewardProgress | None:
        item = self._get(customer_partition(customer), PROGRESS_PREFIX + rule)
        return read_progress(item) if item else None

    def all_progress(self, customer: str) -> Sequence[RewardProgress]:
        items = self._prefixed(customer_partition(customer), PROGRESS_PREFIX)
        return [read_progress(item) for item in items]

    def days(self, customer: str, rule: str, days: Iterable[str]) -> Mapping[str, RewardDay]:
        partition = customer_partition(customer)
        keys = [{"pk": partition, "sk": day_key(rule, day)} for day in days]
        found = map(read_day, self._batch_get(keys))
        return {day.day: day for day in found}
