"""The front enforces what API Gateway enforces and leaks nothing of the emulator."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from local.front import MAXIMUM_BODY_BYTES, MAXIMUM_HEADER_BYTES, Front

Answer = tuple[int, dict[bytes, bytes], bytes]


class Upstream(BaseHTTPRequestHandler):
    """Echoes a request's line, headers and body, or fails as the emulator does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, content_type = 200, "application/octet-stream"
        if body.startswith(b"fail"):
            status, body = 502, b'{"errorMessage": "a secret"}'
        elif body.startswith(b"problem"):
            status, content_type = 502, "application/problem+json"
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("X-Line", self.requestline)
        for name, value in self.headers.items():
            self.send_header(f"X-Got-{name}", value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Front(server.server_port, "api1")
    server.shutdown()
    server.server_close()


def ask(
    front: Front,
    body: bytes = b"",
    headers: list[tuple[bytes, bytes]] | None = None,
    path: bytes = b"/v1/a%2Fb",
) -> Answer:
    """One request through the ASGI application, its body in two pieces."""
    half = len(body) // 2
    incoming = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/events",
        "raw_path": path,
        "query_string": b"q=%20x",
        "headers": headers or [],
    }
    asyncio.run(front(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"]), sent[1]["body"]


def test_a_request_passes_unchanged(front: Front) -> None:
    status, headers, body = ask(front, bytes(range(256)), [(b"host", b"me"), (b"x-a", b"1")])
    assert (status, body) == (200, bytes(range(256)))
    assert headers[b"x-line"] == (b"POST /_aws/execute-api/api1/$default/v1/a%2Fb?q=%20x HTTP/1.1")
    assert headers[b"x-got-x-a"] == b"1"
    assert headers[b"x-got-host"] == b"me"
    assert b"x-got-user-agent" not in headers


def test_a_path_may_end_with_a_slash(front: Front) -> None:
    for path, line in ((b"/ingest/", b"/ingest"), (b"/", b"/")):
        _, headers, _ = ask(front, path=path)
        assert headers[b"x-line"].startswith(b"POST /_aws/execute-api/api1/$default" + line + b"?")


def test_repeated_headers_are_joined_with_commas(front: Front) -> None:
    _, headers, _ = ask(front, b"", [(b"authorization", b"a"), (b"Authorization", b"b")])
    assert headers[b"x-got-authorization"] == b"a,b"


def test_a_body_above_the_gateways_limit_is_refused(front: Front) -> None:
    status, _, body = ask(front, b"x" * (MAXIMUM_BODY_BYTES + 1))
    assert (status, body) == (413, b'{"message": "Request Entity Too Large"}')
    assert ask(front, b"x" * MAXIMUM_BODY_BYTES)[0] == 200


def test_headers_above_the_gateways_limit_are_refused(front: Front) -> None:
    assert ask(front, b"", [(b"x-long", b"x" * MAXIMUM_HEADER_BYTES)])[0] == 431


def test_a_failed_integration_tells_nothing(front: Front) -> None:
    status, headers, body = ask(front, b"fail")
    assert (status, body) == (500, b'{"message": "Internal Server Error"}')
    assert b"x-line" not in headers
    assert ask(front, b"problem")[0] == 502


def test_an_emulator_that_is_gone_is_a_service_unavailable() -> None:
    assert ask(Front(1, "api1"))[0] == 503
