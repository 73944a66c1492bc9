"""What a key's limit of requests does to a request: nothing, or 429."""

import logging

from functions._metrics import count
from shared.domain.errors import UnavailableError
from shared.services.rate_limiting import RateLimiter, TooManyRequestsError

# Before the id of the key that asked for the session.
SESSION_PREFIX = "session:"

logger = logging.getLogger("meterline")


def admit(principal: str, limit: int, limiter: RateLimiter) -> None:
    """Count the request against the limit of the caller's key, which its sessions share.

    A counter that cannot be written lets the request through: usage that is not taken in is lost
    money, a limit that is not kept for a while is not.
    Raises: TooManyRequestsError.
    """
    key_id = principal.removeprefix(SESSION_PREFIX)
    try:
        limiter.admit(key_id, limit)
    except TooManyRequestsError:
        logger.warning("key %s is over its limit of %d requests per minute", key_id, limit)
        count("rate_limits", {"RequestsOverLimit": 1})
        raise
    except UnavailableError:
        logger.warning("a request of key %s was let through uncounted", key_id, exc_info=True)
        count("rate_limits", {"RequestsNotCounted": 1})
