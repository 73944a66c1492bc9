"""Backfill: usage of a meter from before it was made, counted from the raw events.

A meter counts live the events stamped with its catalogue version or a later one; its backfill
counts those stamped earlier, and the two never meet. Backfilled usage stands in usage hours of its
own: whoever computes one of them, however often, puts the same. It is usage only, never money.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from shared.domain.catalogue import Meter
from shared.domain.corrections import effective_events
from shared.domain.dimension_cap import RegisterKey, newcomers, placed, register_key
from shared.domain.distinct import Seen, sighting
from shared.domain.events import Measurement, UsageEvent, measure, reversible
from shared.domain.usage_hours import QUARTER, HourKey, UsageHour, hour_key


@dataclass(frozen=True, slots=True)
class Backfill:
    """One backfill of a meter. `start` None: from the first event on; it is on a full hour.

    `run` grows with each time that it is ordered anew. `customers` is how many there are, once they
    have been listed; `done` how many of them are finished, with so many events of the meter.
    """

    meter: str
    run: int
    start: datetime | None
    requested_at: datetime
    actor: str
    customers: int | None = None
    done: int = 0
    events: int = 0

    @property
    def finished(self) -> bool:
        """Whether all of history has been counted."""
        return self.customers is not None and self.done >= self.customers


@dataclass(frozen=True, slots=True)
class BackfilledHour:
    """A backfilled usage hour, and the quarters that its distinct values were seen in."""

    hour: UsageHour
    values: Seen


def backfilled_hours(meter: Meter, events: Iterable[UsageEvent]) -> list[BackfilledHour]:
    """What the events that are from before the meter come to. They are all of their hours.

    The cap on dimension values holds for history by itself, whatever is counted live. What was
    taken back leaves an hour of nothing, which replaces the hour that had it.
    """
    found: dict[HourKey, list[tuple[UsageEvent, Measurement]]] = {}
    for event in events if reversible(meter) else effective_events(events):
        if event.type != meter.event_type or event.catalogue_version >= meter.since:
            continue
        measurement = measure(event, meter)
        if measurement is not None:
            key = hour_key(event.customer, measurement, event.occurred_at)
            found.setdefault(key, []).append((event, measurement))
    groups: dict[RegisterKey, list[HourKey]] = {}
    for key in sorted(found, key=lambda key: key.dimensions):
        groups.setdefault(register_key(key), []).append(key)
    registers = {register: newcomers(frozenset(), keys) for register, keys in groups.items()}
    hours: dict[HourKey, BackfilledHour] = {}
    for key, counted in found.items():
        place = replace(placed(key, registers), backfilled=True)
        hour = hours.get(place, BackfilledHour(UsageHour(place), {}))
        for event, measurement in counted:
            hour = _added(hour, event, measurement)
        hours[place] = hour
    return list(hours.values())


def _added(kept: BackfilledHour, event: UsageEvent, measurement: Measurement) -> BackfilledHour:
    quarters = list(kept.hour.quarters)
    index = (event.occurred_at - kept.hour.key.hour) // QUARTER
    quarters[index] = quarters[index].plus(measurement)
    first, second, third, fourth = quarters
    values = kept.values
    if measurement.distinct is not None:
        seen = sighting(kept.hour.key, event.occurred_at, measurement.distinct)
        values = {**values, seen.key: values.get(seen.key, frozenset()) | seen.quarters}
    return BackfilledHour(replace(kept.hour, quarters=(first, second, third, fourth)), values)


def events_in(hours: Iterable[UsageHour]) -> int:
    """How many events the usage hours count."""
    return sum(quarter.count for hour in hours for quarter in hour.quarters)
