"""Revenue, margin and credits owed, on the wire."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.domain.liability import Flow, GrantKind, value_of
from shared.domain.money import EXACT, from_nanos
from shared.domain.periods import Period
from shared.domain.recognition import Part
from shared.domain.usage_windows import Window
from shared.services.analytics import Owed
from shared.services.audience import Question
from shared.services.reports import Amounts, Asked, GroupBy, Report
from shared.wire.common import DecimalText, Items, PageQuery, Slug, Time, WireModel
from shared.wire.customers import Timezone
from shared.wire.prices import once
from shared.wire.usage import Customers


def split(texts: Any) -> Any:
    """Names with commas between them, in one parameter or several."""
    return [name for text in texts for name in text.split(",")]


def no_duplicates(names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, if none of them is there twice."""
    return once(names, lambda name: name, "duplicate")


class AudienceQuery(PageQuery):
    """Which customers, page by page, and over what time: [`from`, `to`), on quarter hours."""

    customers: Annotated[Customers, Field(alias="customer")] = ()
    segment: Slug | None = None
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]

    def to_question(self, cursor: str | None) -> Question:
        """Which customers, from where on."""
        return Question(self.customers, self.segment, self.limit, cursor)


class MarginQuery(AudienceQuery):
    """Windows are those of the timezone's clocks. `limit` is of customers, not of rows.

    `group_by` may be repeated, or its names stand with commas between them.
    """

    window: Window = "total"
    timezone: Timezone = "UTC"
    group_by: Annotated[
        Items[GroupBy], BeforeValidator(split), AfterValidator(no_duplicates), Field(max_length=4)
    ] = ()

    def to_asked(self, cursor: str | None) -> Asked:
        """What is asked."""
        return Asked(
            customers=self.to_question(cursor),
            start=self.start,
            end=self.end,
            window=self.window,
            timezone=self.timezone,
            group_by=self.group_by,
        )


class RevenueRow(WireModel):
    """What was earned in one window by one group, in one currency.

    `revenue` is the sum of `parts`. `accrued` is the part of it that is on no invoice yet,
    `invoiced` what invoices that were finalized in the window bill, whatever time it is for.
    """

    start: Time
    end: Time
    currency: str
    group: dict[GroupBy, str]
    revenue: DecimalText
    parts: dict[Part, DecimalText]
    accrued: DecimalText
    invoiced: DecimalText


class MarginRow(RevenueRow):
    """The same with what the usage of the window cost to serve; `margin` is what is left."""

    cost: DecimalText
    margin: DecimalText


class RevenueView(WireModel):
    """Rows by window, currency and group; the rows of all pages add up. Currencies never do."""

    data: Sequence[RevenueRow]
    customers: int
    next_cursor: str | None

    @classmethod
    def of(
        cls, asked: Asked, windows: Sequence[Period], reports: Sequence[Report], cursor: str | None
    ) -> "RevenueView":
        """The reports together."""
        rows = [RevenueRow(**_revenue(*row)) for row in _rows(asked, windows, reports)]
        return cls(data=rows, customers=len(reports), next_cursor=cursor)


class UncostedView(WireModel):
    """Usage of a meter with cost rates that none of them takes: its cost is not in the margin."""

    meter: str
    quantity: DecimalText


class MarginView(WireModel):
    """Rows as of revenue, and the usage that no cost rate takes."""

    data: Sequence[MarginRow]
    uncosted: list[UncostedView]
    customers: int
    next_cursor: str | None

    @classmethod
    def of(
        cls, asked: Asked, windows: Sequence[Period], reports: Sequence[Report], cursor: str | None
    ) -> "MarginView":
        """The reports together."""
        rows = []
        for window, currency, group, amounts in _rows(asked, windows, reports):
            margin = EXACT.subtract(amounts.revenue, amounts.cost)
            told = _revenue(window, currency, group, amounts)
            rows.append(MarginRow(**told, cost=amounts.cost, margin=margin))
        uncosted = sorted(_together(reports).uncosted.items())
        return cls(
            data=rows,
            uncosted=[UncostedView(meter=m, quantity=q) for m, q in uncosted],
            customers=len(reports),
            next_cursor=cursor,
        )


_Told = tuple[Period, str, dict[GroupBy, str], Amounts]


def _together(reports: Iterable[Report]) -> Report:
    whole = Report()
    for report in reports:
        whole.add(report)
    return whole


def _rows(asked: Asked, windows: Sequence[Period], reports: Sequence[Report]) -> Iterable[_Told]:
    for key, amounts in sorted(_together(reports).rows.items(), key=lambda item: item[0]):
        group = dict(zip(asked.group_by, key.group, strict=True))
        yield windows[key.window], key.currency, group, amounts


def _revenue(
    window: Period, currency: str, group: Mapping[GroupBy, str], amounts: Amounts
) -> dict[str, Any]:
    return {
        "start": window.start,
        "end": window.end,
        "currency": currency,
        "group": dict(group),
        "revenue": amounts.revenue,
        "parts": {part: amount for part, amount in sorted(amounts.parts.items()) if amount},
        "accrued": amounts.accrued,
        "invoiced": amounts.invoiced,
    }


class CreditsQuery(AudienceQuery):
    """Credits owed, of all customers of the page together or of each."""

    group_by: Literal["customer"] | None = None

    def to_asked(self, cursor: str | None) -> Asked:
        """What is asked."""
        grouped: tuple[GroupBy, ...] = (self.group_by,) if self.group_by else ()
        return Asked(self.to_question(cursor), self.start, self.end, group_by=grouped)


class OwedRow(WireModel):
    """What became of grants of one unit, source and cost basis.

    In the unit, `opening` + `issued` = `used` + `expired` + `voided` + `held`. In `currency`, at
    the cost basis, `liability` is what is held, `revenue` what was used, `breakage` what expired.
    """

    customer: Annotated[str | None, Field(exclude_if=lambda value: value is None)] = None
    unit: str
    source: str
    cost_basis: DecimalText | None
    currency: str | None
    opening: DecimalText
    issued: DecimalText
    used: DecimalText
    expired: DecimalText
    voided: DecimalText
    held: DecimalText
    liability: DecimalText
    revenue: DecimalText
    breakage: DecimalText


class OwedView(WireModel):
    """Rows by customer, unit, source and cost basis; the rows of all pages add up."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    start: Annotated[Time, Field(serialization_alias="from")]
    end: Annotated[Time, Field(serialization_alias="to")]
    data: list[OwedRow]
    customers: int
    next_cursor: str | None

    @classmethod
    def of(cls, asked: Asked, found: Sequence[Owed], cursor: str | None) -> "OwedView":
        """What is owed to the customers of the page."""
        total: dict[tuple[str, GrantKind], Flow] = {}
        for owed in found:
            for key, flow in owed.flows.items():
                total[key] = total.get(key, Flow()).plus(flow)
        rows = sorted(total.items(), key=lambda item: (item[0][0], _order(item[0][1])))
        return cls(
            start=asked.start,
            end=asked.end,
            data=[_owed(customer, kind, flow) for (customer, kind), flow in rows],
            customers=len(found),
            next_cursor=cursor,
        )


def _order(kind: GrantKind) -> tuple[str, str, str, Decimal]:
    return kind.unit, kind.source, kind.currency or "", kind.basis or Decimal(0)


def _owed(customer: str, kind: GrantKind, flow: Flow) -> OwedRow:
    return OwedRow(
        customer=customer or None,
        unit=kind.unit,
        source=kind.source,
        cost_basis=kind.basis,
        currency=kind.currency,
        opening=from_nanos(flow.opening),
        issued=from_nanos(flow.issued),
        used=from_nanos(flow.used),
        expired=from_nanos(flow.expired),
        voided=from_nanos(flow.voided),
        held=from_nanos(flow.closing),
        liability=value_of(kind, flow.closing),
        revenue=value_of(kind, flow.used),
        breakage=value_of(kind, flow.expired),
    )
