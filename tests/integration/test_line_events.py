"""The events behind invoice lines: listed, recounted, and never shown where they contradict."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from functions import api
from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.services import line_events
from tests.integration.conftest import Tables
from tests.support.builders import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    PEAK,
    VISITORS,
    a_plan_with_visits,
    usage,
    visit,
)
from tests.support.stack import Stack, stack
from tests.support.streams import Pump
from tests.unit.http.events import api_event

POISON: set[tuple[str, str]] = set()
LARGE = {"tokens": Decimal("12.5"), "model": "large"}


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish(VISITORS, PEAK)
        running.publish_defaults(a_plan_with_visits())
        running.runtime.__dict__["secret_keys"] = type(
            "Keys", (), {"key": staticmethod(lambda purpose: purpose.encode().ljust(32))}
        )
        yield running


@pytest.fixture(scope="module")
def pump(meterline: Stack) -> Pump:
    """Both streams; what the poisoned events' records hold cannot be read."""
    pump = meterline.pump()

    def aggregate(event: Any) -> Any:
        for record in event.get("Records", []):
            image = record["dynamodb"]["NewImage"]
            if (image["pk"]["S"], image["sk"]["S"]) in POISON:
                image["data"]["S"] = "{"
        return meterline.aggregate(event)

    return replace(pump, aggregate=aggregate)


def get(path: str, query: str = "", status: int = 200, **caller: str) -> Any:
    answer = api.handler(api_event("GET", path, query=query, **{"scopes": "read", **caller}), None)
    assert answer["statusCode"] == status, answer["body"]
    return json.loads(answer["body"])


def lines_of(meterline: Stack, customer: str, which: int = 0) -> tuple[str, list[Any]]:
    """The path of the customer's n-th invoice of a period, and its lines of usage."""
    items = reversed(meterline.runtime.store.invoices(customer, 1000, None).items)
    document: Any = [item for item in items if item["kind"] == "period"][which]
    return f"/v1/invoices/{document['id']}", [
        line for line in document["lines"] if line["type"] == "usage"
    ]


def behind(path: str, line: Any, query: str = "limit=1000", **caller: str) -> Any:
    return get(f"{path}/lines/{line['n']}/events", query, **caller)


def bill(meterline: Stack, pump: Pump, customer: str, now: datetime) -> None:
    pump.run()
    meterline.billing_run(pump).bill(customer, now)


def march(customer: str, size: int = 12) -> list[UsageEvent]:
    """Small ones, and every third a large one."""
    return [usage(customer, n, MARCH + n * DAY, None if n % 3 else LARGE) for n in range(size)]


def test_every_line_is_proven_by_the_events_behind_it(meterline: Stack, pump: Pump) -> None:
    events = march("plain")
    unmetered = usage("plain", "other", MARCH + DAY, type="unmetered")
    meterline.store(*events, unmetered, usage("plain", "april", APRIL))
    bill(meterline, pump, "plain", APRIL + HOUR)
    path, lines = lines_of(meterline, "plain")
    assert [line["meter"] for line in lines] == ["tokens", "tokens", "messages"]
    for line, wanted in zip(
        lines, ([0, 3, 6, 9], [1, 2, 4, 5, 7, 8, 10, 11], range(12)), strict=True
    ):
        page = behind(path, line)
        assert (page["state"], page["next_cursor"]) == ("proven", None)
        assert page["billed"] == page["recounted"] == line["events"]
        assert [event["id"] for event in reversed(page["data"])] == [str(n) for n in wanted]
        assert sum(Decimal(event["quantity"]) for event in page["data"]) == Decimal(
            line["quantity"]
        )
    assert behind(path, lines[0])["data"][0]["data"] == {"tokens": 12.5, "model": "large"}


def test_pages_add_up_to_the_line(meterline: Stack, pump: Pump) -> None:
    meterline.store(*march("paged"))
    bill(meterline, pump, "paged", APRIL + HOUR)
    path, lines = lines_of(meterline, "paged")
    ids: list[str] = []
    page: Any = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = behind(path, lines[2], f"limit=5{cursor}")
        assert page["state"] == "proven"
        ids += [event["id"] for event in page["data"]]
    assert ids == [str(n) for n in reversed(range(12))]
    assert page["recounted"] == lines[2]["events"]


def test_where_they_are_too_many_the_last_page_proves_them(
    meterline: Stack, pump: Pump, monkeypatch: pytest.MonkeyPatch
) -> None:
    meterline.store(*march("many", 20))
    bill(meterline, pump, "many", APRIL + HOUR)
    path, lines = lines_of(meterline, "many")
    monkeypatch.setattr(line_events, "MAX_READS", 1)
    monkeypatch.setattr("shared.adapters.dynamodb.events_by_time.FILTERED_READ_LIMIT", 3)
    states, ids = [], []
    page: Any = {"next_cursor": ""}
    while page["next_cursor"] is not None:
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else ""
        page = behind(path, lines[0], f"limit=2{cursor}")
        states.append((page["state"], page["recounted"] is None))
        ids += [event["id"] for event in page["data"]]
    assert ids == [str(n) for n in range(18, -1, -3)]
    assert set(states[:-1]) == {("too-many-events", True)}
    assert states[-1] == ("proven", False)


def test_late_and_redriven_events_are_behind_the_line_that_bills_them(
    meterline: Stack, pump: Pump
) -> None:
    events = march("late")
    meterline.store(*events)
    POISON.add(("late", events[4].key))
    path = f"/v1/quarantine/late/{events[4].key}/redrive"
    bill(meterline, pump, "late", APRIL + HOUR)
    first, lines = lines_of(meterline, "late")
    assert behind(first, lines[2])["state"] == "proven"
    assert api.handler(api_event("POST", path), None)["statusCode"] == 200
    more = usage("late", "more", MARCH + 2 * DAY)
    meterline.store(more, usage("late", "april", APRIL + DAY))
    bill(meterline, pump, "late", MAY + HOUR)
    assert lines_of(meterline, "late") == (first, lines)
    assert {behind(first, line)["state"] for line in lines} == {"proven"}
    second, lines = lines_of(meterline, "late", 1)
    of_late = [line for line in lines if line["late"]]
    assert {behind(second, line)["state"] for line in lines} == {"proven"}
    for line in of_late:
        ids = {event["id"] for event in behind(second, line)["data"]}
        assert ids == {"4", "more"}


def test_late_visitors_and_peaks_are_billed_by_what_they_add(meterline: Stack, pump: Pump) -> None:
    def came(*visits: tuple[str, datetime, str, int]) -> None:
        meterline.store(*(visit("visited", *each) for each in visits))

    came(("1", MARCH, "ann", 3), ("2", MARCH + DAY, "bob", 9), ("3", MARCH + DAY, "ann", 4))
    bill(meterline, pump, "visited", APRIL + HOUR)
    came(("4", MARCH, "bob", 12), ("5", MARCH, "cid", 5), ("6", APRIL + DAY, "ann", 2))
    bill(meterline, pump, "visited", MAY + HOUR)
    came(("7", MARCH, "cid", 1), ("8", MARCH, "dan", 11), ("9", APRIL, "ann", 2))
    bill(meterline, pump, "visited", MAY + 31 * DAY + HOUR)
    billed = []
    for which in range(3):
        path, lines = lines_of(meterline, "visited", which)
        for line in (each for each in lines if each["meter"] != "tokens"):
            page = behind(path, line)
            assert (page["state"], page["recounted"]) == ("proven", line["events"])
            assert page == behind(path, line, "limit=3")
            first = behind(path, line, "limit=1")
            assert (first["state"], first["recounted"]) == ("proven", line["events"])
            ids = "".join(sorted(event["id"] for event in page["data"]))
            billed.append((which + 1, line["meter"], ids, line["quantity"], line["amount"]))
    assert sorted(billed) == [
        (1, "peak", "123", "9", "0.90"),
        (1, "visitors", "123", "2", "4.00"),
        (2, "peak", "45", "3", "0.30"),
        (2, "peak", "6", "2", "0.20"),
        (2, "visitors", "45", "1", "2.00"),
        (2, "visitors", "6", "1", "2.00"),
        (3, "peak", "78", "0", "0.00"),
        (3, "peak", "9", "0", "0.00"),
        (3, "visitors", "78", "1", "2.00"),
        (3, "visitors", "9", "0", "0.00"),
    ]


def test_the_event_list_says_what_became_of_each(meterline: Stack, pump: Pump) -> None:
    poisoned, *_ = events = march("fates", 3)
    POISON.add(("fates", poisoned.key))
    meterline.store(*events, usage("fates", "other", MARCH, type="unmetered"))
    bill(meterline, pump, "fates", APRIL + HOUR)
    meterline.store(usage("fates", "late", MARCH), usage("fates", "open", APRIL))
    pump.run()
    first, _ = lines_of(meterline, "fates")
    query = "customer=fates&from=2026-02-20T00:00:00Z&to=2026-05-20T00:00:00Z"

    def listed() -> dict[str, Any]:
        return {event["id"]: event for event in get("/v1/events", query)["data"]}

    def became() -> dict[str, Any]:
        names = ("status", "meters", "late", "invoice")
        return {key: [event[name] for name in names] for key, event in listed().items()}

    both, march_invoice = ["messages", "tokens"], first.removeprefix("/v1/invoices/")
    assert became() == {
        "0": ["quarantined", [], None, None],
        "1": ["accepted", both, None, march_invoice],
        "2": ["accepted", both, None, march_invoice],
        "late": ["accepted", both, {"phase": 1, "period": 2}, None],
        "open": ["accepted", both, None, None],
        "other": ["accepted", [], None, None],
    }
    aside = listed()["0"]["quarantine"]
    assert (aside["reason"], aside["not_applied"][0]) == ("unreadable", "account")
    on_lines = {key: event["invoice_lines"] for key, event in listed().items()}
    for key in ("0", "late", "open", "other"):
        assert on_lines[key] == []
    assert len(on_lines["1"]) == 2
    for number in on_lines["1"]:
        ids = {event["id"] for event in get(f"{first}/lines/{number}/events")["data"]}
        assert "1" in ids
    meterline.runtime.redrive.redrive("fates", poisoned.key, "op")
    bill(meterline, pump, "fates", MAY + HOUR)
    second, _ = lines_of(meterline, "fates", 1)
    april_invoice = second.removeprefix("/v1/invoices/")
    late = ["accepted", both, {"phase": 1, "period": 2}, april_invoice]
    assert (became()["0"], became()["late"]) == (late, late)
    assert became()["open"][3] == april_invoice
    assert listed()["0"]["quarantine"] is None
    own, of_late = (set(listed()[key]["invoice_lines"]) for key in ("open", "late"))
    assert (len(own), len(of_late), own & of_late) == (2, 2, set())


def test_what_is_still_in_the_stream_settles_and_what_contradicts_is_not_shown(
    meterline: Stack, pump: Pump, capsys: pytest.CaptureFixture[str]
) -> None:
    meterline.store(*march("settling"))
    bill(meterline, pump, "settling", APRIL + HOUR)
    path, lines = lines_of(meterline, "settling")
    meterline.store(usage("settling", "on its way", MARCH + DAY))
    for _ in range(2):
        page = behind(path, lines[1])
        assert (page["state"], page["recounted"]["count"]) == ("settling", 9)
    pump.run()
    assert behind(path, lines[1])["state"] == "proven"
    # An event disappears: nothing on its way can explain it.
    gone = march("settling")[1]
    meterline.runtime.dynamodb.delete_item(
        TableName=meterline.events_table, Key={"pk": {"S": "settling"}, "sk": {"S": gone.key}}
    )
    assert behind(path, lines[1])["state"] == "settling"
    pump.run()
    capsys.readouterr()
    problem = get(f"{path}/lines/{lines[1]['n']}/events", status=409)
    assert problem["code"] == "contradiction"
    assert '"LineContradictions": 1' in capsys.readouterr().out
    assert behind(path, lines[0])["state"] == "proven"


def test_customers_see_their_own_and_bad_requests_are_refused(meterline: Stack, pump: Pump) -> None:
    meterline.store(*march("own"))
    bill(meterline, pump, "own", APRIL + HOUR)
    path, lines = lines_of(meterline, "own")
    events = f"{path}/lines/{lines[0]['n']}/events"
    portal = {"scopes": "portal"}
    assert get(events, customer="own", **portal)["state"] == "proven"
    get(events, status=404, customer="else", **portal)
    for number in ("0", "99", "x", "-1", "1.0", "²"):
        get(f"{path}/lines/{number}/events", status=404)
    get("/v1/invoices/none/lines/1/events", status=404)
    get(events, "limit=0", status=422)
    get(events, "cursor=forged", status=400)
    document = meterline.runtime.store.invoice(path.removeprefix("/v1/invoices/"))
    assert document is not None
    [fee] = [line["n"] for line in document["lines"] if line["type"] == "fee"]  # type: ignore[attr-defined]
    assert get(f"{path}/lines/{fee}/events", status=422)["errors"] == [
        {"pointer": "/line", "code": "not-usage"}
    ]
