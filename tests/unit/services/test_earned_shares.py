"""A recount leaves to the schedule what there is no time for, and what is not over yet."""

from datetime import timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from shared.domain.catalogue import Catalogue
from shared.domain.customers import Customer
from shared.domain.earning_rules import EarningRule
from shared.services.earned_shares import EarnedShares
from shared.services.standing import Books
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.shares import MemoryShareStore
from tests.support.builders import DAY, HOUR, MARCH

RULE = EarningRule("owners", "tokens", "model", "sparks", Decimal(1), 14, "credits", MARCH)
NOW = MARCH + 5 * DAY + HOUR


def earned_shares() -> EarnedShares:
    store = MemoryBillingStore()
    store.profiles["fan"] = Customer("fan", created_at=MARCH)
    catalogue: Any = SimpleNamespace(newest=lambda: Catalogue(earning_rules={RULE.key: RULE}))
    clock: Any = SimpleNamespace(now=lambda: NOW)
    return EarnedShares(Books(store, catalogue, clock, timedelta(0)), MemoryShareStore(store))


def marked(shares: EarnedShares) -> list[str]:
    return [mark.day for mark in shares.records.marks()]


def test_days_without_time_are_marked_for_the_next_run_which_counts_them() -> None:
    shares = earned_shares()
    done = shares.recount("fan", MARCH + 3 * DAY, None, lambda: True)
    assert (done.accrued, done.later) == (0, 3)
    assert marked(shares) == ["2026-03-04", "2026-03-05", "2026-03-06"]
    stopped = shares.settle(lambda: True)
    assert (stopped.later, len(marked(shares))) == (3, 3)
    # The last of them is not over: it stays marked.
    assert shares.settle(lambda: False).later == 1
    assert marked(shares) == ["2026-03-06"]
    assert shares.recount("fan", MARCH, MARCH + 5 * DAY, lambda: False).later == 0
    assert marked(shares) == ["2026-03-06"]
