"""HTTP by httpx: requests out, answers or failures in."""

import gzip
from collections.abc import Mapping
from typing import TypedDict
from urllib.parse import quote

import httpx

from meterline_client._exchange import Answer, Request

GZIP_FROM_BYTES = 1024
USER_AGENT = "meterline-client-python/0.1.0"


class Body(TypedDict):
    """A body and the headers that describe it."""

    body: bytes
    headers: Mapping[str, str]


def packed(content: bytes, **headers: str) -> Body:
    """JSON as it travels: compressed when it is worth it, at the level that costs the least."""
    headers["Content-Type"] = "application/json"
    if len(content) < GZIP_FROM_BYTES:
        return {"body": content, "headers": headers}
    headers["Content-Encoding"] = "gzip"
    return {"body": gzip.compress(content, compresslevel=1, mtime=0), "headers": headers}


def path(template: str, **parts: str) -> str:
    """A path with its parts percent-encoded: path("/v1/customers/{key}", key="a b")."""
    return template.format_map({name: quote(part, safe="") for name, part in parts.items()})


def settings(url: str, api_key: str, timeout_seconds: float) -> dict[str, object]:
    """What both of httpx's clients are made with."""
    return {
        "base_url": httpx.URL(url),
        "headers": {
            "Authorization": f"Bearer {api_key}",
            "Accept": "application/json",
            "User-Agent": USER_AGENT,
        },
        "timeout": timeout_seconds,
    }


def arguments(request: Request) -> dict[str, object]:
    """What both of httpx's clients send the request with."""
    return {
        "method": request.method,
        "url": request.path,
        "params": request.query or None,
        "headers": request.headers,
        "content": request.body,
    }


def answer(response: httpx.Response) -> Answer:
    """The response, read whole."""
    return Answer(response.status_code, response.headers, response.content)


def failure(error: Exception) -> Answer:
    """No response, and why."""
    return Answer(None, failure=f"{type(error).__name__}: {error}".rstrip(": "))
