"""Portal tokens: signed, short-lived, and good for reading one customer."""

import re
from datetime import datetime, timedelta

import jwt

from shared.services.store import Clock

ALGORITHM = "HS256"
AUDIENCE = "portal"

_FORM = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class PortalTokens:
    """Issues and checks tokens. `signing_key` is secret."""

    def __init__(self, signing_key: bytes, clock: Clock) -> None:
        self._signing_key = signing_key
        self._clock = clock

    def issue(self, customer: str, lifetime: timedelta) -> tuple[str, datetime]:
        """A token for the customer, and when it expires (whole seconds)."""
        expires_at = (self._clock.now() + lifetime).replace(microsecond=0)
        claims = {"aud": AUDIENCE, "customer": customer, "exp": expires_at}
        return jwt.encode(claims, self._signing_key, algorithm=ALGORITHM), expires_at

    def customer(self, token: str) -> str | None:
        """The customer of a valid token, or None.

        The algorithm is ours to say, never the token's: `alg: none` is no signature.
        """
        if not _FORM.fullmatch(token):
            return None
        try:
            claims = jwt.decode(
                token,
                self._signing_key,
                algorithms=[ALGORITHM],
                audience=AUDIENCE,
                options={"require": ["aud", "customer", "exp"]},
            )
        except jwt.InvalidTokenError:
            return None
        customer = claims["customer"]
        return customer if isinstance(customer, str) and customer else None
