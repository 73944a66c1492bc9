"""Usage on the wire: JSON rows, or the same rows as CSV."""

import csv
import io
from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field

from shared.domain.events import time_text
from shared.domain.money import format_quantity
from shared.domain.usage_windows import Window
from shared.services.usage_query import Usage, UsageQuestion
from shared.wire.common import (
    CustomerKey,
    DecimalText,
    QueryModel,
    Slug,
    Time,
    WireModel,
)
from shared.wire.customers import Timezone
from shared.wire.prices import Unsupported

# A spreadsheet takes text that starts with one of these for a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def _names(text: Any) -> Any:
    return tuple(text.split(",")) if isinstance(text, str) else text


class UsageQuery(QueryModel):
    """`from` and `to` are on quarter hours; without them it is the last 30 days.

    Without a customer, all customers' usage together. `group_by` names dimensions of the meter,
    with commas between them. Windows are those of the timezone's clocks.
    """

    meter: Slug
    customer: CustomerKey | None = None
    segment: Unsupported = None
    start: Annotated[Time | None, Field(alias="from")] = None
    end: Annotated[Time | None, Field(alias="to")] = None
    window: Window = "total"
    timezone: Timezone = "UTC"
    group_by: Annotated[tuple[str, ...], BeforeValidator(_names)] = ()

    def to_question(self) -> UsageQuestion:
        """What is asked."""
        return UsageQuestion(
            self.meter,
            self.customer,
            self.start,
            self.end,
            self.window,
            self.timezone,
            self.group_by,
        )


class UsageRowView(WireModel):
    """The usage of one group in one window, [start, end)."""

    start: Time
    end: Time
    value: DecimalText
    group: dict[str, str]


class UsageView(WireModel):
    """Rows by time, then by group. A window or group without events has no row."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    meter: str
    customer: str | None
    start: Annotated[Time, Field(alias="from")]
    end: Annotated[Time, Field(alias="to")]
    window: Window
    timezone: str
    data: list[UsageRowView]

    @classmethod
    def of(cls, question: UsageQuestion, usage: Usage) -> "UsageView":
        """The answer as JSON."""
        rows = [
            UsageRowView(start=row.start, end=row.end, value=row.value, group=dict(row.group))
            for row in usage.rows
        ]
        return cls(
            meter=usage.meter.key,
            customer=question.customer,
            start=usage.start,
            end=usage.end,
            window=question.window,
            timezone=question.timezone,
            data=rows,
        )


def usage_csv(question: UsageQuestion, usage: Usage) -> str:
    """The answer as CSV: start, end, one column for each dimension asked for, value."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["start", "end", *map(_cell, question.group_by), "value"])
    for row in usage.rows:
        group = [_cell(value) for _, value in row.group]
        value = format_quantity(row.value)
        writer.writerow([time_text(row.start), time_text(row.end), *group, value])
    return text.getvalue()


def _cell(text: str) -> str:
    """The text, kept from being run as a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text
