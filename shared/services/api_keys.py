"""API keys: `ml_<stage>_<id>_<secret>`, shown once, kept as a keyed hash."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from shared.domain.errors import InvalidError, Problem
from shared.services.rate_limiting import MAX_RATE_LIMIT
from shared.services.store import Clock

SCOPES = ("admin", "ingest", "read")
ID_BYTES = 8
SECRET_BYTES = 24

_FORM = re.compile(r"ml_([a-z0-9-]{1,32})_([0-9a-f]{16})_[0-9a-f]{48}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What is kept of a key. `digest` is the keyed hash of its whole text.

    `rate_limit` is how many requests per minute are taken from whoever holds it; None is no limit.
    """

    id: str
    name: str
    scopes: frozenset[str]
    digest: bytes
    created_at: datetime
    revoked_at: datetime | None = None
    rate_limit: int | None = None


class ApiKeyStore(Protocol):
    """Where keys are kept. Reads are consistent, so that a revocation holds at once."""

    def get(self, key_id: str) -> ApiKey | None:
        """The key, or None."""

    def put_new(self, key: ApiKey) -> None:
        """Keeps a new key."""

    def revoke(self, key_id: str, at: datetime) -> None:
        """Revokes the key; a key revoked before keeps its first time.

        Raises: NotFoundError.
        """

    def set_rate_limit(self, key_id: str, rate_limit: int | None) -> None:
        """Gives the key this limit in place of the one it has; None takes it away.

        Raises: NotFoundError.
        """

    def all(self) -> Sequence[ApiKey]:
        """Every key, by id."""


class ApiKeys:
    """Makes, checks and revokes the keys of one stage. `hash_key` is secret."""

    def __init__(self, store: ApiKeyStore, hash_key: bytes, stage: str, clock: Clock) -> None:
        self._store = store
        self._hash_key = hash_key
        self._stage = stage
        self._clock = clock

    def create(self, scopes: Sequence[str], name: str = "", rate_limit: int | None = None) -> str:
        """The text of a new key: the only time that it is seen.

        Raises: InvalidError (a limit out of bounds).
        """
        _check(rate_limit)
        key_id = secrets.token_hex(ID_BYTES)
        text = f"ml_{self._stage}_{key_id}_{secrets.token_hex(SECRET_BYTES)}"
        digest, now = self._digest(text), self._clock.now()
        key = ApiKey(key_id, name, frozenset(scopes), digest, now, rate_limit=rate_limit)
        self._store.put_new(key)
        return text

    def authenticate(self, text: str) -> ApiKey | None:
        """The key that the text is, unless it is unknown, altered, revoked or of another stage."""
        form = _FORM.fullmatch(text)
        if form is None or form[1] != self._stage:
            return None
        key = self.valid(form[2])
        if key is None:
            return None
        return key if hmac.compare_digest(key.digest, self._digest(text)) else None

    def valid(self, key_id: str) -> ApiKey | None:
        """The key, unless it is unknown or revoked: for whoever has proven to speak for it."""
        key = self._store.get(key_id)
        return None if key is None or key.revoked_at is not None else key

    def revoke(self, key_id: str) -> None:
        """From now on the key is refused.

        Raises: NotFoundError.
        """
        self._store.revoke(key_id, self._clock.now())

    def limit(self, key_id: str, rate_limit: int | None) -> None:
        """From the next minute on at the latest the key may send so many requests in each.

        None is no limit.
        Raises: NotFoundError, InvalidError.
        """
        _check(rate_limit)
        self._store.set_rate_limit(key_id, rate_limit)

    def all(self) -> Sequence[ApiKey]:
        """Every key ever made, by id."""
        return self._store.all()

    def _digest(self, text: str) -> bytes:
        return hmac.digest(self._hash_key, text.encode(), hashlib.sha256)


def _check(rate_limit: int | None) -> None:
    if rate_limit is not None and not 1 <= rate_limit <= MAX_RATE_LIMIT:
        detail = f"A key's limit is 1 to {MAX_RATE_LIMIT} requests per minute."
        raise InvalidError(detail, [Problem("/rate_limit", "out-of-range")])
