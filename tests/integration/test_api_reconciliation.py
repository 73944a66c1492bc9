"""Reconciliation over the API: what people see of it, and what they can start."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from functions.routes import reconciliation as routes
from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.services.reconciliation import RawEvent, RawEvents
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

LATER = NOON + timedelta(days=3)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    # Nothing of these customers is in a stream.
    passed = SimpleNamespace(has_passed=lambda *_: True, mark_passed=lambda *_: None)
    api.runtime.__dict__["reconciler"] = replace(api.runtime.reconciler, barriers=passed)
    return api


def customer(api: Api) -> str:
    api.clock.at = NOON
    return api.new_customer().rpartition("/")[2]


def a_message(api: Api, key: str) -> UsageEvent:
    return UsageEvent(
        customer=key,
        source="test",
        id="1",
        type="chat.message",
        occurred_at=NOON,
        received_at=NOON,
        catalogue_version=api.runtime.catalogue.newest().version,
        data={},
        extensions={},
    )


def reconcile(api: Api, key: str) -> Any:
    api.clock.at = LATER
    reply = api.call("POST", f"/v1/reconciliation/{key}")
    assert reply.status == 200, reply.text
    return reply.json


def test_before_any_pass_there_is_no_clean_time(api: Api) -> None:
    assert api.get("/v1/reconciliation") == {"clean_at": None, "data": [], "next_cursor": None}
    key = customer(api)
    assert api.get(f"/v1/reconciliation/{key}") == {
        "customer": key,
        "clean_at": None,
        "checked_at": None,
        "judged_until": None,
        "findings": [],
        "held": False,
    }


def test_lost_usage_is_repaired_on_demand(api: Api, capsys: pytest.CaptureFixture[str]) -> None:
    key = customer(api)
    api.runtime.event_store.insert([a_message(api, key)])
    result = {"finished": True, "repaired": 1, "spanned": 0, "findings": []}
    assert reconcile(api, key) == result
    assert '"RepairsMade": 1' in capsys.readouterr().out
    assert reconcile(api, key) == {**result, "repaired": 0}
    entries = api.get(f"/v1/customers/{key}/ledger")["data"]
    assert [entry["kind"] for entry in entries] == ["opening", "repair"]
    assert api.get("/v1/reconciliation")["clean_at"] == "2026-03-13T12:00:00Z"


def test_contradictions_are_shown_and_can_be_released(api: Api) -> None:
    """What was counted has no raw event: it was removed."""
    key = customer(api)
    api.use(key, "chat.message", NOON)
    api.runtime.event_store.insert([replace(a_message(api, key), id="other")])
    [finding] = reconcile(api, key)["findings"]
    assert finding.startswith("usage of messages at 2026-03-10T12:00:00Z")
    note = api.get(f"/v1/reconciliation/{key}")
    assert (note["held"], note["findings"], note["clean_at"]) == (True, [finding], None)
    listed = api.get("/v1/reconciliation")
    assert (listed["clean_at"], [each["customer"] for each in listed["data"]]) == (None, [key])
    assert api.call("DELETE", f"/v1/reconciliation/{key}/hold").status == 204
    assert api.get(f"/v1/reconciliation/{key}")["held"] is False
    assert reconcile(api, key)["findings"] == [finding]
    assert api.get(f"/v1/reconciliation/{key}")["held"] is True


def test_a_pass_that_takes_long_says_that_it_is_not_finished(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request ends after 29 seconds; the stream is waited for longer than a pass may take."""
    key = customer(api)
    api.runtime.event_store.insert([a_message(api, key)])
    seconds = [0.0]

    def slow(*_: object) -> bool:
        seconds[0] += routes.SECONDS_FOR_A_PASS + 1
        return True

    known = api.runtime.reconciler
    barriers = SimpleNamespace(has_passed=slow, mark_passed=lambda *_: None)
    monkeypatch.setitem(api.runtime.__dict__, "reconciler", replace(known, barriers=barriers))
    monkeypatch.setattr(routes, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    nothing = {"finished": False, "repaired": 0, "spanned": 0, "findings": []}
    assert reconcile(api, key) == nothing
    assert api.get(f"/v1/reconciliation/{key}")["clean_at"] is None
    monkeypatch.setitem(api.runtime.__dict__, "reconciler", known)
    assert reconcile(api, key) == {**nothing, "finished": True, "repaired": 1}


@pytest.mark.parametrize("readings", [1, 2, 3, 4, 5])
def test_a_look_ends_where_it_is_when_time_is_up(
    api: Api, monkeypatch: pytest.MonkeyPatch, readings: int
) -> None:
    """However far it came: nothing is found, repaired or noted as judged by then."""
    key = customer(api)
    lost = [replace(a_message(api, key), id=str(number)) for number in range(5)]
    api.runtime.event_store.insert(lost)
    seconds = [0.0]
    read = RawEventsRead(api.runtime.reconciler.recounting.raw, seconds, readings)
    known = api.runtime.reconciler
    slow = replace(known, recounting=replace(known.recounting, raw=read))
    monkeypatch.setitem(api.runtime.__dict__, "reconciler", slow)
    monkeypatch.setattr(routes, "time", SimpleNamespace(monotonic=lambda: seconds[0]))
    nothing = {"finished": False, "repaired": 0, "spanned": 0, "findings": []}
    assert reconcile(api, key) == nothing
    assert read.given == readings
    note = api.get(f"/v1/reconciliation/{key}")
    assert (note["clean_at"], note["held"]) == (None, False)
    monkeypatch.setitem(api.runtime.__dict__, "reconciler", known)
    assert reconcile(api, key) == {**nothing, "finished": True, "repaired": 5}


class RawEventsRead:
    """Raw events whose reading takes the whole time of a pass when so many were given."""

    def __init__(self, raw: RawEvents, seconds: list[float], readings: int) -> None:
        self.raw, self.seconds, self.readings = raw, seconds, readings
        self.given = 0

    def between(self, *span: Any) -> Iterator[RawEvent]:
        for event in self.raw.between(*span):
            self.given += 1
            if self.given == self.readings:
                self.seconds[0] += routes.SECONDS_FOR_A_PASS + 1
            yield event


def test_a_stream_that_is_behind_is_told_to_be_asked_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = customer(api)
    api.runtime.event_store.insert([a_message(api, key)])
    behind = SimpleNamespace(has_passed=lambda *_: False, send=lambda *_: None)
    held_up = replace(api.runtime.reconciler, barriers=behind, sleep=lambda _: None)
    monkeypatch.setitem(api.runtime.__dict__, "reconciler", held_up)
    api.clock.at = LATER
    reply = api.call("POST", f"/v1/reconciliation/{key}")
    assert (reply.status, reply.json["code"]) == (503, "unavailable")
    assert int(reply.headers["Retry-After"]) > 0


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/reconciliation/nobody"),
        ("POST", "/v1/reconciliation/nobody"),
        ("DELETE", "/v1/reconciliation/nobody/hold"),
    ],
)
def test_an_unknown_customer_is_not_found(api: Api, method: str, path: str) -> None:
    reply = api.call(method, path)
    assert (reply.status, json.loads(reply.text)["code"]) == (404, "not-found")


def test_only_operators_start_passes_and_portals_see_none(api: Api) -> None:
    key = customer(api)
    for method, path in (("POST", ""), ("DELETE", "/hold")):
        reply = api.call(method, f"/v1/reconciliation/{key}{path}", scopes="read")
        assert reply.status == 403
    portal = {"scopes": "portal", "customer": key}
    assert api.call("GET", f"/v1/reconciliation/{key}", **portal).status == 404
    assert api.call("GET", "/v1/reconciliation", **portal).status in (403, 404)
