"""Which plan a customer was on at a time in the past."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import datetime

from shared.domain.accounts import Phase
from shared.domain.customers import Customer
from shared.services.audience import Budget, OverBudgetError
from shared.services.store import BillingStore

MAX_PHASES = 1000


def phases_since(
    store: BillingStore, customer: Customer, start: datetime, budget: Budget
) -> list[Phase]:
    """The customer's phases, oldest first; those before `start` may be left out.

    Raises: OverBudgetError.
    """
    account = store.account(customer.key)
    closed = store.closed_phases(customer.key, MAX_PHASES)
    budget.spend(1 + len(closed))
    if len(closed) == MAX_PHASES and closed[-1].phase.start > start:
        raise OverBudgetError
    phases = [each.phase for each in closed] + list(account.phases if account else ())
    return sorted(phases, key=lambda phase: phase.number)


def plan_at(phases: Sequence[Phase], at: datetime) -> str:
    """The plan in force; of usage from before the first phase, that of the first."""
    index = bisect_right(phases, at, key=lambda phase: phase.start) - 1
    return phases[max(index, 0)].plan if phases else ""
