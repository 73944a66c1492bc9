"""API Gateway's events (HTTP API, payload 2.0) for tests, made from recorded ones."""

import base64
import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).parents[3] / "events"


def recorded(name: str) -> dict[str, Any]:
    """One of the recorded payloads."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    return event


HTTP_REQUEST = recorded("http_request")
AUTHORIZER_REQUEST = recorded("authorizer_request")


def api_event(
    method: str,
    path: str,
    body: object = None,
    *,
    query: str = "",
    scopes: str = "admin",
    customer: str = "",
    headers: Mapping[str, str] | None = None,
    principal: str = "9f86d081884c7d65",
    rate_limit: int = 0,
) -> dict[str, Any]:
    """A request whose caller the authorizer resolved (nobody if `scopes` is empty).

    `rate_limit` is that of the caller's key, 0 for none.
    `body` is text as it is, bytes (sent as base64, as the gateway does), or else made JSON.
    `headers` replace the recorded ones; an empty value takes a header away.
    """
    event = copy.deepcopy(HTTP_REQUEST)
    event["rawPath"], event["rawQueryString"] = path, query
    event["headers"] = {k: v for k, v in {**event["headers"], **(headers or {})}.items() if v}
    event["requestContext"]["http"] |= {"method": method, "path": path}
    caller = {"principal": principal if scopes else "", "scopes": scopes, "customer": customer}
    if rate_limit:
        caller["rate_limit"] = str(rate_limit)
    event["requestContext"]["authorizer"]["lambda"] = caller
    event["isBase64Encoded"] = isinstance(body, bytes)
    if isinstance(body, bytes):
        event["body"] = base64.b64encode(body).decode()
    elif isinstance(body, str):
        event["body"] = body
    elif body is None:
        del event["body"]
    else:
        event["body"] = json.dumps(body)
    return event
