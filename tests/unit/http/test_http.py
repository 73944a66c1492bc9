"""The HTTP layer: strict transport, scopes, and problem details that repeat nothing."""

import base64
import gzip
import json
import time
from typing import Any

import pytest

from functions._body import MAX_BODY_BYTES
from functions._http import Answer, Request, Router
from shared.domain.errors import ConflictError, NotFoundError, Problem
from shared.wire.common import PageQuery, Quantity, WireModel
from tests.unit.http.events import api_event, recorded

router = Router()


class Thing(WireModel):
    """A body and an answer."""

    name: str
    quantity: Quantity | None = None


class ThingsQuery(PageQuery):
    """A query."""

    customer: str | None = None


@router.route("PUT", "/v1/things/{thing}", scope="admin", summary="Put", body=Thing, answer=Thing)
def put_thing(request: Request, runtime: Any, body: Thing) -> Thing | Answer:
    match request.parameters["thing"]:
        case "taken":
            raise ConflictError("It is taken.", [Problem("/name", "taken")])
        case "broken":
            raise RuntimeError("secret detail")
        case "made":
            return Answer(body, status=201)
    return body


@router.route("GET", "/v1/things/own", scope="read", summary="Own", portal=True)
def own_thing(request: Request, runtime: Any) -> Answer:
    request.require_customer("acme")
    return Answer("own", content_type="text/plain")


@router.route("POST", "/v1/things/own", scope="read", summary="Ask", portal=True)
def ask_own_thing(request: Request, runtime: Any) -> Answer:
    return own_thing(request, runtime)


@router.route("POST", "/v1/customers/{customer}/things", scope="read", summary="Ask of a customer")
def ask_customer_things(request: Request, runtime: Any) -> Answer:
    return customer_things(request, runtime)


@router.route("GET", "/v1/things/{thing}", scope="read", summary="Get")
def get_thing(request: Request, runtime: Any) -> Answer:
    raise NotFoundError("No such thing.")


@router.route("GET", "/v1/customers/{customer}/things", scope="read", summary="Of a customer")
def customer_things(request: Request, runtime: Any) -> Answer:
    return Answer(json.dumps(request.parameters))


@router.route("GET", "/v1/things", scope="read", summary="List", query=ThingsQuery)
def list_things(request: Request, runtime: Any, query: ThingsQuery) -> Answer:
    return Answer(query.model_dump_json())


@router.route("GET", "/open", scope=None, summary="Open to all")
def open_to_all(request: Request, runtime: Any) -> Answer:
    return Answer(b"\x00\x01", content_type="application/octet-stream")


def call(event: dict[str, Any]) -> tuple[int, Any, dict[str, Any]]:
    """Status, body (JSON if it is some), the whole answer."""
    started = time.monotonic()
    answer = router.serve(event, lambda: None)
    assert time.monotonic() - started < 1
    body = answer["body"]
    if "json" in answer["headers"]["Content-Type"]:
        body = json.loads(body)
    return answer["statusCode"], body, answer


def put(body: object, path: str = "/v1/things/x", **more: Any) -> tuple[int, Any, dict[str, Any]]:
    return call(api_event("PUT", path, body, **more))


def test_a_recorded_request_is_read() -> None:
    status, body, _ = call(recorded("http_request"))
    assert (status, body["code"]) == (404, "not-found")


def test_decimals_travel_as_text() -> None:
    assert put({"name": "n", "quantity": 1.50})[:2] == (200, {"name": "n", "quantity": "1.5"})
    assert put({"name": "n"}, "/v1/things/made")[0] == 201


def test_a_refusal_is_problem_json() -> None:
    status, body, answer = put({"name": "n"}, "/v1/things/taken")
    assert answer["headers"]["Content-Type"] == "application/problem+json"
    assert (status, body) == (
        409,
        {
            "type": "urn:meterline:problem:conflict",
            "title": "Conflict",
            "status": 409,
            "code": "conflict",
            "detail": "It is taken.",
            "instance": "urn:request:QhX2cjZ4FiAEMxw=",
            "errors": [{"pointer": "/name", "code": "taken"}],
        },
    )


def test_an_unexpected_error_tells_nothing() -> None:
    status, body, answer = put({"name": "n"}, "/v1/things/broken")
    assert (status, body["code"]) == (500, "internal")
    assert "secret" not in answer["body"]


def test_values_are_never_repeated() -> None:
    _, _, answer = put({"name": 5, "quantity": "hunter2", "hidden": "hunter2"})
    assert "hunter2" not in answer["body"]


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"', 200),
        ("application/json; charset=utf-16", 415),
        ("text/plain", 415),
        ("application/cloudevents+json", 415),
        ("", 415),
    ],
)
def test_content_types(content_type: str, status: int) -> None:
    assert put({"name": "n"}, headers={"content-type": content_type})[0] == status


PLAIN = b'{"name":"n"}'
ZIPPED = gzip.compress(PLAIN, mtime=0)
BOMB = gzip.compress(b" " * 50_000_000, mtime=0)


@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (PLAIN, "", 200),
        (PLAIN, "identity", 200),
        (ZIPPED, "gzip", 200),
        (ZIPPED, "GZIP", 200),
        (PLAIN, "gzip", 400),
        (ZIPPED[:-4], "gzip", 400),
        (ZIPPED + b"x", "gzip", 400),
        (b"", "gzip", 400),
        (BOMB, "gzip", 413),
        (PLAIN + b" " * MAX_BODY_BYTES, "", 413),
        (PLAIN + b" " * (MAX_BODY_BYTES - len(PLAIN)), "", 200),
        (gzip.compress(ZIPPED, mtime=0), "gzip, gzip", 415),
        (ZIPPED, "deflate", 415),
        (ZIPPED, "br", 415),
    ],
)
def test_encodings(body: bytes, encoding: str, status: int) -> None:
    assert put(body, headers={"content-encoding": encoding})[0] == status


def test_broken_base64() -> None:
    event = api_event("PUT", "/v1/things/x", PLAIN)
    event["body"] = base64.b64encode(PLAIN).decode() + "*"
    status, body, _ = call(event)
    assert (status, body["code"]) == (400, "malformed-json")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/v1/nothing", 404),
        ("DELETE", "/v1/things/x", 405),
        ("POST", "/v1/things", 405),
        ("GET", "/v1/things/../x", 404),
        ("GET", "/v1/things/%2e%2e", 404),
        ("PUT", "/v1/things/" + "x" * 1025, 404),
        ("PUT", "/v1/things/" + "%F0%9F%98%80" * 257, 404),
        ("GET", "/v1/things/%ff%00", 404),
    ],
)
def test_paths(method: str, path: str, status: int) -> None:
    assert call(api_event(method, path))[0] == status


def test_path_parameters_are_decoded_and_literals_go_first() -> None:
    _, body, _ = call(api_event("GET", "/v1/customers/a%20%C3%BC%2Fb/things"))
    assert body == {"customer": "a ü/b"}
    assert call(api_event("GET", "/v1/things/own"))[1] == "own"


def test_bytes_go_out_as_base64() -> None:
    answer = call(api_event("GET", "/open", scopes=""))[2]
    assert (answer["isBase64Encoded"], base64.b64decode(answer["body"])) == (True, b"\x00\x01")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 200),
        ("limit=1000", 200),
        ("customer=a%20b&cursor=x", 200),
        ("limit=0", 422),
        ("limit=-1", 422),
        ("limit=1000000", 422),
        ("limit=ten", 422),
        ("unknown=1", 422),
        ("limit=1&limit=2", 422),
    ],
)
def test_query_parameters(query: str, status: int) -> None:
    assert call(api_event("GET", "/v1/things", query=query))[0] == status


def test_unknown_query_parameters_where_there_are_none() -> None:
    assert put({"name": "n"}, query="dry_run=1")[0] == 422


@pytest.mark.parametrize(
    ("scopes", "write", "read"),
    [("", 401, 401), ("read", 403, 200), ("ingest", 403, 403), ("admin", 200, 200)],
)
def test_scopes(scopes: str, write: int, read: int) -> None:
    assert put({"name": "n"}, scopes=scopes)[0] == write
    assert call(api_event("GET", "/v1/things", scopes=scopes))[0] == read


def test_a_missing_credential_is_told_how() -> None:
    assert put({"name": "n"}, scopes="")[2]["headers"]["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    ("method", "path", "query", "status"),
    [
        ("GET", "/v1/customers/acme/things", "", 200),
        ("GET", "/v1/customers/other/things", "", 404),
        ("GET", "/v1/things", "customer=acme", 200),
        ("GET", "/v1/things", "customer=other", 404),
        ("GET", "/v1/things", "", 404),
        ("GET", "/v1/things/own", "", 200),
        ("POST", "/v1/things/own", "", 200),
        ("POST", "/v1/customers/acme/things", "", 403),
        ("GET", "/v1/things/x", "", 403),
        ("PUT", "/v1/things/x", "", 403),
    ],
)
def test_a_portal_token_reads_its_own_customer(
    method: str, path: str, query: str, status: int
) -> None:
    event = api_event(method, path, query=query, scopes="portal", customer="acme")
    assert call(event)[0] == status


def test_without_an_authorizer_everyone_is_nobody() -> None:
    event = api_event("GET", "/v1/things")
    del event["requestContext"]["authorizer"]
    assert call(event)[0] == 401
