"""What strangers send to ingest: each bad input gets its status, quickly, and writes nothing."""

import gzip
import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions import ingest
from functions._runtime import Runtime
from functions._settings import Settings
from local.emulator import Aws
from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.catalogue import DynamoCatalogueStore
from shared.domain.catalogue import Meter
from shared.services.catalogue import CatalogueService
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

NOW = datetime.now(UTC)
MALFORMED, VALIDATION = (400, "malformed-json"), (422, "validation")
TOO_LARGE, MEDIA_TYPE = (413, "too-large"), (415, "unsupported-media-type")
BOMB = gzip.compress(b" " * 50_000_000)


def event(**changes: Any) -> dict[str, Any]:
    plain = {"specversion": "1.0", "id": "1", "source": "app", "type": "chat", "subject": "bad"}
    return {**plain, "data": {"tokens": 1}, **changes}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in event().items() if key != name}


def valued(literal: str) -> str:
    """An event whose metered property is this JSON literal."""
    return json.dumps(event(data="VALUE")).replace('"VALUE"', f'{{"tokens": {literal}}}')


PLAIN = json.dumps(event())


@pytest.fixture(scope="module")
def runtime(aws: Aws, tables: Tables) -> Runtime:
    settings = Settings("local", tables.events_table, tables.billing_table, 3600, "", "", True)
    runtime = Runtime(settings)
    runtime.dynamodb = aws.client("dynamodb")
    catalogue = CatalogueService(DynamoCatalogueStore(runtime.dynamodb, tables.billing_table))
    catalogue.put_meter(Meter("tokens", "chat", "sum", value="tokens"), "test", NOW)
    catalogue.put_meter(Meter("gone", "retired", "sum", value="tokens"), "test", NOW)
    catalogue.archive_meter("gone", "test", NOW)
    archived = {"pk": "C#archived", "sk": "PROFILE", "archived_at": NOW}
    runtime.dynamodb.put_item(TableName=tables.billing_table, Item=to_item(archived))
    return runtime


@pytest.fixture
def send(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Calls the function as Lambda does; gives status, answer, and content type."""
    monkeypatch.setattr(ingest, "runtime", lambda: runtime)

    def post(body: object, method: str = "POST", **more: Any) -> tuple[int, Any, str]:
        started = time.monotonic()
        answer = ingest.handler(api_event(method, "/v1/events", body, **more), None)
        assert time.monotonic() - started < 1
        return answer["statusCode"], json.loads(answer["body"]), answer["headers"]["Content-Type"]

    return post


def count_stored(runtime: Runtime, customer: str) -> int:
    found: int = runtime.dynamodb.query(
        TableName=runtime.settings.events_table,
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": customer}},
        ConsistentRead=True,
    )["Count"]
    return found


@pytest.mark.parametrize(
    ("body", "headers", "refusal"),
    [
        pytest.param(None, {}, MALFORMED, id="1 empty body"),
        pytest.param(PLAIN, {"content-type": "text/plain"}, MEDIA_TYPE, id="2 text/plain"),
        pytest.param(PLAIN, {"content-type": ""}, MEDIA_TYPE, id="3 no content type"),
        pytest.param(PLAIN.encode("utf-16"), {}, MALFORMED, id="4 UTF-16"),
        pytest.param(b"\xef\xbb\xbf" + PLAIN.encode(), {}, MALFORMED, id="5 BOM"),
        pytest.param(b'"\xff"', {}, MALFORMED, id="6 invalid UTF-8"),
        pytest.param(PLAIN + " " * 2**20, {}, TOO_LARGE, id="7 over 1 MiB"),
        pytest.param(PLAIN + " " * 10**7, {}, TOO_LARGE, id="8 over 10 MB"),
        pytest.param(b"\x1f\x8b...", {"content-encoding": "gzip"}, MALFORMED, id="9 broken gzip"),
        pytest.param(BOMB, {"content-encoding": "gzip"}, TOO_LARGE, id="10 gzip bomb"),
        pytest.param(
            gzip.compress(gzip.compress(PLAIN.encode())),
            {"content-encoding": "gzip, gzip"},
            MEDIA_TYPE,
            id="11 stacked encodings",
        ),
    ],
)
def test_transport(
    send: Any, body: object, headers: Mapping[str, str], refusal: tuple[int, str]
) -> None:
    status, answer, content_type = send(body, headers=headers)
    assert (status, answer["code"]) == refusal
    assert content_type == "application/problem+json"


def test_12_bad_base64(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "runtime", lambda: runtime)
    request = {**api_event("POST", "/v1/events", PLAIN), "isBase64Encoded": True}
    assert ingest.handler(request, None)["statusCode"] == 400


def test_13_and_15_and_auth(send: Any) -> None:
    assert send(None, "GET")[0] == 405
    assert send(PLAIN, query="dry_run=true")[0] == 422
    assert send(PLAIN, scopes="")[0] == 401
    assert send(PLAIN, scopes="read")[0] == 403
    assert send(PLAIN, scopes="portal", customer="bad")[0] == 403


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        pytest.param(PLAIN[:-1], MALFORMED, id="16 truncated"),
        pytest.param(PLAIN[:-1] + ",}", MALFORMED, id="17 trailing comma"),
        pytest.param(PLAIN * 2, MALFORMED, id="18 two documents"),
        pytest.param(PLAIN.replace("{", '{"id":"2",', 1), MALFORMED, id="19 duplicate keys"),
        pytest.param("[" * 33 + "]" * 33, MALFORMED, id="20 depth 33"),
        pytest.param("[" * 100_000 + "]" * 100_000, MALFORMED, id="21 depth 100,000"),
        pytest.param(valued("NaN"), MALFORMED, id="22 NaN"),
        pytest.param(valued("Infinity"), MALFORMED, id="23 Infinity"),
        pytest.param(valued("-Infinity"), MALFORMED, id="24 -Infinity"),
        pytest.param(valued("1" * 5000), MALFORMED, id="25 5,000 digits"),
        pytest.param("3", VALIDATION, id="26 scalar root"),
        pytest.param("{}", VALIDATION, id="27 empty object"),
        pytest.param(event(data={"__proto__": 1}), VALIDATION, id="28 __proto__"),
    ],
)
def test_json(send: Any, runtime: Runtime, body: object, refusal: tuple[int, str]) -> None:
    status, answer, _ = send(body)
    assert (status, answer["code"]) == refusal
    assert count_stored(runtime, "bad") == 0


@pytest.mark.parametrize(
    "literal",
    [
        pytest.param('"abc"', id="30 no number"),
        pytest.param("null", id="31 null"),
        pytest.param("true", id="32 true"),
        pytest.param("-1", id="33 negative"),
        pytest.param("1" * 39, id="35 39 digits"),
        pytest.param('"%s"' % ("1" * 39), id="35 39 digits as text"),
        pytest.param("1e126", id="36"),
        pytest.param("1e-131", id="37"),
        pytest.param("1e999999999", id="38"),
        pytest.param('"1e999999999"', id="38 as text"),
        pytest.param("0.1234567891", id="39 ten decimals"),
        pytest.param("1000000000000.1", id="40 over 10^12"),
        pytest.param('"١٢٣"', id="41 other digits"),
        pytest.param('"1_000"', id="42"),
        pytest.param('" 1 "', id="43"),
        pytest.param("[1]", id="45 array"),
    ],
)
def test_quantity(send: Any, runtime: Runtime, literal: str) -> None:
    status, answer, _ = send(valued(literal))
    assert (status, answer["code"]) == VALIDATION
    assert [problem["pointer"] for problem in answer["errors"]] == ["/data/tokens"]
    assert count_stored(runtime, "bad") == 0


def test_29_and_34_and_44_quantities_that_are_fine(send: Any, runtime: Runtime) -> None:
    literals = ['"1"', "-0", '"-0"', *["0.1"] * 10, "1e12", '"0.5"']
    for number, literal in enumerate(literals):
        body = valued(literal).replace('"bad"', '"fine"').replace('"1",', f'"{number}",')
        assert send(body)[0] == 200, literal
    assert send(event(subject="fine", id="missing", data={}))[0] == 200
    assert count_stored(runtime, "fine") == len(literals) + 1


NAMES = {
    "47 empty": "",
    "48 long": "x" * 257,
    "49 control": "a\x1b[2J",
    "50 NUL": "a\0b",
    "51 lone surrogate": "\ud800",
    "52 right-to-left override": "a\u202eb",
    "53 not NFC": "e\u0301",
}


@pytest.mark.parametrize("name", ["id", "source", "type", "subject"])
@pytest.mark.parametrize("value", NAMES.values(), ids=NAMES)
def test_ids(send: Any, runtime: Runtime, name: str, value: str) -> None:
    status, answer, _ = send(event(**{name: value}))
    assert (status, answer["code"]) == VALIDATION
    assert [problem["pointer"] for problem in answer["errors"]] == [f"/{name}"]
    assert count_stored(runtime, "bad") == 0


@pytest.mark.parametrize("name", ["specversion", "id", "source", "type", "subject"])
def test_46_missing(send: Any, name: str) -> None:
    status, answer, _ = send(without(name))
    assert (status, answer["errors"]) == (422, [{"pointer": f"/{name}", "code": "required"}])


def test_54_to_57_who_and_what(send: Any, runtime: Runtime) -> None:
    unmetered = {"accepted": 1, "duplicates": 0, "unmetered": 1}
    assert send(event(subject="new", type="unheard-of"))[:2] == (200, unmetered)
    retired = event(subject="new", id="2", type="retired", data={"tokens": "abc"})
    assert send(retired)[:2] == (200, unmetered)
    status, answer, _ = send(event(subject="archived"))
    assert (status, answer["errors"][0]["code"]) == (422, "customer-archived")
    assert count_stored(runtime, "archived") == 0


def test_58_to_61_repeats(send: Any, runtime: Runtime) -> None:
    first = event(subject="again")
    assert send([first, first])[1] == {"accepted": 1, "duplicates": 1, "unmetered": 0}
    assert send(first)[1] == {"accepted": 0, "duplicates": 1, "unmetered": 0}
    assert send({**first, "data": {"tokens": 2}})[0] == 409
    new = {**first, "id": "2"}
    status, answer, _ = send([new, {**new, "data": {}}])
    assert (status, answer["errors"][0]["pointer"]) == (422, "/1")
    assert count_stored(runtime, "again") == 1


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(NOW.replace(tzinfo=None).isoformat(), id="62 naive"),
        pytest.param((NOW + timedelta(hours=2)).isoformat(), id="63 ahead"),
        pytest.param((NOW - timedelta(days=36)).isoformat(), id="64 too old"),
        pytest.param("2026-02-30T00:00:00Z", id="65 Feb 30"),
        pytest.param("2026-06-30T23:59:60Z", id="66 leap second"),
        pytest.param("10000-01-01T00:00:00Z", id="67 year 10000"),
        pytest.param(int(NOW.timestamp() * 1000), id="68 milliseconds"),
        pytest.param(str(int(NOW.timestamp() * 1000)), id="68 milliseconds as text"),
    ],
)
def test_time(send: Any, runtime: Runtime, value: object) -> None:
    status, answer, _ = send(event(time=value))
    assert (status, [problem["pointer"] for problem in answer["errors"]]) == (422, ["/time"])
    assert count_stored(runtime, "bad") == 0


def test_64_a_resend_may_be_old(send: Any) -> None:
    assert send(event(subject="resent"))[0] == 200
    old = event(subject="resent", time="2020-01-01T00:00:00Z")
    assert send(old)[1] == {"accepted": 0, "duplicates": 1, "unmetered": 0}
    assert send({**old, "data": {"tokens": 5}})[0] == 409


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        pytest.param([], 422, "", id="70 empty"),
        pytest.param([event()] * 1001, 413, None, id="71 1,001 events"),
        pytest.param(
            [event(id=str(number) if number != 57 else "") for number in range(100)],
            422,
            "/57/id",
            id="72 one bad of 100",
        ),
        pytest.param(
            event(data={f"p{i}": 1 for i in range(51)}), 422, "/data", id="73 51 properties"
        ),
        pytest.param(event(data={"a": "x" * 4096}), 422, "/data/a", id="74 4 KiB value"),
        pytest.param(event(data={"a": {"b": 1}}), 422, "/data/a", id="75 nested"),
        pytest.param(event(data={"a": "4111 1111 1111 1111"}), 422, "/data/a", id="76 card"),
    ],
)
def test_batch(send: Any, runtime: Runtime, body: object, status: int, pointer: str | None) -> None:
    found, answer, _ = send(body)
    assert found == status
    assert [problem["pointer"] for problem in answer["errors"]] == (
        [] if pointer is None else [pointer]
    )
    assert count_stored(runtime, "bad") == 0
