"""Planted bugs in usage hours and the values that they keep."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from shared.domain import dimension_cap, folding, hour_writes, rating, usage_hours
from shared.services import aggregate, metering
from shared.services.changes import PutLateUsage
from tests.simulation.mutants.planting import Patch, mutant


@mutant
def hour_of_receipt() -> Sequence[Patch]:
    """Usage is kept under the quarter hour after its own."""
    right = hour_writes.hour_key

    def wrong(customer: str, measurement: Any, at: Any) -> Any:
        return right(customer, measurement, at + timedelta(minutes=15))

    return [(hour_writes, "hour_key", wrong)]


@mutant
def winner_by_arrival() -> Sequence[Patch]:
    """Of two quantities the one that came last is kept, whichever it is."""

    def wrong(a: Any, b: Any) -> Any:
        return a if b is None else b

    return [(usage_hours, "winner", wrong)]


@mutant
def values_left_out_of_the_hours_write() -> Sequence[Patch]:
    def wrong(values: Any, *_: Any) -> Any:
        return values

    return [(hour_writes, "_with_value", wrong)]


@mutant
def value_seen_in_one_quarter_of_a_day() -> Sequence[Patch]:
    """A value that is known of the day is not noted for another quarter of it."""
    right = hour_writes._with_value

    def wrong(values: Any, seen: Any, hour: Any, record: Any, measurement: Any) -> Any:
        everywhere = dict.fromkeys(seen, frozenset(range(96)))
        return right(values, everywhere, hour, record, measurement)

    return [(hour_writes, "_with_value", wrong)]


@mutant
def claims_left_out_of_the_accounts_write() -> Sequence[Patch]:
    """A distinct value is billed again by every batch that brings it."""

    def wrong(step: Any) -> Any:
        return [PutLateUsage(late) for late in step.late]

    return [(aggregate, "beside", wrong)]


@mutant
def values_counted_with_every_usage() -> Sequence[Patch]:
    return [(folding, "counted_before", lambda measurement: measurement)]


@mutant
def maxima_summed() -> Sequence[Patch]:
    def wrong(value: Any, measurement: Any) -> Any:
        return value + measurement.quantity

    return [(rating, "value_with", wrong)]


@mutant
def registers_not_kept() -> Sequence[Patch]:
    """Each batch has its own idea of which groups were first."""

    def wrong(store: Any, hours: Any) -> Any:
        asked: dict[Any, list[Any]] = {}
        for hour in hours:
            asked.setdefault(dimension_cap.register_key(hour), []).append(hour)
        return {
            key: dimension_cap.newcomers(frozenset(), [h for h in mine if h.dimensions])
            for key, mine in asked.items()
        }

    return [(metering, "_registered", wrong)]
