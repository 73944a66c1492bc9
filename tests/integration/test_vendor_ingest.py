"""The bytes that other vendors' clients send come in as events of our own, each once."""

import gzip
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest

from functions import ingest
from local.emulator import Aws
from shared.domain.events import UsageEvent, event_key
from tests.integration.api import NOON, Api, Reply
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

SECONDS = int(NOON.timestamp())
FORM = {"content-type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    for name, value in (("ai", "value"), ("lago_ai", "tokens")):
        meter = {"event_type": name, "aggregation": "sum", "value": value}
        made.put(f"/v1/meters/{name}", {**meter, "dimensions": ["model"]})
    return made


Send = Callable[..., Reply]


@pytest.fixture
def send(api: Api) -> Send:
    """Posts to one of the ingest function's paths."""

    def post(path: str, body: object, scopes: str = "ingest", **more: Any) -> Reply:
        event = api_event("POST", path, body, scopes=scopes, **more)
        answer = ingest.router.serve(event, lambda: api.runtime)
        return Reply(answer["statusCode"], answer["headers"], answer["body"])

    return post


def stored(api: Api, customer: str, source: str, event_id: str) -> UsageEvent | None:
    return api.runtime.event_index.get(customer, event_key(source, event_id))


def record(customer: str, unique_id: str | None = "u1", **changes: Any) -> dict[str, Any]:
    identity = {} if unique_id is None else {"uniqueId": unique_id}
    sent = {"meterApiName": "ai", "meterValue": 5.5, "customerId": customer}
    time = {"meterTimeInMillis": SECONDS * 1000 + 1, "dimensions": {"model": "large"}}
    return {**identity, **sent, **time, **changes}


def lago(customer: str, transaction: str = "t1", **changes: Any) -> dict[str, Any]:
    return {
        "transaction_id": transaction,
        "external_subscription_id": customer,
        "code": "lago_ai",
        "timestamp": f"{SECONDS}.25",
        "precise_total_amount_cents": None,
        "properties": {"tokens": 5},
        **changes,
    }


def stripe(customer: str, **changes: str) -> str:
    fields = {
        "event_name": "ai",
        "payload[stripe_customer_id]": customer,
        "payload[value]": "25",
        "payload[model]": "small",
        "identifier": "i1",
        "timestamp": str(SECONDS),
    }
    return urlencode({**fields, **changes}, safe="[]")


def meter_event(customer: str, **changes: object) -> dict[str, object]:
    payload = {"stripe_customer_id": customer, "value": "25"}
    return {"event_name": "ai", "payload": payload, "identifier": "i1", **changes}


# --- Amberflo -----------------------------------------------------------------------------------


def test_amberflo_sends_gzip_and_reads_a_text(api: Api, send: Send) -> None:
    body = gzip.compress(json.dumps([record("amber"), record("amber", "u2")]).encode())
    for _ in range(2):  # A retry is answered as the first.
        reply = send("/ingest/", body, headers={"content-encoding": "gzip"})
        assert (reply.status, reply.text) == (200, "2 records were ingested")
    event = stored(api, "amber", "amberflo", "u1")
    assert event is not None
    assert (event.type, event.data) == ("ai", {"value": Decimal("5.5"), "model": "large"})
    assert event.occurred_at == NOON + timedelta(milliseconds=1)


def test_amberflo_takes_one_record_and_lines_of_records(api: Api, send: Send) -> None:
    assert send("/ingest", record("lines")).text == "1 records were ingested"
    lines = "\n".join(json.dumps(record("lines", name)) for name in ("u2", "u3")) + "\n"
    assert send("/ingest/", lines).text == "2 records were ingested"
    assert stored(api, "lines", "amberflo", "u3") is not None
    indented = json.dumps(record("lines", "u4"), indent=1)
    assert send("/ingest/", indented).text == "1 records were ingested"


def test_an_amberflo_record_without_an_id_is_told_by_what_it_says(api: Api, send: Send) -> None:
    nameless = record("nameless", None)
    send("/ingest", [nameless, {**nameless, "meterValue": 1}])
    send("/ingest", [nameless])
    events, _ = api.runtime.event_index.newest(*_everything("nameless"))
    assert sorted(event.data["value"] for event in events) == [1, Decimal("5.5")]


def _everything(customer: str) -> tuple[Any, ...]:
    from shared.services.event_list import EventFilter  # noqa: PLC0415

    return EventFilter(customer), NOON - timedelta(days=1), NOON + timedelta(days=1), None, 100


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"meterValue": "abc"}, "/meterValue", "not-a-number"),
        ({"meterValue": -1}, "/meterValue", "out-of-range"),
        ({"meterValue": None}, "/meterValue", "not-a-number"),
        ({"meterTimeInMillis": SECONDS}, "/meterTimeInMillis", "too-old"),
        ({"meterTimeInMillis": 10**30}, "/meterTimeInMillis", "time-out-of-range"),
        ({"customerId": "a/b"}, "/customerId", "not-a-key"),
        ({"dimensions": {"value": "1"}}, "/dimensions", "reserved-name"),
        ({"dimensions": {"a": {"b": "c"}}}, "/dimensions/a", "nested"),
        ({"dimensions": {"a": "4111 1111 1111 1111"}}, "/dimensions/a", "card-number"),
        ({"balance": 1}, "/balance", "unknown-member"),
    ],
)
def test_an_amberflo_record_is_refused_in_its_own_words(
    api: Api, send: Send, change: dict[str, Any], pointer: str, code: str
) -> None:
    reply = send("/ingest", [record("refused"), record("refused", "u2", **change)])
    assert reply.status == 422
    assert reply.json["errors"] == [{"pointer": f"/1{pointer}", "code": code}]
    assert stored(api, "refused", "amberflo", "u1") is None


# --- OpenMeter ----------------------------------------------------------------------------------


def cloud_event(customer: str, event_id: str = "1", **changes: Any) -> dict[str, Any]:
    named = {"id": event_id, "source": "s", "specversion": "1.0", "type": "ai"}
    return {**named, "subject": customer, "time": "2026-03-10T12:00:00.000Z", **changes}


@pytest.mark.parametrize(
    ("kind", "batch"),
    [
        ("application/cloudevents+json", False),
        ("application/cloudevents-batch+json", True),
        ("application/json", False),
        ("application/json", True),
    ],
)
def test_openmeter_answers_nothing(api: Api, send: Send, kind: str, batch: bool) -> None:
    event = cloud_event("open", f"{kind}{batch}", data={"value": 3})
    body = json.dumps([event] if batch else event)
    for _ in range(2):
        reply = send("/api/v1/events", body, headers={"content-type": kind})
        assert (reply.status, reply.text) == (204, "")
    assert send("/api/v3/openmeter/events", body, headers={"content-type": kind}).status == 202
    assert stored(api, "open", "s", f"{kind}{batch}") is not None


def test_openmeter_is_refused_with_a_bad_request(api: Api, send: Send) -> None:
    reply = send("/api/v1/events", cloud_event("open", "bad", time="yesterday"))
    assert (reply.status, reply.headers["Content-Type"]) == (400, "application/problem+json")
    assert reply.json["errors"] == [{"pointer": "/time", "code": "not-rfc3339"}]
    send("/api/v1/events", cloud_event("open", "same", data={"value": 1}))
    reply = send("/api/v1/events", cloud_event("open", "same", data={"value": 2}))
    assert (reply.status, reply.json["code"]) == (409, "conflict")


# --- Lago ---------------------------------------------------------------------------------------


def test_lago_gets_its_event_back_and_a_repeat_is_refused(api: Api, send: Send) -> None:
    reply = send("/api/v1/events", {"event": lago("lago")})
    assert reply.status == 200
    event = reply.json["event"]
    assert (event["transaction_id"], event["timestamp"]) == ("t1", "2026-03-10T12:00:00.250000Z")
    assert event["properties"] == {"tokens": 5}
    for repeat in (lago("lago"), lago("lago", properties={"tokens": 6})):
        reply = send("/api/v1/events", {"event": repeat})
        assert (reply.status, reply.json["code"]) == (422, "validation_errors")
        assert reply.json["error_details"] == {"transaction_id": ["value_already_exist"]}
    kept = stored(api, "lago", "lago", "t1")
    assert kept is not None
    assert kept.data == {"tokens": 5}


def test_the_shared_path_reads_content_types_in_any_case(api: Api, send: Send) -> None:
    headers = {"content-type": "Application/JSON; charset=UTF-8"}
    body = {"event": lago("cased")}
    assert send("/api/v1/events", body, headers=headers).json["event"]["code"] == "lago_ai"
    assert stored(api, "cased", "lago", "t1") is not None


def test_a_lago_batch_is_stored_as_a_whole_or_not_at_all(api: Api, send: Send) -> None:
    first = {"events": [lago("batch", "a"), lago("batch", "b")]}
    assert [e["transaction_id"] for e in send("/api/v1/events/batch", first).json["events"]] == [
        "a",
        "b",
    ]
    mixed = {"events": [lago("batch", "c"), lago("batch", "b"), lago("batch", "c")]}
    reply = send("/api/v1/events/batch", mixed)
    assert reply.status == 422
    assert reply.json["error_details"] == {
        "1": {"transaction_id": ["value_already_exist"]},
        "2": {"transaction_id": ["value_already_exist"]},
    }
    assert stored(api, "batch", "lago", "c") is None


def test_one_bad_event_of_a_lago_batch_is_named_by_its_index(api: Api, send: Send) -> None:
    bad = lago("named", "b", properties={"tokens": "many"})
    reply = send("/api/v1/events/batch", {"events": [lago("named", "a"), bad]})
    assert reply.json["error_details"] == {"1": {"properties/tokens": ["not_a_number"]}}
    nameless = {k: v for k, v in lago("named").items() if k != "transaction_id"}
    reply = send("/api/v1/events", {"event": nameless})
    assert reply.json["error_details"] == {"transaction_id": ["value_is_mandatory"]}
    assert stored(api, "named", "lago", "a") is None
    many = {"events": [lago("named", str(n)) for n in range(101)]}
    assert send("/api/v1/events/batch", many).status == 413


# --- Stripe -------------------------------------------------------------------------------------


def test_stripe_gets_its_meter_event_back(api: Api, send: Send) -> None:
    for _ in range(2):
        reply = send("/v1/billing/meter_events", stripe("cus_1"), headers=FORM)
        assert (reply.status, reply.json) == (
            200,
            {
                "object": "billing.meter_event",
                "created": SECONDS,
                "event_name": "ai",
                "identifier": "i1",
                "livemode": False,
                "payload": {"stripe_customer_id": "cus_1", "value": "25", "model": "small"},
                "timestamp": SECONDS,
            },
        )
    event = stored(api, "cus_1", "stripe", "i1")
    assert event is not None
    assert (event.type, event.data) == ("ai", {"value": "25", "model": "small"})


def test_the_v2_api_takes_json(api: Api, send: Send) -> None:
    sent = meter_event("cus_2", timestamp="2026-03-10T12:00:00.000Z")
    reply = send("/v2/billing/meter_events", sent)
    assert (reply.status, reply.json["object"]) == (200, "v2.billing.meter_event")
    events = [meter_event("cus_2"), meter_event("cus_2", identifier="i2")]
    reply = send("/v2/billing/meter_event_stream", {"events": events})
    assert (reply.status, reply.text) == (200, "{}")
    assert stored(api, "cus_2", "stripe", "i2") is not None


def test_a_retry_of_an_event_without_an_identifier_is_known_by_its_key(
    api: Api, send: Send
) -> None:
    sent = {k: v for k, v in meter_event("cus_3").items() if k != "identifier"}
    keyed = {"headers": {"idempotency-key": "retry-1"}}
    first, second = (send("/v2/billing/meter_events", sent, **keyed) for _ in range(2))
    assert first.json["identifier"] == second.json["identifier"]
    assert send("/v2/billing/meter_events", sent).json["identifier"] != first.json["identifier"]
    stream = {"events": [sent, sent]}
    for _ in range(2):
        assert send("/v2/billing/meter_event_stream", stream, **keyed).status == 200
    events, _ = api.runtime.event_index.newest(*_everything("cus_3"))
    assert len(events) == 3


@pytest.mark.parametrize(
    ("changes", "param", "code"),
    [
        ({"timestamp": str(SECONDS - 36 * 86400)}, "timestamp", "timestamp_too_far_in_past"),
        ({"timestamp": str(SECONDS + 301)}, "timestamp", "timestamp_in_future"),
        ({"timestamp": str(SECONDS * 1000)}, "timestamp", "time_out_of_range"),
        ({"payload[value]": "-1"}, "payload[value]", "out_of_range"),
        ({"payload[value]": "many"}, "payload[value]", "not_a_number"),
        ({"identifier": "i" * 101}, "identifier", "too_long"),
        ({"payload[stripe_customer_id]": ""}, "payload[stripe_customer_id]", "string_too_short"),
        ({"expand[0]": "x"}, "expand", "parameter_unknown"),
    ],
)
def test_stripe_is_refused_with_an_error_object(
    api: Api, send: Send, changes: dict[str, str], param: str, code: str
) -> None:
    reply = send("/v1/billing/meter_events", stripe("cus_4", **changes), headers=FORM)
    error = reply.json["error"]
    assert (reply.status, error["type"]) == (400, "invalid_request_error")
    assert (error.get("param"), error["code"]) == (param, code)


def test_a_changed_event_under_a_known_identifier_is_a_duplicate_for_stripe(send: Send) -> None:
    send("/v1/billing/meter_events", stripe("cus_5"), headers=FORM)
    changed = stripe("cus_5", **{"payload[value]": "26"})
    reply = send("/v1/billing/meter_events", changed, headers=FORM)
    assert (reply.status, reply.json["error"]["code"]) == (400, "duplicate_meter_event")


NO_FORMS = [
    "",
    "event_name",
    "a=1&a=2",
    "payload=1&payload[value]=2",
    "a[b]=1&a[b]=2",
    "a=%FF",
    stripe("cus_6", **{"payload[__proto__]": "1"}),
]


@pytest.mark.parametrize("form", NO_FORMS)
def test_what_is_no_form_is_refused(send: Send, form: str) -> None:
    reply = send("/v1/billing/meter_events", form, headers=FORM)
    assert (reply.status, reply.json["error"]["type"]) == (400, "invalid_request_error")


# --- every format -------------------------------------------------------------------------------

PATHS = {
    "/ingest": "code",
    "/api/v1/events": "code",
    "/api/v1/events/batch": "status",
    "/v1/billing/meter_events": "error",
    "/v2/billing/meter_events": "error",
    "/v2/billing/meter_event_stream": "error",
}
BAD_BODIES = [
    b"",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"{",
    b"[]",
    b"{}",
    b"null",
    b"1",
    b'"x"',
    b'{"a":1,"a":2}',
    b'{"event":{}}',
    b'{"events":[{}]}',
    b'{"events":[]}',
    b'{"events":{}}',
    b'{"event":[1]}',
    b'{"__proto__":{}}',
    b'{"events":[null]}',
    b'{"payload":[1]}',
    b"[" * 100_000,
    b"[NaN]",
    b'{"meterValue":1e999999999}',
    b"payload[stripe_customer_id]=%00&event_name=%E2%80%AE&payload[value]=1e999999999",
]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("number", range(len(BAD_BODIES)))
def test_bad_bodies_are_refused_in_the_vendors_shape(send: Send, path: str, number: int) -> None:
    kind = FORM if path.startswith("/v1/billing") else {}
    reply = send(path, BAD_BODIES[number], headers=kind)
    assert 400 <= reply.status < 500, reply.text
    assert PATHS[path] in reply.json


@pytest.mark.parametrize("path", PATHS)
def test_who_may_not_send_is_told_so(send: Send, path: str) -> None:
    kind = FORM if path.startswith("/v1/billing") else {}
    for scopes, status in (("", 401), ("read", 403), ("portal", 403)):
        more = {"customer": "amber"} if scopes == "portal" else {}
        reply = send(path, "{}", scopes=scopes, headers=kind, **more)
        assert (reply.status, PATHS[path] in reply.json) == (status, True)
    assert send(path, "x", headers={"content-type": "text/plain"}).status == 415
    assert send(path, b"x" * (2**20 + 1), headers=kind).status == 413
    broken = {**kind, "content-encoding": "gzip"}
    assert send(path, b"x", headers=broken).status == 400
    assert send(path, "{}", query="a=1", headers=kind).status in (400, 422)


LAGO_EVENT = '{"event":{"transaction_id":"t","external_subscription_id":"s","code":"c"}}'


@pytest.mark.parametrize("scopes", ["", "read"])
def test_whoever_may_not_send_gets_the_shape_of_what_was_sent(send: Send, scopes: str) -> None:
    """OpenMeter and Lago share the path: what is refused unread is told apart as well."""
    status, error = (403, "Forbidden") if scopes else (401, "Unauthorized")
    lago = send("/api/v1/events", LAGO_EVENT, scopes=scopes)
    assert (lago.status, lago.json["status"], lago.json["error"]) == (status, status, error)
    assert lago.headers["Content-Type"] == "application/json"
    openmeter = send("/api/v1/events", '{"specversion":"1.0","event":"a"}', scopes=scopes)
    assert openmeter.json["title"] == error
    assert openmeter.headers["Content-Type"] == "application/problem+json"


def test_lago_is_told_in_its_own_shape_what_cannot_be_taken(send: Send) -> None:
    as_text = send("/api/v1/events", LAGO_EVENT, headers={"content-type": "text/plain"})
    assert (as_text.status, as_text.json["error"]) == (415, "Unsupported Media Type")
    unknown = send("/api/v1/events", LAGO_EVENT, query="a=1")
    assert (unknown.status, unknown.json["code"]) == (422, "validation_errors")
    for nothing in ("null", "[]", '"a"'):
        refused = send("/api/v1/events", f'{{"event": {nothing}}}')
        assert (refused.status, refused.json["code"]) == (422, "validation_errors")
    large = LAGO_EVENT.replace('"t"', json.dumps("t" * 2**20))
    assert send("/api/v1/events", large).json["error"] == "Request Entity Too Large"


@pytest.mark.parametrize("path", [path for path in PATHS if PATHS[path] == "error"])
def test_refusals_say_their_status_as_stripe_and_lago_do(send: Send, path: str) -> None:
    kind = FORM if path.startswith("/v1/billing") else {}
    body = LAGO_EVENT if path == "/api/v1/events" else "{}"
    error = send(path, body, scopes="", headers=kind).json
    if path.startswith("/api"):
        assert (error["status"], error["error"]) == (401, "Unauthorized")
    else:
        assert error["error"]["type"] == "invalid_request_error"
        assert error["error"]["message"]
