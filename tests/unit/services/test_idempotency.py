"""Money writes happen once under their key."""

from collections.abc import Sequence
from typing import Any

import pytest

from shared.domain.errors import InvalidError, UnavailableError, VersionConflictError
from shared.services.changes import Change, PutIdempotencyKey
from shared.services.idempotency import (
    MAX_ATTEMPTS,
    Decision,
    IdempotencyKeyReusedError,
    MoneyWrite,
    commit_once,
)
from shared.services.store import StoredAnswer

WRITE = MoneyWrite("ada", "key-1", "k", "hash")


class Keys:
    """A store of idempotency keys only; `losses` commits are lost to others first."""

    def __init__(self, losses: int = 0) -> None:
        self.answers: dict[tuple[str, str], StoredAnswer] = {}
        self.losses = losses

    def idempotent_answer(self, customer: str, key: str) -> StoredAnswer | None:
        return self.answers.get((customer, key))

    def commit(self, changes: Sequence[Change]) -> None:
        if self.losses:
            self.losses -= 1
            raise VersionConflictError
        for change in changes:
            assert isinstance(change, PutIdempotencyKey)
            answer = StoredAnswer(change.body_hash, change.status, change.answer)
            self.answers[change.customer, change.key] = answer


def once(keys: Any, write: MoneyWrite, answers: list[str]) -> StoredAnswer:
    return commit_once(keys, write, lambda: Decision([], answers.pop(0), 201))


def test_a_repeat_gets_the_first_answer() -> None:
    keys = Keys()
    first = once(keys, WRITE, ["one"])
    assert (first.status, first.answer) == (201, "one")
    assert once(keys, WRITE, []) == first


def test_another_request_under_the_key_is_refused() -> None:
    keys = Keys()
    once(keys, WRITE, ["one"])
    with pytest.raises(IdempotencyKeyReusedError):
        once(keys, MoneyWrite("ada", "key-1", "k", "other"), [])


def test_keys_are_the_customers_own() -> None:
    keys = Keys()
    once(keys, WRITE, ["one"])
    assert once(keys, MoneyWrite("bob", "key-1", "k", "hash"), ["two"]).answer == "two"


def test_a_lost_race_is_decided_anew() -> None:
    assert once(Keys(losses=2), WRITE, ["stale", "stale", "fresh"]).answer == "fresh"


def test_a_race_lost_to_a_repeat_gets_its_answer() -> None:
    keys = Keys()

    def decide() -> Decision:
        once(keys, WRITE, ["by the other"])
        raise VersionConflictError

    answer = commit_once(keys, WRITE, decide)  # type: ignore[arg-type]
    assert answer.answer == "by the other"


def test_too_many_lost_races_ask_to_be_sent_again() -> None:
    with pytest.raises(UnavailableError):
        once(Keys(losses=MAX_ATTEMPTS), WRITE, ["stale"] * MAX_ATTEMPTS)


def test_a_refusal_leaves_the_key_unused() -> None:
    keys = Keys()

    def refuse() -> Decision:
        raise InvalidError

    with pytest.raises(InvalidError):
        commit_once(keys, WRITE, refuse)  # type: ignore[arg-type]
    assert once(keys, WRITE, ["one"]).answer == "one"


def test_sent_twice_at_once_both_get_the_answer_of_the_first_done() -> None:
    keys: Any = Keys()

    def beaten() -> Decision:
        once(keys, WRITE, ["done"])
        raise InvalidError("It was done before.", [])

    assert commit_once(keys, WRITE, beaten).answer == "done"
