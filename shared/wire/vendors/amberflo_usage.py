"""Amberflo's usage reports."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from shared.domain.catalogue import Aggregation, Catalogue, Meter
from shared.domain.errors import InvalidError, Problem
from shared.domain.money import divide, from_nanos, to_nanos
from shared.domain.usage_answers import CUSTOMER, AnswerRow
from shared.domain.usage_windows import Window
from shared.services.usage_query import Usage, UsageQuestion
from shared.wire.common import CustomerKey, Identifier, Items, QueryModel
from shared.wire.vendors.common import (
    CamelModel,
    EpochSeconds,
    at_most,
    epoch_seconds,
    quarter_after,
    quarter_before,
)

MAX_NAMES = 100
MAX_REPORTS = 20
CUSTOMER_ID = "customerId"
# Which of our aggregations theirs may mean.
AGGREGATIONS: Mapping[str, tuple[Aggregation, ...]] = {
    "sum": ("sum",),
    "count": ("count", "unique_count"),
    "min": ("min",),
    "max": ("max",),
}


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


# Upper case from Python, lower case from TypeScript.
Interval = Annotated[Literal["hour", "day", "week", "month"], BeforeValidator(_lower)]
AggregationName = Annotated[Literal["sum", "count", "min", "max"], BeforeValidator(_lower)]
Names = Annotated[Items[Identifier], Field(max_length=MAX_NAMES)]


class TimeRange(CamelModel):
    """[start, end); without an end it is now."""

    start_time_in_seconds: EpochSeconds
    end_time_in_seconds: EpochSeconds | None = None


class Take(CamelModel):
    """So many groups only: those with the greatest values, or with the least."""

    limit: Annotated[int, Field(ge=1)]
    is_ascending: bool = False


class ReportQuery(CamelModel):
    """A question about a meter's usage."""

    meter_api_name: Identifier
    aggregation: AggregationName
    time_grouping_interval: Interval
    time_range: TimeRange
    group_by: Names = ()
    filter: dict[Identifier, Names] = Field(default_factory=dict)
    take: Take | None = None

    @property
    def customers(self) -> tuple[str, ...] | None:
        """The customers filtered by; None for all."""
        return self.filter.get(CUSTOMER_ID)

    def to_question(self, meter: str) -> UsageQuestion:
        """What is asked, of all customers, its bounds moved outwards to quarter hours."""
        end = self.time_range.end_time_in_seconds
        return UsageQuestion(
            meter=meter,
            start=quarter_before(self.time_range.start_time_in_seconds),
            end=end and quarter_after(end),
            window=self.time_grouping_interval,
            group_by=tuple(CUSTOMER if n == CUSTOMER_ID else n for n in self.group_by),
            where={name: v for name, v in self.filter.items() if name != CUSTOMER_ID},
            fill=True,
        )


Reports = Annotated[
    list[ReportQuery],
    Field(min_length=1, max_length=MAX_REPORTS),
    BeforeValidator(at_most(MAX_REPORTS)),
]


class AllMetersQuery(QueryModel):
    """The same question about every meter."""

    start: Annotated[EpochSeconds, Field(alias="startTimeInSeconds")]
    end: Annotated[EpochSeconds | None, Field(alias="endTimeInSeconds")] = None
    interval: Annotated[Interval, Field(alias="timeGroupingInterval")]
    group_by: Annotated[Literal["customerId"] | None, Field(alias="groupBy")] = None
    customer_id: Annotated[CustomerKey | None, Field(alias="customerId")] = None

    def to_question(self, meter: str) -> UsageQuestion:
        """What is asked of one of the meters, its bounds moved outwards to quarter hours."""
        window: Window = self.interval
        return UsageQuestion(
            meter=meter,
            start=quarter_before(self.start),
            end=self.end and quarter_after(self.end),
            window=window,
            group_by=(CUSTOMER,) if self.group_by else (),
            fill=True,
        )


def reported_meter(catalogue: Catalogue, query: ReportQuery) -> Meter:
    """The one meter that reads the events of this name and aggregates them so.

    Raises: InvalidError where there is none, or more than one.
    """
    named = [
        meter
        for meter in catalogue.meters.values()
        if query.meter_api_name in (meter.key, meter.event_type) and meter.archived_since is None
    ]
    if not named:
        raise InvalidError("No such meter.", [Problem("/meterApiName", "unknown-meter")])
    fitting = [m for m in named if m.aggregation in AGGREGATIONS[query.aggregation]]
    if not fitting:
        detail = "The meter aggregates otherwise."
        raise InvalidError(detail, [Problem("/aggregation", "not-the-meters")])
    exact = [meter for meter in fitting if meter.key == query.meter_api_name]
    if len(fitting) > 1 and not exact:
        detail = "Several meters read these events: name one by its key."
        raise InvalidError(detail, [Problem("/meterApiName", "ambiguous")])
    return (exact or fitting)[0]


def report_answer(
    question: UsageQuestion, usage: Usage, take: Take | None = None
) -> dict[str, Any]:
    """The report: for each group a value in every interval, zero where there was no usage."""
    groups: dict[tuple[tuple[str, ...], bool], list[AnswerRow]] = {}
    for row in usage.answer.rows:
        groups.setdefault((row.group.values, row.group.other), []).append(row)
    starts = sorted({row.start for row in usage.answer.rows})
    names = [CUSTOMER_ID if name == CUSTOMER else name for name in question.group_by]
    meters = [
        _group_answer(usage.meter, dict(zip(names, values, strict=True)), rows)
        for (values, _), rows in groups.items()
    ]
    count = len(meters)
    if take is not None:
        meters.sort(key=lambda found: found["groupValue"], reverse=not take.is_ascending)
        meters = meters[: take.limit]
    return {
        "metadata": {"resultMapCountBeforeTake": count, "resultMapCountAfterTake": len(meters)},
        "secondsSinceEpochIntervals": [epoch_seconds(start) for start in starts],
        "clientMeters": meters,
    }


def _group_answer(
    meter: Meter, group: Mapping[str, str], rows: Sequence[AnswerRow]
) -> dict[str, Any]:
    numbers = [row.value or Decimal(0) for row in rows]
    known = [row.value for row in rows if row.value is not None] or [Decimal(0)]
    whole = {"min": min, "max": max}.get(meter.aggregation, sum)
    before = [Decimal(0), *numbers]
    return {
        "group": {"groupInfo": group},
        "groupValue": whole(known),
        "percentageFromPrevious": None,
        "values": [
            {
                "value": number,
                "secondsSinceEpochUtc": epoch_seconds(row.start),
                "percentageFromPrevious": _percentage(previous, number),
            }
            for row, previous, number in zip(rows, before, numbers, strict=False)
        ],
    }


def _percentage(before: Decimal, now: Decimal) -> Decimal:
    """The change in percent, to 9 decimals; 0 where nothing was before."""
    if before <= 0:
        return Decimal(0)
    change = (to_nanos(now) - to_nanos(before)) * 100 * 10**9
    return from_nanos(divide(change, to_nanos(before)))
