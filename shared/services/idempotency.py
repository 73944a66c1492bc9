"""Money writes happen once: the caller's Idempotency-Key is stored together with what it did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shared.domain.errors import (
    ConflictError,
    MeterlineError,
    UnavailableError,
    VersionConflictError,
)
from shared.services.changes import Change, PutIdempotencyKey
from shared.services.store import BillingStore, StoredAnswer

# Races are lost to metering, which writes an account a few times a second at most.
MAX_ATTEMPTS = 16


class IdempotencyKeyReusedError(ConflictError):
    """The key was used for another request (409)."""

    code = "idempotency-key-reused"


@dataclass(frozen=True, slots=True)
class MoneyWrite:
    """One request to change a customer's money: whose, by whom, under which key.

    `request_hash` stands for the operation and its body: repeats have the same one.
    """

    customer: str
    actor: str
    key: str
    request_hash: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What a money write comes to: the changes, and the answer as JSON text."""

    changes: Sequence[Change]
    answer: str
    status: int = 200


def commit_once(
    store: BillingStore, write: MoneyWrite, decide: Callable[[], Decision]
) -> StoredAnswer:
    """Commits what `decide` says together with the key, or repeats what the key was answered.

    `decide` reads and computes; it is asked anew whenever another writer was faster.
    Raises: IdempotencyKeyReusedError, UnavailableError, and what `decide` raises.
    """
    for _ in range(MAX_ATTEMPTS):
        earlier = store.idempotent_answer(write.customer, write.key)
        if earlier is not None:
            if earlier.body_hash != write.request_hash:
                raise IdempotencyKeyReusedError("The Idempotency-Key came with another request.")
            return earlier
        try:
            decision = decide()
            answer = StoredAnswer(write.request_hash, decision.status, decision.answer)
            kept = PutIdempotencyKey(
                write.customer, write.key, answer.body_hash, answer.status, answer.answer
            )
            store.commit([*decision.changes, kept])
        except VersionConflictError:
            continue
        except MeterlineError:
            # Sent twice at once, one is refused for what the other did: both get its answer.
            if store.idempotent_answer(write.customer, write.key) is None:
                raise
            continue
        return answer
    raise UnavailableError("the account is being changed by others: send again")
