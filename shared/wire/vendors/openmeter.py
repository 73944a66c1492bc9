"""OpenMeter's meter queries."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from shared.domain.events import time_text
from shared.domain.money import format_quantity
from shared.domain.usage_answers import CUSTOMER, AnswerRow
from shared.domain.usage_windows import Window
from shared.services.usage_query import Usage, UsageQuestion
from shared.wire.common import CustomerKey, Identifier, Items, QueryModel, Time, refuse
from shared.wire.customers import Timezone
from shared.wire.usage import csv_cell
from shared.wire.vendors.common import quarter_after, quarter_before

MAX_NAMES = 100
# What they call the customer when grouping by it.
CUSTOMER_NAMES = ("subject", "customer_id", "customerId")
WINDOWS: Mapping[str, Window] = {"HOUR": "hour", "DAY": "day", "WEEK": "week", "MONTH": "month"}


def _no_minutes(size: object) -> object:
    if size == "MINUTE":
        raise refuse("unsupported")
    return size


def _texts(value: object) -> object:
    return [value] if isinstance(value, str) else value


WindowSize = Annotated[Literal["HOUR", "DAY", "WEEK", "MONTH"], BeforeValidator(_no_minutes)]
Names = Annotated[Items[Identifier], Field(max_length=MAX_NAMES)]
Customers = Annotated[Items[CustomerKey], Field(max_length=MAX_NAMES)]
Values = Annotated[Items[Identifier], Field(max_length=MAX_NAMES), BeforeValidator(_texts)]


class MeterQuery(QueryModel):
    """A question about a meter, in a query or a body. Usage is kept by quarters of an hour."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )

    start: Annotated[Time | None, Field(alias="from")] = None
    end: Annotated[Time | None, Field(alias="to")] = None
    window_size: WindowSize | None = None
    window_time_zone: Timezone = "UTC"
    subject: Customers | None = None
    filter_customer_id: Customers | None = None
    filter_group_by: dict[Identifier, Values] = Field(default_factory=dict)
    group_by: Names = ()
    client_id: Identifier | None = None  # Names a client whose progress they show; nothing is said.

    @property
    def customers(self) -> tuple[str, ...] | None:
        """The customers that both filters let through; None where neither is given."""
        if self.subject is None or self.filter_customer_id is None:
            return self.subject if self.filter_customer_id is None else self.filter_customer_id
        return tuple(key for key in self.subject if key in self.filter_customer_id)

    @property
    def by_customer(self) -> bool:
        """Whether each customer has rows of its own; a filter by customers asks for that, too."""
        return self.customers is not None or any(n in CUSTOMER_NAMES for n in self.group_by)

    @property
    def dimensions(self) -> tuple[str, ...]:
        """The dimensions to group by."""
        return tuple(dict.fromkeys(n for n in self.group_by if n not in CUSTOMER_NAMES))

    def to_question(self, meter: str) -> UsageQuestion:
        """What is asked, of all customers, its bounds moved outwards to quarter hours."""
        return UsageQuestion(
            meter=meter,
            start=self.start and quarter_before(self.start),
            end=self.end and quarter_after(self.end),
            window=WINDOWS[self.window_size] if self.window_size else "total",
            timezone=self.window_time_zone,
            group_by=(*((CUSTOMER,) if self.by_customer else ()), *self.dimensions),
            where={name: tuple(values) for name, values in self.filter_group_by.items()},
        )


def query_answer(query: MeterQuery, usage: Usage) -> dict[str, Any]:
    """The answer as JSON; values are exact numbers."""
    return {
        "from": time_text(usage.start),
        "to": time_text(usage.end),
        "windowSize": query.window_size,
        "data": [_row(query, row) for row in usage.answer.rows],
    }


def _row(query: MeterQuery, row: AnswerRow) -> dict[str, Any]:
    customer, dimensions = _split(query, row)
    return {
        "value": row.value,
        "windowStart": time_text(row.start),
        "windowEnd": time_text(row.end),
        "subject": customer,
        "customerId": customer,
        "groupBy": dict(zip(query.dimensions, dimensions, strict=True)),
    }


def _split(query: MeterQuery, row: AnswerRow) -> tuple[str | None, Sequence[str]]:
    values = row.group.values
    return (values[0], values[1:]) if query.by_customer else (None, values)


def query_csv(query: MeterQuery, usage: Usage) -> str:
    """The answer as CSV, with their names of columns."""
    text = io.StringIO()
    writer = csv.writer(text)
    whose = ["subject"] if query.by_customer else []
    names = [csv_cell(name) for name in query.dimensions]
    writer.writerow(["window_start", "window_end", *whose, *names, "value"])
    for row in usage.answer.rows:
        group = [csv_cell(value) for value in row.group.values]
        value = "" if row.value is None else format_quantity(row.value)
        writer.writerow([time_text(row.start), time_text(row.end), *group, value])
    return text.getvalue()
