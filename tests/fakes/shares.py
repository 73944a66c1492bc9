"""What is kept of earnings, in the memory of a billing store."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.services.share_store import Mark
from shared.services.store import Page
from tests.fakes.billing_store import MemoryBillingStore

Kept = TypeVar("Kept", Accrual, EarningEntry, Earnings, Payout)


class MemoryShareStore:
    """See ShareStore. A cursor is how many entries came before."""

    def __init__(self, store: MemoryBillingStore) -> None:
        self._store = store
        self._marks: dict[tuple[str, str, str], Mark] = {}

    def mark(self, mark: Mark) -> None:
        self._marks[mark.day, mark.customer, mark.rule] = mark

    def marks(self) -> Iterable[Mark]:
        return [mark for _, mark in sorted(self._marks.items())]

    def unmark(self, mark: Mark) -> None:
        key = (mark.day, mark.customer, mark.rule)
        if self._marks.get(key) == mark:
            del self._marks[key]

    def accruals(self, customer: str, rule: str, day: str) -> Mapping[str, Accrual]:
        wanted = (customer, rule, day)
        found = [a for a in self._all(Accrual) if (a.customer, a.rule, a.day) == wanted]
        return {accrual.beneficiary: accrual for accrual in found}

    def earnings(self, beneficiary: str, rule: str) -> Earnings | None:
        found = {earned.rule: earned for earned in self.all_earnings(beneficiary)}
        return found.get(rule)

    def all_earnings(self, beneficiary: str) -> Sequence[Earnings]:
        mine = [e for e in self._all(Earnings) if e.beneficiary == beneficiary]
        return sorted(mine, key=lambda earned: earned.rule)

    def holding(self) -> Iterable[Earnings]:
        held = [(e.next_release, e.rule, e.beneficiary, e) for e in self._all(Earnings) if e.held]
        return [earned for *_, earned in sorted(held, key=lambda row: row[:3])]

    def entries(self, beneficiary: str, limit: int, cursor: str | None) -> Page[EarningEntry]:
        mine = [e for e in self._all(EarningEntry) if e.beneficiary == beneficiary]
        mine.sort(key=lambda e: (e.at, e.rule, e.day, e.number, e.source), reverse=True)
        end = int(cursor or 0) + limit
        return Page(tuple(mine[end - limit : end]), str(end) if end < len(mine) else None)

    def payouts(self, beneficiary: str) -> Sequence[Payout]:
        mine = [p for p in self._all(Payout) if p.beneficiary == beneficiary]
        return sorted(mine, key=lambda payout: payout.id)

    def _all(self, kind: type[Kept]) -> list[Kept]:
        return [record for record in self._store.records.values() if isinstance(record, kind)]
