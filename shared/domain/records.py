"""Stream records: events with what each of their meters reads, as they are folded."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from shared.domain.catalogue import Catalogue
from shared.domain.errors import MeterlineError, RatingError
from shared.domain.events import Measurement, UsageEvent, measure
from shared.domain.rating import MAX_TOTAL_QUANTITY


@dataclass(frozen=True, slots=True)
class Record:
    """One stream record: the event, what its meters read, and its place in its shard."""

    event: UsageEvent
    measurements: tuple[Measurement, ...]
    sequence: int


@contextmanager
def unratable() -> Iterator[None]:
    """Turns whatever a record's own computation raises into a reason to set that record aside."""
    try:
        yield
    except MeterlineError:
        raise
    except Exception as error:
        # The domain is pure, so it would fail again: a bug that one record meets must not hold
        # up the whole shard.
        raise RatingError(f"failed with {type(error).__name__}") from error


def measured(event: UsageEvent, sequence: int, catalogue: Catalogue) -> Record:
    """The event with what each of its meters reads.

    Raises: RatingError for what ingest cannot have stored.
    """
    if event.catalogue_version > catalogue.version:
        raise RatingError("the event names a catalogue version that does not exist")
    with unratable():
        meters = catalogue.meters_of(event.type, event.catalogue_version)
        read = (measure(event, meter) for meter in meters)
        measurements = tuple(m for m in read if m is not None)
        bounded = all(abs(m.quantity) < MAX_TOTAL_QUANTITY for m in measurements)
    if not bounded:
        raise RatingError("a quantity is out of bounds")
    return Record(event, measurements, sequence)
