"""Usage of several meters, as operators ask about it, on the wire."""

from typing import Annotated, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.domain.catalogue import Aggregation
from shared.domain.usage_windows import Window
from shared.services.audience import Question
from shared.services.reports import Asked
from shared.services.usage_reports import MeterRow, UsageReport
from shared.wire.analytics import no_duplicates, split
from shared.wire.common import Items, QueryModel, Slug, Time, WireModel
from shared.wire.customers import Timezone
from shared.wire.usage import MAX_GROUPED, Customers, Names, UsageRowView

MAX_METERS = 100
MAX_LABELS = 2  # the plan and the segment, besides what /v1/usage groups by


class UsageReportQuery(QueryModel):
    """Which meters, of which customers, over [`from`, `to`), which are on quarter hours.

    Without `meter` these are all that know what is grouped by. `group_by` names `customer`, `plan`,
    `segment` or dimensions; `customer`, `meter` and `group_by` may be repeated, or the names of the
    last stand with commas between them. Windows are those of the timezone's clocks.
    """

    meters: Annotated[
        Items[Slug],
        AfterValidator(no_duplicates),
        Field(alias="meter", max_length=MAX_METERS),
    ] = ()
    customers: Annotated[Customers, Field(alias="customer")] = ()
    segment: Slug | None = None
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    window: Window = "total"
    timezone: Timezone = "UTC"
    group_by: Annotated[
        Names, BeforeValidator(split), Field(max_length=MAX_GROUPED + MAX_LABELS)
    ] = ()

    def to_asked(self) -> Asked:
        """What is asked, but for meters and groups."""
        return Asked(
            customers=Question(self.customers, self.segment),
            start=self.start,
            end=self.end,
            window=self.window,
            timezone=self.timezone,
        )


class MeterUsageRow(UsageRowView):
    """The usage of one group of a meter in one window, by the meter's aggregation."""

    meter: str
    aggregation: Aggregation


class UsageReportView(WireModel):
    """Rows by meter, window and group. A customer is in each of its segments."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    start: Annotated[Time, Field(serialization_alias="from")]
    end: Annotated[Time, Field(serialization_alias="to")]
    data: list[MeterUsageRow]
    customers: int

    @classmethod
    def of(cls, query: UsageReportQuery, report: UsageReport) -> Self:
        """The report as JSON."""
        return cls(
            start=query.start,
            end=query.end,
            data=[_row(query, each) for each in report.rows],
            customers=report.customers,
        )


def _row(query: UsageReportQuery, told: MeterRow) -> MeterUsageRow:
    row = told.row
    return MeterUsageRow(
        meter=told.meter.key,
        aggregation=told.meter.aggregation,
        start=row.start,
        end=row.end,
        group=dict(zip(query.group_by, row.group.values, strict=True)),
        value=row.value,
        other=row.group.other,
    )
