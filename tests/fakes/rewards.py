"""What is kept of rewards, in the memory of a billing store."""

from collections.abc import Iterable, Mapping, Sequence

from shared.domain.rewards import RewardDay, RewardProgress
from tests.fakes.billing_store import MemoryBillingStore


class MemoryRewardStore:
    """See RewardStore."""

    def __init__(self, store: MemoryBillingStore) -> None:
        self._store = store

    def progress(self, customer: str, rule: str) -> RewardProgress | None:
        record = self._store.records.get(("PROGRESS", customer, rule))
        assert record is None or isinstance(record, RewardProgress)
        return record

    def all_progress(self, customer: str) -> Sequence[RewardProgress]:
        records = [r for r in self._store.records.values() if isinstance(r, RewardProgress)]
        return sorted((r for r in records if r.customer == customer), key=lambda r: r.rule)

    def days(self, customer: str, rule: str, days: Iterable[str]) -> Mapping[str, RewardDay]:
        keys = {("DAY", customer, rule, day) for day in days}
        found = [self._store.records[key] for key in keys if key in self._store.records]
        return {record.day: record for record in found if isinstance(record, RewardDay)}
