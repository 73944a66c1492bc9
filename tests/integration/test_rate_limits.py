"""Keys with a limit: what they may send, on the real handlers and a real DynamoDB engine."""

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from functions import api as api_function
from functions import ingest
from functions._http import Router
from local.emulator import Aws
from meterline_client import Client, Options, Retry
from tests.integration.api import NOON, Api, Reply
from tests.integration.conftest import Tables
from tests.support.capacity import consumed
from tests.support.faults import hooked, operation_of
from tests.unit.http.events import api_event

ROUTER = Router([ingest.router, api_function.router])
_KEYS = itertools.count(1)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    made.put("/v1/meters/chat", {"event_type": "chat", "aggregation": "count"})
    return made


@pytest.fixture
def key(api: Api) -> str:
    """A key that has sent nothing; the clock is at 12:00."""
    api.clock.at = NOON
    return f"{next(_KEYS):016x}"


def send(api: Api, key: str, path: str, body: object, limit: int = 0, **more: Any) -> Reply:
    method = more.pop("method", "POST")
    event = api_event(method, path, body, principal=key, rate_limit=limit, **more)
    answer = ROUTER.serve(event, lambda: api.runtime)
    return Reply(answer["statusCode"], answer["headers"], answer["body"])


def usage(customer: str, event_id: str = "1") -> dict[str, str]:
    named = {"id": event_id, "source": "app", "type": "chat", "subject": customer}
    return {"specversion": "1.0", **named}


def failing(code: str) -> Callable[..., object]:
    """Answers every UpdateItem with this error instead of sending it."""

    def answer(event_name: str, **_: Any) -> object:
        if operation_of(event_name) != "UpdateItem":
            return None
        return SimpleNamespace(status_code=400), {"Error": {"Code": code, "Message": "no"}}

    return answer


def test_events_over_the_limit_are_not_stored_and_come_in_later(api: Api, key: str) -> None:
    api.clock.at = NOON + timedelta(seconds=15)
    assert send(api, key, "/v1/events", usage("late", "1"), limit=1).status == 200
    refused = send(api, key, "/v1/events", usage("late", "2"), limit=1)
    assert (refused.status, refused.json["code"]) == (429, "too-many-requests")
    assert refused.headers["Retry-After"] == "45"
    assert refused.headers["Content-Type"] == "application/problem+json"
    assert len(api.get("/v1/events", query="customer=late")["data"]) == 1
    api.clock.at += timedelta(seconds=45)
    assert send(api, key, "/v1/events", usage("late", "2"), limit=1).json["accepted"] == 1


@pytest.mark.parametrize("route", ingest.router.routes, ids=lambda route: route.path)
def test_every_way_in_is_held_back(api: Api, key: str, route: Any) -> None:
    statuses = [send(api, key, route.path, {}, limit=1) for _ in range(2)]
    assert statuses[0].status in (400, 415, 422)  # Let through, and then found to be no event.
    assert (statuses[1].status, statuses[1].headers["Retry-After"]) == (429, "60")


def test_vendors_clients_read_the_refusal_in_their_own_shape(api: Api, key: str) -> None:
    def refusal(path: str, body: object = None) -> Any:
        send(api, key, path, body or {}, limit=1)
        return send(api, key, path, body or {}, limit=1).json

    assert refusal("/ingest")["code"] == "too-many-requests"
    assert refusal("/api/v1/events")["code"] == "too-many-requests"
    lago = {"status": 429, "error": "Too Many Requests", "code": "too_many_requests"}
    assert refusal("/api/v1/events/batch").items() >= lago.items()
    assert refusal("/api/v1/events", {"event": {}}).items() >= lago.items()
    error = refusal("/v1/billing/meter_events")["error"]
    assert (error["type"], error["code"]) == ("invalid_request_error", "rate_limit")


def test_reading_and_managing_is_held_back(api: Api, key: str) -> None:
    def read() -> int:
        return send(api, key, "/v1/customers", None, limit=2, method="GET", scopes="read").status

    assert [read() for _ in range(3)] == [200, 200, 429]
    put = send(api, key, "/v1/customers/never", {}, method="PUT", limit=2)
    assert put.status == 429
    assert api.call("GET", "/v1/customers/never").status == 404


def test_many_functions_at_once_let_exactly_the_limit_through(
    aws: Aws, tables: Tables, key: str
) -> None:
    functions = [Api(aws, tables) for _ in range(4)]

    def one(number: int) -> int:
        event = usage("crowd", str(number))
        return send(functions[number % 4], key, "/v1/events", event, limit=11).status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(one, range(40)))
    assert (statuses.count(200), statuses.count(429)) == (11, 29)
    assert len(functions[0].get("/v1/events", query="customer=crowd")["data"]) == 11


def test_a_limit_costs_one_write_unit_a_request_and_no_limit_nothing(api: Api, key: str) -> None:
    send(api, key, "/v1/events", usage("costs", "0"))
    with consumed(api.runtime.dynamodb) as unlimited:
        send(api, key, "/v1/events", usage("costs", "1"))
    with consumed(api.runtime.dynamodb) as limited:
        send(api, key, "/v1/events", usage("costs", "2"), limit=5)
    assert limited.write_units - unlimited.write_units == 1
    assert limited.read_units == unlimited.read_units
    assert sorted(limited.requests) == sorted([*unlimited.requests, "UpdateItem"])
    table = api.runtime.settings.billing_table
    place = {"pk": {"S": f"KEY#{key}"}, "sk": {"S": "REQUESTS#2026-03-10T12:00"}}
    item = api.runtime.dynamodb.get_item(TableName=table, Key=place)["Item"]
    assert item["requests"] == {"N": "1"}
    assert item["ttl"] == {"N": str(int((NOON + timedelta(hours=1)).timestamp()))}


@pytest.mark.parametrize("code", ["InternalServerError", "AccessDeniedException"])
def test_usage_is_not_lost_to_a_counter_that_fails(
    api: Api, key: str, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with hooked(api.runtime.dynamodb, "before-call", failing(code)):
        for number in ("1", "2"):
            reply = send(api, key, "/v1/events", usage(f"kept-{code}", number), limit=1)
            assert (reply.status, reply.json["accepted"]) == (200, 1)
    lines = map(json.loads, capsys.readouterr().out.splitlines())
    assert sum(line.get("RequestsNotCounted", 0) for line in lines) == 2


def test_the_python_client_waits_as_long_as_it_is_told(api: Api, key: str) -> None:
    """It sends the batch again once the window is over, and each event counts once."""
    api.clock.at = NOON + timedelta(seconds=59)
    statuses: list[int] = []

    def serve(request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)
        reply = send(api, key, request.url.path, request.content, limit=1, headers=headers)
        statuses.append(reply.status)
        if reply.status == 429:
            # Time passes for the server as it does for the client that waits.
            api.clock.at += timedelta(seconds=int(reply.headers["Retry-After"]))
        return httpx.Response(reply.status, headers=reply.headers, text=reply.text)

    assert send(api, key, "/v1/events", usage("patient", "before"), limit=1).status == 200
    transport = httpx.MockTransport(serve)
    options = Options(delivery_retry=Retry(3, base_seconds=0))
    with Client("http://api", "ml_key", source="app", options=options, transport=transport) as sdk:
        sdk.meter("chat", "patient", time=NOON)
        assert sdk.flush(30)
        assert (sdk.counters().accepted, sdk.counters().failed) == (1, 0)
    assert statuses == [429, 200]
