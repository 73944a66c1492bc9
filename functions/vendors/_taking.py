"""Vendors' events taken in: pointers of refusals are in the sender's own words."""

from collections.abc import Mapping, Sequence

from functions._ingesting import refusal, take
from functions._runtime import Runtime
from shared.domain.errors import InvalidError
from shared.services.ingest import IngestResult, Submission
from shared.wire.vendors.common import renamed


def take_foreign(
    runtime: Runtime, submissions: Sequence[Submission], fields: Mapping[str, str]
) -> IngestResult:
    """What became of each event. `fields`: their names for parts of our pointers.

    Raises: InvalidError, UnavailableError.
    """
    try:
        return take(runtime, submissions)
    except InvalidError as error:
        raise renamed(error, fields) from None


def store_foreign(
    runtime: Runtime, submissions: Sequence[Submission], fields: Mapping[str, str]
) -> IngestResult:
    """Like `take_foreign`, where anything but storing, or having stored, each event is an error.

    Raises: InvalidError, UnavailableError, ConflictError.
    """
    result = take_foreign(runtime, submissions, fields)
    error = refusal(result, submissions)
    if error is not None:
        raise error
    return result
