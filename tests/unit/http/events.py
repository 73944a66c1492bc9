"""API Gateway events (HTTP API, payload 2.0) for tests."""

import json
from typing import Any


def api_event(
    method: str,
    path: str,
    body: object = None,
    *,
    query: str = "",
    scopes: str = "admin",
    customer: str = "",
    headers: dict[str, str] | None = None,
    base64: bool = False,
) -> dict[str, Any]:
    """A request whose caller the authorizer resolved; `body` is text as it is, or JSON-able."""
    text = body if isinstance(body, str) or body is None else json.dumps(body)
    sent = {"content-type": "application/json"} if text is not None else {}
    caller = {"principal": "key1" if scopes else "", "scopes": scopes, "customer": customer}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {**sent, "host": "api.example", **(headers or {})},
        "requestContext": {
            "http": {"method": method, "path": path, "protocol": "HTTP/1.1"},
            "requestId": "request-1",
            "stage": "$default",
            "authorizer": {"lambda": caller},
        },
        "body": text,
        "isBase64Encoded": base64,
    }
