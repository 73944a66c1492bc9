"""Reconciliation on the wire."""

from collections.abc import Sequence

from shared.services.reconcile import Pass
from shared.services.reconciliation import Reconciliation
from shared.wire.common import Time, WireModel


class ReconciliationView(WireModel):
    """How one customer's numbers were found: `findings` are what contradicts.

    `clean_at` is when the last pass started that found, or put, everything right.
    """

    customer: str
    clean_at: Time | None
    checked_at: Time | None
    judged_until: Time | None
    findings: Sequence[str]

    @classmethod
    def of(cls, note: Reconciliation) -> "ReconciliationView":
        """The note as it is shown."""
        return cls(
            customer=note.customer,
            clean_at=note.clean_at,
            checked_at=note.checked_at,
            judged_until=note.judged_until,
            findings=note.findings,
        )


class CustomerReconciliationView(ReconciliationView):
    """`held`: the customer's billing waits until its numbers agree."""

    held: bool


class ReconciliationsView(WireModel):
    """At `clean_at` every customer had been found right; `data` are those with findings since."""

    clean_at: Time | None
    data: Sequence[ReconciliationView]
    next_cursor: str | None


class PassView(WireModel):
    """What one pass did: events repaired, ledger gaps spanned, and what contradicts.

    `finished` false: it stopped at a contradiction, or there was no time for more.
    """

    finished: bool
    repaired: int
    spanned: int
    findings: Sequence[str]

    @classmethod
    def of(cls, result: Pass) -> "PassView":
        """The pass as it is shown."""
        return cls(
            finished=result.finished,
            repaired=result.repaired,
            spanned=result.spanned,
            findings=result.findings,
        )
