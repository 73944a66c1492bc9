"""Schedule → what closed days earned is accrued, released after its hold, and paid."""

from typing import Any

from functions._deadline import deadline
from functions._following import shares_of
from functions._metrics import count
from functions._runtime import runtime
from shared.services.earned_shares import Settled

# What one more step may take.
RESERVED_MILLISECONDS = 30_000


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    """Settles everything that is due; what there is no time for, the next run does."""
    done = shares_of(runtime()).settle(deadline(context, RESERVED_MILLISECONDS))
    report(done)
    return {"accrued": done.accrued, "paid": done.paid}


def report(done: Settled) -> None:
    """Counts what a run came to."""
    counters = {
        "EarningsAccrued": done.accrued,
        "EarningsPaid": done.paid,
        "EarningsOfNobody": done.nobody,
        "EarningsUnclaimed": done.unclaimed,
        "EarningsWaiting": done.waiting,
        "EarningsDelayed": done.failed,
    }
    count("settle_earnings", counters)
