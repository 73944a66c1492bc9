"""Event types: noted by aggregation, shown over HTTP, at next to no cost."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from local.emulator import Aws
from shared.adapters.dynamodb.event_types import DynamoEventTypeStore
from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.event_types import MAX_PROPERTIES_SEEN, EventType, event_types
from shared.domain.events import Value
from shared.services.event_types import EventTypes
from tests.integration.api import Api
from tests.integration.conftest import Tables
from tests.support.builders import HOUR, MARCH, usage
from tests.support.faults import counted, killed_at_write
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@pytest.fixture(scope="module")
def api(meterline: Stack, tables: Tables) -> Api:
    return Api(meterline.aws, tables)


def typed(kind: str, data: dict[str, Value], hours: int = 0) -> Any:
    return usage("ada", f"{kind}{hours}{sorted(data)}", MARCH + hours * HOUR, data, type=kind)


def test_a_batch_shows_in_the_api_with_the_meters_that_read_it(meterline: Stack, api: Api) -> None:
    chat = usage("ada", 1, MARCH, {"tokens": Decimal(7), "note": None})
    meterline.apply([usage_record(chat, 1), usage_record(typed("other", {}), 2)])
    assert api.get("/v1/event-types/chat") == {
        "type": "chat",
        "first_seen": "2026-03-01T00:00:02Z",
        "last_seen": "2026-03-01T00:00:02Z",
        "properties": [
            {"name": "model", "kinds": [], "meters": ["tokens"]},
            {"name": "note", "kinds": ["null"], "meters": []},
            {"name": "tokens", "kinds": ["number"], "meters": ["tokens"]},
        ],
        "overflow": False,
        "meters": ["messages", "tokens"],
    }
    first = api.get("/v1/event-types", query="limit=1")
    assert [seen["type"] for seen in first["data"]] == ["chat"]
    rest = api.get("/v1/event-types", query=f"limit=9&cursor={first['next_cursor']}")
    assert [(seen["type"], seen["meters"]) for seen in rest["data"]] == [("other", [])]
    assert rest["next_cursor"] is None
    assert api.call("GET", "/v1/event-types/never", scopes="read").status == 404
    assert api.call("GET", "/v1/event-types", scopes="ingest").status == 403


def test_only_news_is_written_by_any_container(meterline: Stack) -> None:
    client = meterline.runtime.dynamodb
    store = DynamoEventTypeStore(client, meterline.billing_table)
    mine, other = EventTypes(store), EventTypes(store)
    first = typed("news", {"a": "x"})
    steps = [
        (mine, first, ["GetItem", "UpdateItem", "UpdateItem"]),
        (mine, first, []),
        (other, first, ["GetItem"]),
        (mine, typed("news", {"a": "y", "b": True}), ["GetItem", "UpdateItem"]),
        (other, typed("news", {"b": False}), ["GetItem"]),
        (other, typed("news", {}, hours=1), ["GetItem", "UpdateItem"]),
        (mine, first, []),
    ]
    for container, event, expected in steps:
        with counted(client) as sent:
            container.note([event])
        assert sent == expected
    kept = store.get("news")
    assert kept is not None
    assert kept.properties == {("a", "string"), ("b", "boolean")}
    assert (kept.first_seen, kept.last_seen) == (MARCH + timedelta(seconds=2), MARCH + HOUR)


def test_a_slower_shard_does_not_turn_the_last_time_back(meterline: Stack) -> None:
    store = meterline.runtime.event_types.store
    [late], [early] = (event_types([typed("race", {}, hours)]).values() for hours in (5, 2))
    store.add(None, late)
    store.add(None, early)
    kept = store.get("race")
    assert kept is not None
    assert kept.last_seen == MARCH + 5 * HOUR


def test_the_bound_holds_against_others_and_is_shown(meterline: Stack) -> None:
    store = meterline.runtime.event_types.store
    names = [f"p{n}" for n in range(MAX_PROPERTIES_SEEN - 1)]
    pairs = frozenset((name, "string") for name in names)
    almost = EventType("full", MARCH, MARCH, pairs)  # type: ignore[arg-type]
    store.add(None, almost)
    one, two = (typed("full", {name: "x"}) for name in ("one", "two"))
    store.add(almost, almost.with_seen(event_types([one])["full"]))
    with pytest.raises(VersionConflictError):
        store.add(almost, almost.with_seen(event_types([two])["full"]))
    meterline.runtime.event_types.note([two])
    kept = store.get("full")
    assert kept is not None
    assert (len(kept.properties), kept.overflow) == (MAX_PROPERTIES_SEEN, True)
    with counted(meterline.runtime.dynamodb) as sent:
        meterline.runtime.event_types.note([typed("full", {"three": "x"})])
    assert sent == []


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("index", [0, 1])
def test_cut_at_a_write_the_next_delivery_completes_it(
    meterline: Stack, index: int, *, committed: bool
) -> None:
    kind = f"cut{index}{committed}"
    note = meterline.runtime.event_types.note
    with killed_at_write(meterline.runtime.dynamodb, index, committed=committed):
        note([typed(kind, {"a": "x"})])
    note([typed(kind, {"a": "x"})])
    kept = meterline.runtime.event_types.store.get(kind)
    assert kept is not None
    assert kept.properties == {("a", "string")}


def test_usage_counts_where_types_cannot_be_noted(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unavailable(*_: object) -> None:
        raise UnavailableError("overloaded")

    monkeypatch.setattr(meterline.runtime.event_types, "_kept", {})
    monkeypatch.setattr(DynamoEventTypeStore, "get", unavailable)
    record = usage_record(usage("unnoted", 1, MARCH), 9)
    answer = meterline.apply([record])
    assert answer["batchItemFailures"] == []
    account = meterline.runtime.store.account("unnoted")
    assert account is not None
    assert account.current.totals[2].count == 1
    assert '"EventTypesNotNoted": 1' in capsys.readouterr().out
