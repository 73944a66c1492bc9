"""The events behind an invoice line on the wire, and how far a listing of them has come."""

import json
from collections.abc import Mapping
from decimal import Decimal

from shared.domain.events import Measurement, UsageEvent, utc_text, utc_time
from shared.domain.money import format_quantity
from shared.domain.usage_hours import Quarter
from shared.services.event_list import Position
from shared.services.line_events import LineEvents, Progress, State
from shared.wire.common import DecimalText, Text, Time, WireModel
from shared.wire.events import Property
from shared.wire.invoices import LineEventsView


class LineEventView(WireModel):
    """A stored event, and the quantity that it adds to the line."""

    id: Text
    source: Text
    type: Text
    time: Time
    received_at: Time
    quantity: DecimalText
    data: Mapping[str, Property]

    @classmethod
    def of(cls, event: UsageEvent, measurement: Measurement) -> "LineEventView":
        """The event as it is shown."""
        return cls.model_construct(
            id=event.id,
            source=event.source,
            type=event.type,
            time=event.occurred_at,
            received_at=event.received_at,
            quantity=measurement.quantity,
            data=event.data,
        )


class LineEventsPage(WireModel):
    """Events behind a line, newest first; `billed` is what the invoice froze.

    `state`: `proven`, the events recounted are those billed; `settling`, there are others that
    may be on their way, ask again; `too-many-events`, the last page recounts what all pages list.
    """

    data: tuple[LineEventView, ...]
    next_cursor: str | None
    state: State
    billed: LineEventsView
    recounted: LineEventsView | None

    @classmethod
    def of(cls, page: LineEvents, cursor: str | None) -> "LineEventsPage":
        """The page as it is answered."""
        return cls.model_construct(
            data=tuple(LineEventView.of(*counted) for counted in page.events),
            next_cursor=cursor,
            state=page.state,
            billed=_view(page.line.frozen),
            recounted=_view(page.recounted) if page.recounted else None,
        )


def _view(total: Quarter) -> LineEventsView:
    return LineEventsView(count=total.count, sum=total.value, checksum=f"{total.checksum:016x}")


def progress_text(progress: Progress) -> str:
    """The progress as text that a signed cursor holds."""
    listed = progress.listed
    return json.dumps(
        {
            "at": utc_text(progress.position.occurred_at),
            "key": progress.position.key,
            "state": progress.state,
            "listed": [listed.count, format_quantity(listed.value), listed.checksum],
        }
    )


def progress_of(text: str) -> Progress:
    """What `progress_text` wrote."""
    stored = json.loads(text)
    count, value, checksum = stored["listed"]
    return Progress(
        position=Position(utc_time(stored["at"]), stored["key"]),
        state=stored["state"],
        listed=Quarter(count, Decimal(value), checksum),
    )
