"""Backfill: usage of a meter from before it was made, counted from the raw events.

A meter counts live the events stamped with its catalogue version or a later one; its backfill
counts those stamped earlier, and the two never meet. Backfilled usage stands in usage hours of its
own: whoever computes one of them, however often, puts the same. It is usage only, never money.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.domain.catalogue import Meter
from shared.domain.dimension_cap import RegisterKey, newcomers, placed, register_key
from shared.domain.distinct import Seen, ValueKey, sighting
from shared.domain.events import Measurement, UsageEvent, measure
from shared.domain.kept_values import KeptValues
from shared.domain.quarters import QUARTER
from shared.domain.usage_hours import HourKey, Quarter, UsageHour, hour_key

BackfillState = Literal["running", "finished", "stopped"]

# The time of an event, and what the meter reads of it.
Reading = tuple[datetime, Measurement]


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

    def state(self, meter: Meter) -> BackfillState:
        """Where it stands. A meter that is archived meanwhile stops it for good."""
        if self.finished:
            return "finished"
        return "running" if meter.archived_since is None else "stopped"


@dataclass(frozen=True, slots=True)
class BackfilledHour:
    """A backfilled usage hour, and the quarters that its distinct values were seen in.

    `gone` are quarters in which only events had a value that were taken back.
    """

    hour: UsageHour
    values: Seen
    gone: Seen


def backfilled_hours(meter: Meter, events: Iterable[UsageEvent]) -> list[BackfilledHour]:
    """What the events that are from before the meter come to. They are all of their hours.

    The cap on dimension values holds for history by itself, whatever is counted live. What was
    taken back leaves an hour of nothing, which replaces the hour that had it.
    """
    found: dict[HourKey, list[Reading]] = {}
    for event in events:
        if event.type != meter.event_type or event.catalogue_version >= meter.since:
            continue
        measurement = measure(event, meter)
        if measurement is not None:
            key = hour_key(event.customer, measurement, event.occurred_at)
            found.setdefault(key, []).append((event.occurred_at, measurement))
    groups: dict[RegisterKey, list[HourKey]] = {}
    for key in sorted(found, key=lambda key: key.dimensions):
        groups.setdefault(register_key(key), []).append(key)
    registers = {register: newcomers(frozenset(), keys) for register, keys in groups.items()}
    readings: dict[HourKey, list[Reading]] = {}
    for key, counted in found.items():
        place = placed(key, registers)._replace(backfilled=True)
        readings.setdefault(place, []).extend(counted)
    return [_counted(place, own) for place, own in readings.items()]


def _counted(place: HourKey, readings: Sequence[Reading]) -> BackfilledHour:
    """What the readings of one hour come to, quarter by quarter."""
    quarters = []
    values: dict[ValueKey, frozenset[int]] = {}
    gone: dict[ValueKey, frozenset[int]] = {}
    for start in (place.hour + number * QUARTER for number in range(4)):
        own = [m for at, m in readings if start <= at < start + QUARTER]
        kept = KeptValues()
        kept.add(own)
        total = Quarter()
        for measurement in own:
            total = total.plus(measurement)
        quarters.append(replace(total, mark=kept.mark))
        for value in {m.distinct for m in own if m.distinct is not None}:
            seen = sighting(place, start, value)
            where = values if value in kept.values else gone
            where[seen.key] = where.get(seen.key, frozenset()) | seen.quarters
    first, second, third, fourth = quarters
    return BackfilledHour(UsageHour(place, (first, second, third, fourth)), values, gone)


def events_in(hours: Iterable[UsageHour]) -> int:
    """How many events the usage hours count."""
    return sum(quarter.count for hour in hours for quarter in hour.quarters)
