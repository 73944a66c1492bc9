"""Usage on the wire: what is asked, and the rows as JSON or CSV."""

import csv
import io
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from shared.domain.catalogue import Aggregation, Meter
from shared.domain.events import time_text
from shared.domain.money import format_quantity
from shared.domain.usage_answers import AnswerRow
from shared.domain.usage_windows import Window
from shared.services.usage_query import Usage, UsageQuestion
from shared.wire.catalogue import PropertyName
from shared.wire.common import (
    CustomerKey,
    DecimalText,
    Items,
    Slug,
    Text,
    Time,
    WireModel,
)
from shared.wire.customers import Timezone
from shared.wire.prices import once

MAX_CUSTOMERS = 100
MAX_GROUPED = 11  # every dimension that a meter can have, and the customer
MAX_FILTER_VALUES = 100
# A spreadsheet takes text that starts with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def _once(names: tuple[str, ...]) -> tuple[str, ...]:
    return once(names, lambda name: name, "duplicate")


def _split(texts: Any) -> Any:
    """Names with commas between them, in one parameter or several."""
    return [name for text in texts for name in text.split(",")]


Customers = Annotated[Items[CustomerKey], Field(max_length=MAX_CUSTOMERS), AfterValidator(_once)]
Names = Annotated[Items[PropertyName], Field(max_length=MAX_GROUPED), AfterValidator(_once)]
Values = Annotated[
    Items[Text], Field(min_length=1, max_length=MAX_FILTER_VALUES), AfterValidator(_once)
]


class UsageBody(WireModel):
    """A question about a meter's usage.

    `from` and `to` are on quarter hours; without them it is the last 30 days. Without `customers`
    it is all customers', of the `segment` if one is named. Windows are those of the timezone's
    clocks. `group_by` names dimensions of the meter, or `customer`. `filter` keeps usage whose
    dimensions have one of the values each. `top` keeps the groups with the greatest values over
    the whole time, `rest` adds what all others come to together. `fill` gives each group a row in
    every window.
    """

    meter: Slug
    customers: Customers = ()
    segment: Slug | None = None
    start: Annotated[Time | None, Field(alias="from")] = None
    end: Annotated[Time | None, Field(alias="to")] = None
    window: Window = "total"
    timezone: Timezone = "UTC"
    group_by: Names = ()
    filter: dict[PropertyName, Values] = Field(default_factory=dict)
    top: Annotated[int, Field(ge=1, le=1000)] | None = None
    rest: bool = False
    fill: bool = False

    def to_question(self) -> UsageQuestion:
        """What is asked."""
        return UsageQuestion(
            meter=self.meter,
            customers=self.customers,
            segment=self.segment,
            start=self.start,
            end=self.end,
            window=self.window,
            timezone=self.timezone,
            group_by=self.group_by,
            where=self.filter,
            top=self.top,
            rest=self.rest,
            fill=self.fill,
        )


class UsageQuery(UsageBody):
    """The same as query parameters.

    `customer` may be repeated; `group_by` too, or its names stand with commas between them.
    `filter[model]=a`, repeated for more values, keeps usage of these models.
    """

    # Query parameters are text, so numbers and flags are read from text here.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=False)

    customers: Annotated[Customers, Field(alias="customer")] = ()
    group_by: Annotated[Names, BeforeValidator(_split)] = ()


class UsageRowView(WireModel):
    """The usage of one group in one window, [start, end); null where there was none to tell of.

    `other` is there and true for usage over the cap of dimension values, all of it together.
    """

    start: Time
    end: Time
    value: DecimalText | None
    group: dict[str, str]
    other: bool = Field(default=False, exclude_if=lambda other: not other)


class RestRowView(WireModel):
    """What all groups outside of the top come to in one window, [start, end)."""

    start: Time
    end: Time
    value: DecimalText | None


class UsageView(WireModel):
    """Rows by time, then by group; by rank where the top was asked for.

    A window or group without events has no row, unless `fill` was asked for. `other_left_out`:
    some usage was over the cap of dimension values, and the filter could not judge it.
    """

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    meter: str
    customers: list[str]
    segment: str | None
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    window: Window
    timezone: str
    data: list[UsageRowView]
    rest: list[RestRowView] | None
    other_left_out: bool

    @classmethod
    def of(cls, question: UsageQuestion, usage: Usage) -> "UsageView":
        """The answer as JSON."""
        rest = [
            RestRowView(start=row.start, end=row.end, value=row.value) for row in usage.answer.rest
        ]
        return cls(
            meter=usage.meter.key,
            customers=list(question.customers),
            segment=question.segment,
            start=usage.start,
            end=usage.end,
            window=question.window,
            timezone=question.timezone,
            data=[_row(question, row) for row in usage.answer.rows],
            rest=rest if question.rest else None,
            other_left_out=usage.answer.other_left_out,
        )


class PlanMeterView(WireModel):
    """A meter as a customer sees it: how it aggregates, and what its usage can be grouped by."""

    key: str
    aggregation: Aggregation
    dimensions: list[str]


class PlanMetersView(WireModel):
    """Meters by key."""

    data: list[PlanMeterView]

    @classmethod
    def of(cls, meters: Iterable[Meter]) -> "PlanMetersView":
        """The meters as they are shown."""
        return cls(
            data=[
                PlanMeterView(
                    key=meter.key,
                    aggregation=meter.aggregation,
                    dimensions=list(meter.dimensions),
                )
                for meter in meters
            ]
        )


def _row(question: UsageQuestion, row: AnswerRow) -> UsageRowView:
    group = dict(zip(question.group_by, row.group.values, strict=True))
    return UsageRowView(
        start=row.start, end=row.end, value=row.value, group=group, other=row.group.other
    )


def usage_csv(question: UsageQuestion, usage: Usage) -> str:
    """The answer as CSV: start, end, a column for each name grouped by, value.

    Grouped, a last column says what the row is of: a `group`, the `other` usage over the cap, or
    the `rest`.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    kinds = ["kind"] if question.group_by else []
    writer.writerow(["start", "end", *map(csv_cell, question.group_by), "value", *kinds])
    for row in usage.answer.rows:
        kind = "other" if row.group.other else "group"
        writer.writerow([*_cells(row, row.group.values), *([kind] if kinds else [])])
    blank = [""] * len(question.group_by)
    writer.writerows([*_cells(row, blank), "rest"] for row in usage.answer.rest)
    return text.getvalue()


def _cells(row: AnswerRow, group: Iterable[str]) -> list[str]:
    value = "" if row.value is None else format_quantity(row.value)
    return [time_text(row.start), time_text(row.end), *map(csv_cell, group), value]


def csv_cell(text: str) -> str:
    """The text, kept from being run as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
