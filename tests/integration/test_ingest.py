"""Events come in exactly once on a real DynamoDB engine, whatever happens on the way."""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.httpsession import URLLib3Session

from functions import api, ingest
from functions._runtime import Runtime
from functions._settings import Settings
from local.emulator import Aws
from shared.adapters.dynamodb.attributes import to_item
from shared.adapters.dynamodb.usage_events import from_item
from shared.adapters.dynamodb.usage_events import to_item as event_item
from shared.services.cursors import Cursors
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

INSERT = "dynamodb.BatchExecuteStatement"


def event(customer: str, event_id: str = "1", **changes: Any) -> dict[str, Any]:
    plain = {"specversion": "1.0", "id": event_id, "source": "app", "type": "chat"}
    return {**plain, "subject": customer, "data": {"tokens": 1.5, "model": "large"}, **changes}


@pytest.fixture
def runtime(aws: Aws, tables: Tables) -> Runtime:
    settings = Settings("local", tables.events_table, tables.billing_table, 3600, "", "", True)
    runtime = Runtime(settings)
    runtime.dynamodb = aws.client("dynamodb", pool=32)
    return runtime


Send = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def send(runtime: Runtime) -> Send:
    """Posts events; gives the status and the answer."""

    def post(body: object, **more: Any) -> tuple[int, dict[str, Any]]:
        answer = ingest.router.serve(api_event("POST", "/v1/events", body, **more), lambda: runtime)
        return answer["statusCode"], json.loads(answer["body"])

    return post


def test_what_does_not_count_as_it_was_meant_is_told_to_the_operator(
    runtime: Runtime, send: Send, capsys: pytest.CaptureFixture[str]
) -> None:
    meter = {"event_type": "lacking", "aggregation": "sum", "value": "tokens"}
    headers = {"content-type": "application/json"}
    put = api_event("PUT", "/v1/meters/lacking", meter, headers=headers)
    assert api.router.serve(put, lambda: runtime)["statusCode"] == 200
    for body in (
        event("lacking", type="lacking", data={"token": 1}),
        event("lacking", "2", type="lacking"),
        event("lacking", "2", type="lacking", data={"tokens": 7}),
    ):
        send(body)
    printed = capsys.readouterr().out
    for counter in ("EventsLackingValue", "EventsConflicting"):
        assert printed.count(f'"{counter}": 1') == 1


def stored(runtime: Runtime, customer: str) -> list[dict[str, Any]]:
    query: dict[str, Any] = {
        "TableName": runtime.settings.events_table,
        "KeyConditionExpression": "pk = :pk",
        "ExpressionAttributeValues": {":pk": {"S": customer}},
        "ConsistentRead": True,
    }
    return [dict(item) for item in runtime.dynamodb.query(**query)["Items"]]


def counts(accepted: int = 0, duplicates: int = 0) -> dict[str, int]:
    return {"accepted": accepted, "duplicates": duplicates, "unmetered": accepted}


def test_the_same_event_200_times_from_16_threads_counts_once(send: Send, runtime: Runtime) -> None:
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: send(event("crowd")), range(200)))
    assert {status for status, _ in answers} == {200}
    assert sum(answer["accepted"] for _, answer in answers) == 1
    assert sum(answer["duplicates"] for _, answer in answers) == 199
    assert len(stored(runtime, "crowd")) == 1


def test_a_changed_payload_is_refused_and_changes_nothing(send: Send, runtime: Runtime) -> None:
    send(event("changed"))
    before = stored(runtime, "changed")
    status, answer = send(event("changed", data={"tokens": 2}))
    assert (status, answer["code"], answer["outcomes"]) == (409, "conflict", ["conflict"])
    assert stored(runtime, "changed") == before


def test_the_rest_of_a_batch_with_a_conflict_is_stored(send: Send, runtime: Runtime) -> None:
    send(event("mixed"))
    batch = [event("mixed", "2"), event("mixed", type="other"), event("mixed", "2")]
    status, answer = send(batch)
    assert (status, answer["outcomes"]) == (409, ["accepted", "conflict", "duplicate"])
    assert answer["errors"] == [{"pointer": "/1", "code": "differs-from-stored"}]
    assert len(stored(runtime, "mixed")) == 2


def test_a_batch_that_repeats_itself_is_folded(send: Send, runtime: Runtime) -> None:
    assert send([event("folded")] * 30 + [event("folded", "2")]) == (200, counts(2, 29))
    assert len(stored(runtime, "folded")) == 2


def test_a_full_batch(send: Send, runtime: Runtime) -> None:
    batch = [event("full", str(number)) for number in range(1000)]
    assert send(batch) == (200, counts(1000))
    assert send(batch) == (200, counts(0, 1000))


def test_the_largest_events_fit(send: Send, runtime: Runtime) -> None:
    """Every limit at once, in letters that take four bytes: the engine takes the item."""
    wide = "\U0001f600"
    names = dict.fromkeys(("id", "source", "type"), wide * 256)
    names["subject"] = wide * 225  # Customers' keys are bounded in bytes.
    extensions = {f"x{number}": wide * 256 for number in range(20)}
    data = {f"p{number}": wide * 450 for number in range(24)}
    assert send(event("", **{**names, **extensions, "data": data})) == (200, counts(1))


def test_an_event_reads_back_as_it_was_sent(send: Send, runtime: Runtime) -> None:
    data = '{"n":0.10,"big":12345678901234567890.5,"t":"1.50","b":true,"z":null,"u":"\\u00e9"}'
    body = json.dumps(event("exact", traceparent="00-a", data=0)).replace(
        '"data": 0', f'"data":{data}'
    )
    assert send(body) == (200, counts(1))
    [item] = stored(runtime, "exact")
    read = from_item(item)
    assert {name: str(value) for name, value in read.data.items()} == {
        "n": "0.1",
        "big": "12345678901234567890.5",
        "t": "1.50",
        "b": "True",
        "z": "None",
        "u": "é",
    }
    assert read.extensions == {"traceparent": "00-a"}
    assert event_item(read) == item


@contextmanager
def hooked(runtime: Runtime, name: str, hook: Callable[..., Any]) -> Iterator[None]:
    events = runtime.dynamodb.meta.events
    events.register_first(name, hook)
    try:
        yield
    finally:
        events.unregister(name, hook)


@pytest.mark.parametrize("commits", [True, False])
def test_a_lost_reply(send: Send, runtime: Runtime, commits: bool) -> None:
    """After a commit the retry finds its own write; without one it stores. Neither is an error."""
    customer = f"lost-{commits}"
    losses = iter([True])

    def lose(request: Any, **_: Any) -> None:
        if next(losses, False):
            if commits:
                URLLib3Session().send(request)
            raise ReadTimeoutError(endpoint_url=request.url)

    with hooked(runtime, f"before-send.{INSERT}", lose):
        status, answer = send([event(customer), event(customer, "2")])
    assert (status, answer["accepted"] + answer["duplicates"]) == (200, 2)
    assert answer["duplicates"] == (2 if commits else 0)
    assert len(stored(runtime, customer)) == 2
    assert send([event(customer), event(customer, "2")]) == (200, counts(0, 2))


def test_storage_that_stays_away_is_503_with_outcomes(send: Send, runtime: Runtime) -> None:
    def throttle(parsed: Any, **_: Any) -> None:
        parsed["Responses"][0] = {"Error": {"Code": "ThrottlingError", "Message": "slow down"}}

    with hooked(runtime, f"after-call.{INSERT}", throttle):
        status, answer = send([event("away"), event("away", "2")])
    assert (status, answer["code"]) == (503, "unavailable")
    # The first was stored although the reply said otherwise; nobody was told that it was.
    assert answer["outcomes"] == ["unknown", "accepted"]
    assert send([event("away"), event("away", "2")]) == (200, counts(0, 2))


def test_events_that_cannot_be_judged_are_503_with_outcomes(send: Send, runtime: Runtime) -> None:
    orphan = {"pk": "C#orphan", "sk": "PROFILE", "test_clock": "gone"}
    runtime.dynamodb.put_item(TableName=runtime.settings.billing_table, Item=to_item(orphan))
    status, answer = send([event("orphan"), event("orphan", "2")])
    assert (status, answer["code"]) == (503, "unavailable")
    assert answer["outcomes"] == ["unknown", "unknown"]
    assert stored(runtime, "orphan") == []


def test_write_units(send: Send, runtime: Runtime) -> None:
    """An event up to 1 KB costs one unit in the table, and one in the index by time.

    The engine leaves indexes out of what it reports of a PartiQL batch, so the index is counted
    by putting the very same item.
    """
    consumed: list[dict[str, Any]] = []

    def ask(params: dict[str, Any], **_: Any) -> None:
        params["ReturnConsumedCapacity"] = "INDEXES"

    def read(parsed: dict[str, Any], **_: Any) -> None:
        consumed.extend(parsed["ConsumedCapacity"])

    with (
        hooked(runtime, f"provide-client-params.{INSERT}", ask),
        hooked(runtime, f"after-call.{INSERT}", read),
    ):
        send([event("units", str(number)) for number in range(100)])
    assert sum(capacity["CapacityUnits"] for capacity in consumed) == 100
    item = stored(runtime, "units")[0]
    put = runtime.dynamodb.put_item(
        TableName=runtime.settings.events_table,
        Item={**item, "sk": {"S": "units"}},
        ReturnConsumedCapacity="INDEXES",
    )["ConsumedCapacity"]
    assert put["Table"]["CapacityUnits"] == 1
    assert put["GlobalSecondaryIndexes"]["by_time"]["CapacityUnits"] == 1


def listed(runtime: Runtime, query: str, **more: Any) -> tuple[int, dict[str, Any]]:
    answer = api.router.serve(api_event("GET", "/v1/events", query=query, **more), lambda: runtime)
    return answer["statusCode"], json.loads(answer["body"])


@pytest.fixture
def history(send: Send, runtime: Runtime) -> list[str]:
    """Events of a customer on a clock at 10 March 2031, oldest first."""
    clock = {"pk": "CLOCK#c1", "sk": "CLOCK", "now": "2031-03-10T00:00:00.000000Z"}
    profile = {"pk": "C#past", "sk": "PROFILE", "test_clock": "c1"}
    table = runtime.settings.billing_table
    for item in (clock, profile):
        runtime.dynamodb.put_item(TableName=table, Item=to_item(item))
    days = ["02-20", "02-28", "03-01", "03-02", "03-09"]
    send([event("past", day, time=f"2031-{day}T00:00:00Z", type=f"t{day[1]}") for day in days])
    runtime.cursors = Cursors(b"k" * 32)
    return days


def test_the_list_of_events(history: list[str], runtime: Runtime) -> None:
    status, page = listed(runtime, "customer=past")
    assert (status, page["next_cursor"]) == (200, None)
    assert [e["id"] for e in page["data"]] == history[::-1]
    newest = page["data"][0]
    assert newest["data"] == {"tokens": 1.5, "model": "large"}
    assert (newest["time"], newest["status"]) == ("2031-03-09T00:00:00Z", "accepted")


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_join_up(history: list[str], runtime: Runtime, limit: int) -> None:
    found: list[str] = []
    query = f"customer=past&limit={limit}"
    cursor: str | None = ""
    while cursor is not None:
        _, page = listed(runtime, query + (f"&cursor={cursor}" if cursor else ""))
        found += [e["id"] for e in page["data"]]
        cursor = page["next_cursor"]
    assert found == history[::-1]


def test_a_page_of_large_events_ends_before_the_answer_is_too_large(
    send: Send, runtime: Runtime
) -> None:
    runtime.cursors = Cursors(b"k" * 32)
    data = {f"p{number}": "x" * 4000 for number in range(30)}
    ids = [f"{number:02}" for number in range(40)]
    for start in range(0, 40, 8):
        batch = [event("large", event_id, data=data) for event_id in ids[start : start + 8]]
        assert send(batch)[0] == 200
    found, query = [], "customer=large&limit=1000"
    sizes = []
    while query:
        _, page = listed(runtime, query)
        sizes.append(len(page["data"]))
        found += [e["id"] for e in page["data"]]
        cursor = page["next_cursor"]
        query = f"customer=large&limit=1000&cursor={cursor}" if cursor else ""
    assert sorted(found) == ids
    assert 30 < sizes[0] < 40


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("from=2031-02-28T00:00:00Z&to=2031-03-02T00:00:00Z", ["03-01", "02-28"]),
        ("type=t2", ["02-28", "02-20"]),
        ("type=t2&limit=1", ["02-28"]),
        ("source=other", []),
        ("source=app&id=03-01", ["03-01"]),
        ("source=app&id=nope", []),
        ("source=app&id=03-01&type=t2", []),
        ("source=app&id=03-01&to=2031-03-01T00:00:00Z", []),
    ],
)
def test_filters(history: list[str], runtime: Runtime, query: str, ids: list[str]) -> None:
    _, page = listed(runtime, f"customer=past&{query}")
    assert [e["id"] for e in page["data"]] == ids


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("property=n&value=1", ["number", "text"]),
        ("property=n&value=12", ["longer"]),
        ("property=on&value=true", ["number"]),
        ("property=a%22b&value=c%22%2C", ["quotes"]),
        ("property=b&value=c", []),
        ("property=n&value=", ["nothing"]),
        ("property=n&value=1&type=chat", ["number", "text"]),
        ("property=n&value=1&source=app&id=text", ["text"]),
        ("property=n&value=2&source=app&id=text", []),
    ],
)
def test_a_search_by_a_property_is_exact(
    send: Send, runtime: Runtime, query: str, ids: list[str]
) -> None:
    runtime.cursors = Cursors(b"k" * 32)
    data: dict[str, dict[str, Any]] = {
        "number": {"n": 1, "on": True},
        "text": {"n": "1"},
        "longer": {"n": 12},
        "quotes": {'a"b': 'c",', "text": '"b":"c"'},
        "nothing": {"n": None},
    }
    send([event("searched", name, data=each, type="chat") for name, each in data.items()])
    status, page = listed(runtime, f"customer=searched&{query}")
    assert (status, sorted(e["id"] for e in page["data"])) == (200, sorted(ids))


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 422),
        ("customer=past&property=n", 422),
        ("customer=past&value=n", 422),
        ("customer=past&property=&value=n", 422),
        ("customer=past&cursor=forged", 400),
        ("customer=past&from=2031-01-01", 422),
        ("customer=past&from=2031-01-02T00:00:00Z&to=2031-01-02T00:00:00Z", 422),
        ("customer=past&from=2000-01-01T00:00:00Z&to=2031-01-02T00:00:00Z", 422),
        ("customer=past&to=1970-01-01T00:00:00Z", 200),
        ("customer=past&to=0001-01-02T00:00:00Z", 422),
        ("customer=past&from=8999-12-31T00:00:00Z&to=8999-12-31T23:59:59.999999Z", 200),
        ("customer=past&to=9999-12-31T23:59:59Z", 422),
        ("customer=past&start=2031-01-02T00:00:00Z", 422),
    ],
)
def test_refused_lists(history: list[str], runtime: Runtime, query: str, status: int) -> None:
    assert listed(runtime, query)[0] == status


def test_a_cursor_is_good_for_its_own_list_only(history: list[str], runtime: Runtime) -> None:
    cursor = listed(runtime, "customer=past&limit=1")[1]["next_cursor"]
    assert listed(runtime, f"customer=past&type=t2&cursor={cursor}")[0] == 400
