"""Proving an invoice line: which raw events it counts, told from the invoice document alone.

The document says what the line's meter reads, of which events, and in which span; what became of
single events (late, or in quarantine) is told beside them. Whoever holds the document and the raw
events can recount the line and compare it with what was frozen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from shared.domain.catalogue import Meter, Rate
from shared.domain.errors import ConflictError
from shared.domain.events import Measurement, UsageEvent, measure, utc_time
from shared.domain.money import to_nanos
from shared.domain.prices import Price, price_of
from shared.domain.usage_hours import Quarter

Document = Mapping[str, Any]


class UnprovableError(ConflictError):
    """The document does not say which events the line counts, or says it in no known form."""

    code = "unprovable"


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of an event that is not simply counted in its own period.

    `late_phase` is the closed phase that it came too late for, `late_period` the billing period
    that it is billed with instead.
    """

    quarantined: bool = False
    late_phase: int | None = None
    late_period: int | None = None


COUNTED = Fate()


@dataclass(frozen=True, slots=True)
class UsageLine:
    """A usage line as the document tells it. `until` bounds the events' catalogue versions.

    `before` is what late usage continues: what was billed of the same totals before. Where the
    price is by event, `event_amounts` are what the events of the line, and those before, came to.
    """

    customer: str
    number: int
    period: int
    phase: int
    start: datetime
    end: datetime
    late: bool
    meter: Meter
    until: int
    where: Mapping[str, str]
    where_not: tuple[Mapping[str, str], ...]
    frozen: Quarter
    before: Quarter
    price: Price | None
    event_amounts: tuple[int, int]

    def measure(self, event: UsageEvent) -> Measurement | None:
        """What the event adds to the totals that the line is of, if it is one of their events."""
        own_time = event.occurred_at < self.end and (
            self.phase == 1 or event.occurred_at >= self.start
        )
        stamped = self.meter.since <= event.catalogue_version < self.until
        mine = event.customer == self.customer and event.type == self.meter.event_type
        if not (own_time and stamped and mine):
            return None
        measurement = measure(event, self.meter)
        if measurement is None or not self._takes(measurement):
            return None
        return measurement

    def _takes(self, measurement: Measurement) -> bool:
        """Whether the line's rate card is the first that matches."""

        def matches(where: Mapping[str, str]) -> bool:
            card = Rate(self.meter.key, None, "", where)
            return card.matches(measurement.meter, measurement.dimensions)

        return matches(self.where) and not any(map(matches, self.where_not))

    def counts(self, fate: Fate) -> bool:
        """Whether the line itself counts an event of its totals that this became of."""
        if fate.quarantined:
            return False
        if self.late:
            return (fate.late_phase, fate.late_period) == (self.phase, self.period)
        return fate.late_phase is None

    def counts_before(self, fate: Fate) -> bool:
        """Whether the event was billed of the same totals before this line of late usage."""
        if fate.quarantined or not self.late:
            return False
        return fate.late_period is None or fate.late_period < self.period


def usage_line(document: Document, number: int) -> UsageLine | None:
    """The line of the invoice with this number; None if it is not one of usage.

    Raises: UnprovableError, also where there is no such line.
    """
    try:
        line = next(each for each in document["lines"] if each["n"] == number)
        return _usage_line(document, line) if line["type"] == "usage" else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise UnprovableError(f"line {number} does not say which events it counts") from error
    except StopIteration:
        raise UnprovableError(f"there is no line {number}") from None


def tally(document: Mapping[str, Any]) -> Quarter:
    """The count, sum and checksum that the document states."""
    return Quarter(
        int(document["count"]), Decimal(document["sum"]), int(document["checksum"], base=16)
    )


def _amounts(tally: Mapping[str, Any]) -> int:
    return to_nanos(Decimal(tally.get("amounts", 0)))


def _usage_line(document: Document, line: Document) -> UsageLine:
    counts = line["counts"]
    meter = Meter(
        key=line["meter"],
        event_type=counts["event_type"],
        aggregation=counts["aggregation"],
        value=counts["value"],
        dimensions=tuple(counts["dimensions"]),
        filter={name: tuple(values) for name, values in counts["filter"].items()},
        since=int(counts["catalogue"]["since"]),
    )
    return UsageLine(
        customer=document["customer"],
        number=line["n"],
        period=int(document["period_number"]),
        phase=int(line["phase"]),
        start=utc_time(line["service_period"]["start"]),
        end=utc_time(line["service_period"]["end"]),
        late=bool(line["late"]),
        meter=meter,
        until=int(counts["catalogue"]["until"]),
        where=dict(line["where"]),
        where_not=tuple(map(dict, counts["where_not"])),
        frozen=tally(line["events"]),
        before=tally(line["before"]) if line["late"] else Quarter(),
        price=price_of(line["price"]) if line["price"] else None,
        event_amounts=(_amounts(line["events"]), _amounts(line.get("before", {}))),
    )
