"""The API's description of itself is a valid OpenAPI 3.1 document that covers every route."""

import json
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from functions import api, ingest, test_clocks
from functions._http import Router
from tests.unit.http.events import api_event


class FakeRuntime:
    """Settings only."""

    class settings:  # noqa: N801
        test_clocks = True


@pytest.fixture(scope="module")
def served() -> dict[str, Any]:
    event = api_event("GET", "/v1/openapi.json", scopes="")
    answer = api.router.serve(event, lambda: FakeRuntime)
    assert answer["statusCode"] == 200
    found: dict[str, Any] = json.loads(answer["body"])
    return found


def test_it_is_valid(served: dict[str, Any]) -> None:
    OpenAPIV31SpecValidator(served).validate()


def test_it_covers_every_route_of_our_own(served: dict[str, Any]) -> None:
    routes = Router((ingest.router, api.router, test_clocks.router)).routes
    described = {(m.upper(), path) for path, item in served["paths"].items() for m in item}
    own = {(route.method, route.path) for route in routes if route.dialect is None}
    assert described == own


def test_operations_have_names_of_their_own(served: dict[str, Any]) -> None:
    names = [o["operationId"] for item in served["paths"].values() for o in item.values()]
    assert len(names) == len(set(names))


def test_events_are_described_as_they_are_validated(served: dict[str, Any]) -> None:
    operation = served["paths"]["/v1/events"]["post"]
    content = operation["requestBody"]["content"]
    assert set(content) == {
        "application/json",
        "application/cloudevents+json",
        "application/cloudevents-batch+json",
    }
    event = served["components"]["schemas"]["Event"]
    assert set(event["required"]) == {"specversion", "id", "source", "type", "subject"}
    assert operation["x-scope"] == "ingest"


def test_public_routes_ask_for_no_credential(served: dict[str, Any]) -> None:
    assert served["paths"]["/v1/openapi.json"]["get"]["security"] == []


def test_a_model_may_look_different_when_it_is_written(served: dict[str, Any]) -> None:
    plan = served["paths"]["/v1/plans/{plan}"]["put"]
    text = json.dumps(served["components"]["schemas"])
    body = plan["requestBody"]["content"]["application/json"]["schema"]
    answer = plan["responses"]["200"]["content"]["application/json"]["schema"]
    assert body != answer
    assert "AllowanceBody-Input" in text
    assert "AllowanceBody-Output" in text


def test_every_money_write_asks_for_an_idempotency_key(served: dict[str, Any]) -> None:
    for path, item in served["paths"].items():
        of_money = path.startswith(("/v1/customers/{customer}/", "/v1/invoices/"))
        of_money |= path.endswith("/migrations")
        for method, operation in item.items():
            headers = [p for p in operation["parameters"] if p["in"] == "header"]
            asked = [p["name"] for p in headers if p["required"]]
            assert asked == ["Idempotency-Key"] * (of_money and method == "post"), path


def test_what_is_tagged_when_read_may_be_replaced_on_a_condition(served: dict[str, Any]) -> None:
    tagged = {
        path
        for path, item in served["paths"].items()
        for response in item.get("get", {}).get("responses", {}).values()
        if "ETag" in response.get("headers", ())
    }
    conditional = {
        path
        for path, item in served["paths"].items()
        if any(p["name"] == "If-Match" for p in item.get("put", {}).get("parameters", ()))
    }
    assert tagged == conditional
    assert tagged >= {"/v1/customers/{customer}", "/v1/plans/{plan}", "/v1/coupons/{coupon}"}


@pytest.mark.parametrize(
    ("path", "media_type"), [("/v1/usage", "text/csv"), ("/v1/invoices/{invoice}", "text/html")]
)
def test_answers_in_other_media_types_are_described(
    served: dict[str, Any], path: str, media_type: str
) -> None:
    content = served["paths"][path]["get"]["responses"]["200"]["content"]
    assert set(content) == {"application/json", media_type}


def test_refused_events_have_outcomes(served: dict[str, Any]) -> None:
    responses = served["paths"]["/v1/events"]["post"]["responses"]
    for status in ("409", "503"):
        content = responses[status]["content"]["application/problem+json"]
        _, more = content["schema"]["allOf"]
        assert more["required"] == ["outcomes"]


def test_who_calls_with_a_key_is_told_of_its_limit(served: dict[str, Any]) -> None:
    limited = served["components"]["responses"]["TooManyRequests"]
    assert limited["headers"]["Retry-After"]["schema"] == {"type": "integer", "minimum": 1}
    for path, item in served["paths"].items():
        for operation in item.values():
            assert ("429" in operation["responses"]) == ("x-scope" in operation), path
