"""Corrections of raw events: entries of their own, counted by their sign wherever events are."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from cli.exported_events import read_entries
from functions import api
from local.emulator import Aws
from shared.adapters.dynamodb.usage_events import to_item as event_item
from shared.domain.accounts import Totals
from shared.domain.events import UsageEvent
from shared.services.redrive import NotApplicableError
from tests.integration.conftest import Tables
from tests.support.builders import HOUR, usage
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record
from tests.unit.http.events import api_event

customers = (f"corrected-{n}" for n in itertools.count())
LARGE, SMALL, MESSAGES = 0, 1, 2


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@dataclass
class Case:
    """One customer whose events are corrected over the API and come through the real stream."""

    meterline: Stack
    customer: str
    at: datetime

    def send(self, number: int, tokens: str, model: str = "small") -> UsageEvent:
        data = {"tokens": Decimal(tokens), "model": model}
        event = usage(self.customer, number, self.at, data)
        self.meterline.store(event)
        return event

    def correct(self, number: int, key: str | None = None, **body: Any) -> tuple[int, Any]:
        order = {"customer": self.customer, "source": "tests", "id": str(number), **body}
        headers = {"idempotency-key": key} if key else {}
        event = api_event("POST", "/v1/events/correction", order, headers=headers)
        answer = api.handler(event, None)
        return answer["statusCode"], json.loads(answer["body"])

    def count(self) -> None:
        self.meterline.pump().run()

    def totals(self) -> tuple[Totals, ...]:
        account = self.meterline.runtime.store.account(self.customer)
        assert account is not None
        return account.current.totals

    def hours(self) -> tuple[int, Decimal]:
        found = self.meterline.runtime.store.usage_between(
            "tokens", self.customer, self.at - HOUR, self.at + HOUR
        )
        quarters = [quarter for hour in found for quarter in hour.quarters]
        return sum(q.count for q in quarters), sum((q.value for q in quarters), Decimal(0))


@pytest.fixture
def case(meterline: Stack) -> Case:
    now = meterline.runtime.clock.now().replace(microsecond=0)
    return Case(meterline, next(customers), now - HOUR)


def test_a_cancelled_event_counts_no_more(case: Case) -> None:
    case.send(1, "7")
    case.send(2, "30")
    case.count()
    before = case.totals()
    status, answer = case.correct(2, cancel=True, reason="sent by a test run")
    assert status == 200, answer
    assert answer["data"] is None
    assert [c["cancel"] for c in answer["corrections"]] == [True]
    assert case.totals() == before, "only the stream counts"
    case.count()
    assert case.hours() == (1, Decimal(7))
    small, messages = case.totals()[SMALL], case.totals()[MESSAGES]
    assert (small.count, small.value, messages.count) == (1, Decimal(7), 1)
    assert small.amount == 1_070_000_000
    assert small.drawn + small.overage == small.amount
    # Near a month's end its rest gives less than one message.
    assert messages.covered == min(Decimal(1), before[MESSAGES].covered)


def test_other_data_counts_instead_and_can_be_corrected_again(case: Case) -> None:
    case.send(1, "150")
    case.count()
    assert case.correct(1, data={"tokens": 3, "model": "large"})[0] == 200
    assert case.correct(1, data={"tokens": "20", "model": "large"})[0] == 200
    case.count()
    assert case.hours() == (1, Decimal(20))
    small, large = case.totals()[SMALL], case.totals()[LARGE]
    assert (small.count, small.value, small.checksum) == (0, Decimal(0), 0)
    assert small.amount == 1_000_000_000, "the first tier's flat fee is due from zero on"
    assert (large.count, large.value, large.drawn) == (1, Decimal(20), 600_000_000)


def test_the_same_data_again_changes_nothing(case: Case) -> None:
    case.send(1, "7")
    data = {"model": "small", "tokens": 7.0}
    status, answer = case.correct(1, data=data)
    assert (status, answer["corrections"]) == (200, [])
    assert case.correct(1, data={**data, "tokens": 8})[1]["corrections"][0]["number"] == 1
    status, answer = case.correct(1, data={**data, "tokens": "8.0"})
    assert (status, len(answer["corrections"])) == (200, 2 - 1 + 1)
    assert answer["data"] == {"model": "small", "tokens": "8.0"}, "a text is another value"


def test_a_cancelled_event_stays_cancelled(case: Case) -> None:
    case.send(1, "7")
    first = case.correct(1, key="once", cancel=True)
    assert first[0] == 200
    assert case.correct(1, key="once", cancel=True) == first
    status, answer = case.correct(1, key="once", data={})
    assert (status, answer["code"]) == (409, "idempotency-key-reused")
    for body in ({"cancel": True}, {"data": {"tokens": 1}}):
        status, answer = case.correct(1, **body)
        assert (status, answer["code"]) == (409, "already-cancelled")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"data": {"tokens": -1}}, 422, ("/data/tokens", "out-of-range")),
        ({"data": {"tokens": "many"}}, 422, ("/data/tokens", "not-a-number")),
        ({}, 422, ("", "cancel-or-data")),
        ({"cancel": True, "data": {}}, 422, ("", "cancel-or-data")),
        ({"cancel": False}, 422, ("/cancel", "literal-error")),
    ],
)
def test_what_breaks_a_rule_is_refused(
    case: Case, body: dict[str, Any], status: int, error: tuple[str, str]
) -> None:
    case.send(1, "7")
    answered, answer = case.correct(1, **body)
    assert answered == status
    assert [(e["pointer"], e["code"]) for e in answer["errors"]] == [error]
    assert case.correct(1, data={"tokens": 7, "model": "small"})[1]["corrections"] == []


def test_there_must_be_such_an_event(case: Case) -> None:
    status, answer = case.correct(404, cancel=True)
    assert (status, answer["code"]) == (404, "not-found")


def test_events_are_corrected_for_35_days(case: Case) -> None:
    case.at -= 36 * 24 * HOUR
    case.send(1, "7")
    status, answer = case.correct(1, cancel=True)
    assert (status, answer["errors"]) == (422, [{"pointer": "/id", "code": "too-old"}])


def test_an_event_that_cannot_be_read_is_corrected_when_it_is_mended(case: Case) -> None:
    item = {**event_item(case.send(1, "7")), "data": {"S": "{"}}
    table, client = case.meterline.events_table, case.meterline.runtime.dynamodb
    client.put_item(TableName=table, Item=item)
    status, answer = case.correct(1, cancel=True)
    assert (status, answer["code"]) == (409, "unreadable")


def test_a_resend_is_compared_with_what_was_sent(case: Case) -> None:
    event = case.send(1, "7")
    assert case.correct(1, data={"tokens": 8})[0] == 200
    fingerprints = case.meterline.runtime.event_store.fingerprints([(case.customer, event.key)])
    assert list(fingerprints.values()) == [event.fingerprint]


def test_what_reverses_a_quarantined_event_waits_for_it(case: Case) -> None:
    event = case.send(1, "7")
    record = usage_record(event, 1)
    record["dynamodb"]["NewImage"]["data"]["S"] = "{"
    assert case.meterline.apply([record])["batchItemFailures"] == []
    assert case.meterline.apply([record])["batchItemFailures"] == []
    assert case.correct(1, cancel=True)[0] == 200
    history = case.meterline.runtime.correction_store.history(case.customer, event.key)
    assert history is not None
    [reversal] = history.entries
    for _ in range(2):
        answer = case.meterline.apply([usage_record(reversal, 2)])
        assert answer["batchItemFailures"] == []
    kept = case.meterline.runtime.store.set_aside(case.customer)
    assert {k: r.reason for k, r in kept.items()} == {
        event.key: "unreadable",
        reversal.key: "reverses-quarantined",
    }
    redrive = case.meterline.runtime.redrive
    with pytest.raises(NotApplicableError):
        redrive.redrive(case.customer, reversal.key, "tests")
    redrive.redrive(case.customer, event.key, "tests")
    assert case.hours() == (1, Decimal(7))
    redrive.redrive(case.customer, reversal.key, "tests")
    assert case.hours() == (0, Decimal(0))
    assert case.totals()[SMALL].count == 0


def listed(case: Case, query: str = "") -> list[Any]:
    event = api_event("GET", "/v1/events", query=f"customer={case.customer}{query}")
    answer = api.handler(event, None)
    assert answer["statusCode"] == 200, answer
    return list(json.loads(answer["body"])["data"])


def test_an_event_is_listed_once_with_its_corrections(case: Case) -> None:
    case.send(1, "7")
    case.send(2, "5")
    case.correct(1, data={"tokens": 9, "model": "large"}, reason="wrong model")
    case.correct(1, data={"tokens": 10, "model": "large"})
    case.correct(2, cancel=True)
    case.count()
    found = {event["id"]: event for event in listed(case)}
    assert found.keys() == {"1", "2"}
    assert found["1"]["data"] == {"model": "small", "tokens": 7}
    first, second = found["1"]["corrections"]
    assert (first["number"], first["data"]["tokens"], first["reason"]) == (1, 9, "wrong model")
    assert [entry["role"] for entry in second["entries"]] == ["reversal", "replacement"]
    assert [entry["status"] for entry in second["entries"]] == ["accepted", "accepted"]
    assert [c["cancel"] for c in found["2"]["corrections"]] == [True]


def test_a_portal_token_is_not_told_whose_key_corrected(case: Case) -> None:
    case.send(1, "7")
    case.correct(1, cancel=True)
    [event] = listed(case)
    assert event["corrections"][0].pop("actor")
    query, caller = f"customer={case.customer}", {"scopes": "portal", "customer": case.customer}
    answer = api.handler(api_event("GET", "/v1/events", query=query, **caller), None)
    [shown] = json.loads(answer["body"])["data"]
    assert shown["corrections"][0].pop("actor") is None
    assert shown == event, "but of everything else"


def test_properties_are_searched_as_they_count_now(case: Case) -> None:
    case.send(1, "7")
    case.send(2, "7")
    case.correct(1, data={"tokens": 10, "model": "large"})
    case.correct(2, cancel=True)
    searches = {v: [e["id"] for e in listed(case, f"&property=tokens&value={v}")] for v in (7, 10)}
    assert searches == {7: [], 10: ["1"]}
    identified = "&source=tests&id=1&property=tokens&value=10"
    assert [event["id"] for event in listed(case, identified)] == ["1"]


def test_an_export_tells_every_entry(case: Case) -> None:
    event = case.send(1, "7")
    case.correct(1, data={"tokens": 10, "model": "large"})
    case.correct(1, cancel=True)
    case.count()
    [exported] = listed(case)
    history = case.meterline.runtime.correction_store.history(case.customer, event.key)
    assert history is not None
    entries = [entry for entry, _ in read_entries(exported)]
    assert [entry.key for entry in entries] == [event.key, *(e.key for e in history.entries)]
    assert [entry.data for entry in entries] == [event.data, *(e.data for e in history.entries)]
