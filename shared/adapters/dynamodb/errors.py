"""What DynamoDB's refusals mean: try again, a lost race, or a bug."""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from botocore.exceptions import ClientError, HTTPClientError

from shared.domain.errors import UnavailableError, VersionConflictError

T = TypeVar("T")

MAX_ATTEMPTS = 6
BASE_DELAY_SECONDS = 0.05
MAX_DELAY_SECONDS = 1.0

CONDITION_FAILED = "ConditionalCheckFailed"
# Refusals that say nothing about the request. botocore itself retries the throttles (a few
# times) but never a conflict between transactions. PartiQL leaves "Exception" off the names.
TRANSIENT_CODES = frozenset(
    {
        "InternalServerError",
        "ProvisionedThroughputExceeded",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingError",
        "TransactionConflict",
        "TransactionInProgress",
    }
)


class ConditionFailedError(VersionConflictError):
    """A condition did not hold; it may be one's own write whose reply was lost.

    `codes` has one cancellation code per item of the transaction ("None" where it was fine), and
    `items` what stood there instead, where it was asked for (ReturnValuesOnConditionCheckFailure).
    """

    def __init__(self, codes: Sequence[str], items: Sequence[Mapping[str, Any] | None]) -> None:
        super().__init__("The stored state is not the one expected.")
        self.codes = tuple(codes)
        self.items = tuple(items)


def is_transient(code: str) -> bool:
    """Whether the same request may succeed a moment later."""
    return code.removesuffix("Exception") in TRANSIENT_CODES


def delay_seconds(attempt: int) -> float:
    """How long to wait after this failed attempt (from 0): exponential with full jitter."""
    ceiling: float = min(MAX_DELAY_SECONDS, BASE_DELAY_SECONDS * 2**attempt)
    return random.uniform(0, ceiling)  # noqa: S311  # Jitter needs no secrecy.


def retrying(call: Callable[[], T], attempts: int = MAX_ATTEMPTS) -> T:
    """The call's result; transient failures are retried with jitter, a bounded number of times.

    A call that timed out may have taken effect: a write must be conditional.
    Raises: ConditionFailedError; UnavailableError after the last attempt; any other ClientError
    is a bug and passes through.
    """
    for attempt in range(attempts):
        if attempt:
            time.sleep(delay_seconds(attempt - 1))
        try:
            return call()
        except HTTPClientError:
            continue
        except ClientError as error:
            _raise_unless_transient(error)
    raise UnavailableError("The database is out of reach or overloaded; send the request again.")


def _raise_unless_transient(error: ClientError) -> None:
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        item: Any = error.response.get("Item")
        raise ConditionFailedError((CONDITION_FAILED,), (item,)) from error
    if code == "TransactionCanceledException":
        reasons: Any = error.response.get("CancellationReasons", [])
        codes = [reason.get("Code", "None") for reason in reasons]
        if CONDITION_FAILED in codes:
            items = [reason.get("Item") for reason in reasons]
            raise ConditionFailedError(codes, items) from error
        failed = [c for c in codes if c != "None"]
        if failed and all(map(is_transient, failed)):
            return
    if not is_transient(code):
        raise error
