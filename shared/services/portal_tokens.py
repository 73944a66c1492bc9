"""Signed, short-lived tokens: a customer's for the portal, and a key's for a session of ingest."""

import re
from datetime import datetime, timedelta
from typing import ClassVar

import jwt

from shared.services.store import Clock

ALGORITHM = "HS256"

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class _Tokens:
    """Issues and checks tokens about one subject. `signing_key` is secret."""

    audience: ClassVar[str]
    subject: ClassVar[str]  # the claim that names it

    def __init__(self, signing_key: bytes, clock: Clock) -> None:
        self._signing_key = signing_key
        self._clock = clock

    def issue(self, subject: str, lifetime: timedelta) -> tuple[str, datetime]:
        """A token for the subject, and when it expires (whole seconds)."""
        expires_at = (self._clock.now() + lifetime).replace(microsecond=0)
        claims = {"aud": self.audience, self.subject: subject, "exp": expires_at}
        return jwt.encode(claims, self._signing_key, algorithm=ALGORITHM), expires_at

    def _subject_of(self, token: str) -> str | None:
        """The subject of a valid token, or None.

        The algorithm is ours to say, never the token's: `alg: none` is no signature.
        """
        if not _FORM.fullmatch(token):
            return None
        try:
            claims = jwt.decode(
                token,
                self._signing_key,
                algorithms=[ALGORITHM],
                audience=self.audience,
                options={"require": ["aud", self.subject, "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        subject = claims[self.subject]
        return subject if isinstance(subject, str) and subject else None


class PortalTokens(_Tokens):
    """Good for reading one customer."""

    audience = "portal"
    subject = "customer"

    def customer(self, token: str) -> str | None:
        """The customer of a valid token, or None."""
        return self._subject_of(token)


class SessionTokens(_Tokens):
    """Good for sending events, as long as the key that asked for the session is."""

    audience = "ingest"
    subject = "key"

    def key_id(self, token: str) -> str | None:
        """The id of the key behind a valid token, or None."""
        return self._subject_of(token)
