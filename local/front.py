"""The front address: one stable URL before the emulator's HTTP API.

It passes requests on unchanged and does what API Gateway does and the emulator does not: size
limits, commas between repeated headers, and a plain 500 when an integration fails.
"""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import urllib3
from urllib3.util import SKIP_HEADER

MAXIMUM_BODY_BYTES = 10 * 1024 * 1024
MAXIMUM_HEADER_BYTES = 10_240
# The functions' own timeouts, which the emulator enforces, end before API Gateway's 30 seconds; on
# a busy machine the first start of a function may add to them.
# The longest that a function may run. API Gateway itself waits 30 seconds; advancing a test clock
# over many periods, which nobody does on a stage that bills, may take longer here.
INTEGRATION_TIMEOUT_SECONDS = 900.0
# More calls at a time would only start more function processes than a machine has use for.
CALLS_AT_A_TIME = 2 * (os.cpu_count() or 2)
# These concern one connection, never what passes over it (RFC 9110, 7.6.1).
HOP_BY_HOP = frozenset(
    (
        "connection",
        "content-length",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    )
)

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


class Front:
    """An ASGI application that stands before one HTTP API of the emulator."""

    def __init__(self, emulator_port: int, api_id: str) -> None:
        self._prefix = f"/_aws/execute-api/{api_id}/$default"
        self._pool = urllib3.HTTPConnectionPool(
            "127.0.0.1", emulator_port, maxsize=CALLS_AT_A_TIME, block=True, retries=False
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            status, headers, body = await self._answer(scope, receive)
            length = (b"content-length", str(len(body)).encode())
            start = {"status": status, "headers": [*headers, length]}
            await send({"type": "http.response.start", **start})
            await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, Headers, bytes]:
        if sum(len(name) + len(value) + 4 for name, value in scope["headers"]) > (
            MAXIMUM_HEADER_BYTES
        ):
            return _message(431, "Request Header Fields Too Large")
        body = await _read_body(receive)
        if body is None:
            return _message(413, "Request Entity Too Large")
        return await asyncio.to_thread(self._forward, scope, body)

    def _forward(self, scope: Scope, body: bytes) -> tuple[int, Headers, bytes]:
        raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
        # API Gateway's `/a/{proxy+}` takes `/a/` as well, the emulator's does not.
        target = self._prefix + (raw_path.decode("latin-1").rstrip("/") or "/")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        try:
            answer = self._pool.urlopen(
                scope["method"],
                target,
                body=body or None,
                headers=_joined(scope["headers"]),
                timeout=urllib3.Timeout(connect=5, read=INTEGRATION_TIMEOUT_SECONDS),
                redirect=False,
                decode_content=False,
            )
        except urllib3.exceptions.HTTPError:
            return _message(503, "Service Unavailable")
        headers = [
            (name.lower().encode("latin-1"), value.encode("latin-1"))
            for name, value in answer.headers.items()
            if name.lower() not in HOP_BY_HOP
        ]
        # The emulator reports a failed integration with 502 and the error's own text.
        if answer.status == 502 and not _is_problem(headers):
            return _message(500, "Internal Server Error")
        return answer.status, headers, answer.data


async def _read_body(receive: Receive) -> bytes | None:
    """The request's body; None as soon as it is larger than API Gateway takes."""
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return bytes(body)
        body += message.get("body", b"")
        if len(body) > MAXIMUM_BODY_BYTES:
            return None
        if not message.get("more_body"):
            return bytes(body)


def _joined(headers: Headers) -> dict[str, str]:
    """Repeated headers become one with commas between the values, as HTTP APIs deliver them.

    The scheme that the request came by is told in the header that they tell it in.
    """
    joined: dict[str, str] = {"user-agent": SKIP_HEADER, "accept-encoding": SKIP_HEADER}
    seen = set()
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name in HOP_BY_HOP:
            continue
        separator = "; " if name == "cookie" else ","
        joined[name] = f"{joined[name]}{separator}{value}" if name in seen else value
        seen.add(name)
    return {**joined, "x-forwarded-proto": "http"}


def _is_problem(headers: Headers) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"application/problem+json")
        for name, value in headers
    )


def _message(status: int, message: str) -> tuple[int, Headers, bytes]:
    body = json.dumps({"message": message}).encode()
    return status, [(b"content-type", b"application/json")], body
