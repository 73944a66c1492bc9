"""The port to what is kept of earnings."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.services.store import Page


@dataclass(frozen=True, slots=True)
class Mark:
    """That a customer's usage of a day changed; `token` names the last change."""

    customer: str
    rule: str
    day: str
    token: str


class ShareStore(Protocol):
    """What is kept of earnings. Reads are consistent, but for lists over all customers."""

    def mark(self, mark: Mark) -> None:
        """Puts the mark, over one of an earlier change."""

    def marks(self) -> Iterable[Mark]:
        """Every mark, the earliest day first."""

    def unmark(self, mark: Mark) -> None:
        """Takes the mark away, unless the day changed again since it was read."""

    def accruals(self, customer: str, rule: str, day: str) -> Mapping[str, Accrual]:
        """What a customer's usage of the day earned, by beneficiary."""

    def earnings(self, beneficiary: str, rule: str) -> Earnings | None:
        """What the beneficiary has under the rule."""

    def all_earnings(self, beneficiary: str) -> Sequence[Earnings]:
        """The same under every rule that it has earned by."""

    def holding(self) -> Iterable[Earnings]:
        """Earnings of which something is held, those released first in front."""

    def entries(self, beneficiary: str, limit: int, cursor: str | None) -> Page[EarningEntry]:
        """The beneficiary's entries, newest first."""

    def payouts(self, beneficiary: str) -> Sequence[Payout]:
        """The beneficiary's payouts by id."""
