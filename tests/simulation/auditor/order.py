"""The one declared order in which usage draws grants."""

from datetime import UTC, datetime

from tests.simulation.auditor.evidence import Plain

NEVER = datetime.max.replace(tzinfo=UTC)


def place_in_order(grant: Plain) -> tuple[object, ...]:
    """Priority, restricted first, soonest expiry, cost-free first, effective, created, id."""
    return (
        grant["priority"],
        0 if grant["meters"] else 1,
        grant["expires_at"] or NEVER,
        1 if grant["cost_basis"] else 0,
        grant["effective_at"],
        grant["created_at"],
        grant["id"],
    )
