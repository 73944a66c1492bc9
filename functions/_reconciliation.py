"""What a reconciliation came to, as counters: whoever started it, the same alarms watch them."""

from aws_lambda_powertools import Logger

from functions._metrics import count
from shared.services.reconcile import Pass

logger = Logger()


def report(result: Pass) -> None:
    """Counts the pass, and logs what contradicts."""
    counters = {
        "CustomersReconciled": int(result.finished),
        "RepairsMade": result.repaired,
        "LedgerGapsSpanned": result.spanned,
        "Contradictions": len(result.findings),
    }
    count("reconcile_customer", counters)
    for finding in result.findings:
        logger.warning("contradiction", extra={"finding": finding})
