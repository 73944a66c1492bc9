"""Shadow comparisons on the wire."""

from decimal import Decimal
from typing import Annotated

from pydantic import ConfigDict, Field

from shared.services.shadow import Comparison, IncumbentTotal, Reason, ReasonCode
from shared.wire.common import Bounds, CustomerKey, DecimalText, Slug, Time, WireModel

MAX_TOTALS = 50

# What an incumbent may say: it may have corrected more away than was used.
Total = Annotated[Decimal, Bounds(places=9, lowest=Decimal(-(10**18)), highest=Decimal(10**18))]


class IncumbentTotalBody(WireModel):
    """What an incumbent says that a customer used of a meter in [from, to), on quarter hours."""

    customer: CustomerKey
    meter: Slug
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    value: Total

    def to_total(self) -> IncumbentTotal:
        """The total."""
        return IncumbentTotal(self.customer, self.meter, self.start, self.end, self.value)


class ShadowBody(WireModel):
    """Up to 50 totals of an incumbent."""

    totals: Annotated[list[IncumbentTotalBody], Field(min_length=1, max_length=MAX_TOTALS)]

    def to_totals(self) -> list[IncumbentTotal]:
        """The totals."""
        return [total.to_total() for total in self.totals]


class ReasonView(WireModel):
    """Events that may make a difference: see docs/migrating.md for the codes."""

    code: ReasonCode
    events: int
    quantity: DecimalText | None

    @classmethod
    def of(cls, reason: Reason) -> "ReasonView":
        """The reason as it is shown."""
        return cls(code=reason.code, events=reason.events, quantity=reason.quantity)


class ComparisonView(WireModel):
    """A total beside ours. `difference` is ours less theirs; `ours` null: an unknown customer.

    `unexplained` is what is left of it when events that are not counted here, or came twice, are
    taken into account. `complete`: every event of the window was looked at for reasons.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    customer: str
    meter: str
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    theirs: DecimalText
    ours: DecimalText | None
    equal: bool
    difference: DecimalText
    unexplained: DecimalText | None
    reasons: list[ReasonView]
    complete: bool

    @classmethod
    def of(cls, found: Comparison) -> "ComparisonView":
        """The comparison as it is shown."""
        total = found.total
        return cls(
            customer=total.customer,
            meter=total.meter,
            start=total.start,
            end=total.end,
            theirs=total.value,
            ours=found.ours,
            equal=not found.difference,
            difference=found.difference,
            unexplained=found.unexplained,
            reasons=[ReasonView.of(reason) for reason in found.reasons],
            complete=found.complete,
        )


class ShadowView(WireModel):
    """Every total judged, in the order sent."""

    equal: int
    different: int
    data: list[ComparisonView]

    @classmethod
    def of(cls, found: list[Comparison]) -> "ShadowView":
        """The comparisons as they are shown."""
        data = [ComparisonView.of(each) for each in found]
        equal = sum(each.equal for each in data)
        return cls(equal=equal, different=len(data) - equal, data=data)
