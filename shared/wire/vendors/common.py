"""What the vendors' formats share: instants since the epoch, batches, foreign names for fields."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict
from pydantic.alias_generators import to_camel

from shared.domain.errors import InvalidError, Problem
from shared.domain.money import EXACT
from shared.domain.quarters import QUARTER
from shared.domain.usage_windows import on_quarter
from shared.wire.common import EARLIEST, LATEST, TooLargeError, WireModel, exact_decimal, refuse

MICROSECONDS = 10**6
LATEST_SECONDS = (LATEST - EARLIEST) // timedelta(seconds=1)


class CamelModel(WireModel):
    """A JSON object whose members are named inCamelCase."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


def _since_epoch(per_second: int) -> Callable[[object], object]:
    def read(value: object) -> object:
        if value is None or isinstance(value, datetime):
            return value
        number = exact_decimal(value)
        if not 0 <= number < LATEST_SECONDS * per_second:
            raise refuse("time-out-of-range")
        microseconds = int(EXACT.multiply(number, MICROSECONDS // per_second))
        return EARLIEST + timedelta(microseconds=microseconds)

    return read


# Numbers or texts of digits; digits below the microsecond are cut off.
EpochSeconds = Annotated[datetime, BeforeValidator(_since_epoch(1))]
EpochMillis = Annotated[datetime, BeforeValidator(_since_epoch(1000))]


def epoch_seconds(instant: datetime) -> int:
    """Whole seconds since 1970, as vendors answer."""
    return (instant - EARLIEST) // timedelta(seconds=1)


def quarter_before(instant: datetime) -> datetime:
    """The last quarter hour that is not after the instant: usage is kept by these."""
    return instant.replace(minute=instant.minute - instant.minute % 15, second=0, microsecond=0)


def quarter_after(instant: datetime) -> datetime:
    """The first quarter hour that is not before the instant."""
    return instant if on_quarter(instant) else quarter_before(instant) + QUARTER


def at_most(limit: int) -> Callable[[object], object]:
    """A validator that refuses a longer list before any of its items is looked at.

    Raises: TooLargeError.
    """

    def check(value: object) -> object:
        if isinstance(value, list) and len(value) > limit:
            raise TooLargeError(f"A request carries at most {limit} events.")
        return value

    return check


def renamed(error: InvalidError, fields: Mapping[str, str]) -> InvalidError:
    """The refusal with pointers in the sender's names for what we call `/data`, `/time` and so on.

    `fields` maps parts of our pointers to theirs; the first one that is found is replaced.
    """
    problems = [Problem(_renamed(p.pointer, fields), p.code) for p in error.problems]
    return InvalidError(error.detail, problems)


def _renamed(pointer: str, fields: Mapping[str, str]) -> str:
    for ours, theirs in fields.items():
        head, found, tail = pointer.partition(ours)
        if found:
            return head + theirs + tail
    return pointer
