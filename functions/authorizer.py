"""Who is calling: resolves the credential, and lets the functions answer 401 and 403 themselves.

An HTTP API can only answer a denial with its own 403, so nobody is denied here: a caller without a
valid credential goes on as nobody.
"""

from collections.abc import Mapping
from typing import Any

from functions._rate_limits import SESSION_PREFIX
from functions._runtime import Runtime, runtime
from shared.services.api_keys import ApiKey

ANONYMOUS = {"principal": "", "scopes": "", "customer": ""}


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    """HTTP API authorizer, payload 2.0, simple response."""
    text = credential(event.get("headers") or {})
    return {"isAuthorized": True, "context": resolve(text, runtime()) if text else ANONYMOUS}


def credential(headers: Mapping[str, str]) -> str | None:
    """The one credential of the request; None where there is none, or more than one.

    API Gateway joins repeated headers by a comma, which no credential holds.
    """
    named = {name.lower(): value.strip() for name, value in headers.items()}
    found = set()
    if "authorization" in named:
        scheme, _, text = named["authorization"].partition(" ")
        found.add(text.strip() if scheme.lower() == "bearer" else "")
    if "x-api-key" in named:
        found.add(named["x-api-key"])
    return found.pop() or None if len(found) == 1 else None


def resolve(text: str, runtime: Runtime) -> dict[str, str]:
    """The caller's context. An API key and a token cannot look alike."""
    if text.startswith("ml_"):
        key = runtime.api_keys.authenticate(text)
        if key is not None:
            return _caller(key, key.id, ",".join(sorted(key.scopes)))
    elif (customer := runtime.portal_tokens.customer(text)) is not None:
        return {"principal": "portal", "scopes": "portal", "customer": customer}
    elif (key_id := runtime.session_tokens.key_id(text)) is not None:
        key = runtime.api_keys.valid(key_id)
        if key is not None:
            return _caller(key, f"{SESSION_PREFIX}{key.id}", "ingest")
    return ANONYMOUS


def _caller(key: ApiKey, principal: str, scopes: str) -> dict[str, str]:
    """The context of a caller with this key; its limit is there only where it has one."""
    caller = {"principal": principal, "scopes": scopes, "customer": ""}
    return caller if key.rate_limit is None else {**caller, "rate_limit": str(key.rate_limit)}
