"""Entitlements on the wire."""

from shared.domain.entitlements import Entitlement, Reason
from shared.wire.common import DecimalText, Time, WireModel


class EntitlementView(WireModel):
    """Whether a feature or meter may be used now; `reason` says why not.

    Of a metered allowance, `used` and `limit` are of the current billing period, in the meter's
    quantity; without an allowance they are in the credit unit or currency that the usage draws,
    and there is no limit of one meter. A feature with a number has it as its `limit`; what is used
    of it only the product knows. `resets_at` is the end of the billing period.
    """

    feature: str
    allowed: bool
    unit: str | None
    used: DecimalText | None
    limit: DecimalText | None
    remaining: DecimalText | None
    resets_at: Time | None
    reason: Reason | None

    @classmethod
    def of(cls, found: Entitlement) -> "EntitlementView":
        """The entitlement as it is shown."""
        return cls(
            feature=found.feature,
            allowed=found.allowed,
            unit=found.unit,
            used=found.used,
            limit=found.limit,
            remaining=found.remaining,
            resets_at=found.resets_at,
            reason=found.reason,
        )


class EntitlementsView(WireModel):
    """Every feature and meter of the customer's plan, by name."""

    data: list[EntitlementView]
