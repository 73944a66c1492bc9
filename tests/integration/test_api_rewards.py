"""Rewards over HTTP, given by the real consumer of the stream's records, on a real engine."""

from datetime import timedelta
from typing import Any

import pytest

from functions.follow_usage import handler
from local.emulator import Aws
from shared.adapters.dynamodb.billing_items import usage_hour_item
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

EVERY_5 = {"meter": "messages", "every": "5", "unit": "sparks", "amount": "1", "expires": "P90D"}


@pytest.fixture
def api(aws: Aws, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    monkeypatch.setattr("functions.follow_usage.runtime", lambda: made.runtime)
    return made


def a_customer(api: Api) -> str:
    """One that was made a while ago: what is given now covers no usage from before."""
    api.clock.at = NOON - timedelta(hours=1)
    made = api.new_customer()
    api.clock.at = NOON
    return made


def follow(api: Api, customer: str, meter: str = "messages") -> dict[str, Any]:
    """What the stream tells of the customer's usage hours, all at once."""
    key = customer.rpartition("/")[2]
    span = timedelta(days=40)
    hours = api.runtime.store.usage_between(meter, key, NOON - span, NOON + span)
    images = [{"NewImage": usage_hour_item(hour), "SequenceNumber": "1"} for hour in hours]
    return handler({"Records": [{"dynamodb": image} for image in images]}, None)


def recount(api: Api, customer: str, **span: str) -> Any:
    answer = api.call("POST", "/v1/rewards/recount", {"customer": customer, **span})
    assert answer.status == 200, answer.text
    return answer.json


def progress(api: Api, customer: str, rule: str) -> Any:
    found = api.get(f"{customer}/rewards")["data"]
    return next(each for each in found if each["rule"] == rule)


def rewards(api: Api, customer: str) -> list[Any]:
    grants = api.get(f"{customer}/grants")["data"]
    return [grant for grant in grants if grant["source"] == "reward"]


def test_every_five_messages_earn_one_credit_once(api: Api) -> None:
    api.put("/v1/reward-rules/every-5", EVERY_5)
    customer = a_customer(api)
    for number in range(13):
        api.use(customer.rpartition("/")[2], "chat.message", NOON)
        if number in (3, 6):
            assert follow(api, customer) == {"batchItemFailures": []}
    for _ in range(3):
        follow(api, customer)
    found = progress(api, customer, "every-5")
    assert {name: found[name] for name in ("counted", "towards_next", "earned", "given")} == {
        "counted": "13",
        "towards_next": "3",
        "earned": "2",
        "given": "2",
    }
    [grant] = rewards(api, customer)
    assert (grant["source"], grant["amount"], grant["unit"]) == ("reward", "2", "sparks")
    # 90 days from 10 March is 8 June; rewards of a month expire together at its end.
    assert grant["expires_at"] == "2026-07-01T00:00:00Z"
    entries = api.get(f"{customer}/ledger", query="unit=sparks")["data"]
    given = [entry for entry in entries if entry["kind"] == "grant"]
    assert [entry["amount"] for entry in given] == ["1", "1"]
    assert {entry["cause"]["rule"] for entry in given} == {"every-5"}
    api.call("POST", "/v1/reward-rules/every-5/archive")


def test_a_rule_counts_usage_of_its_dimension_values_only_and_stops_at_its_cap(api: Api) -> None:
    rule = {
        "meter": "tokens",
        "where": {"model": "small"},
        "every": "100",
        "unit": "USD",
        "amount": "0.5",
        "cap": {"per": "total", "amount": "1"},
    }
    api.put("/v1/reward-rules/small", rule)
    customer = a_customer(api)
    key = customer.rpartition("/")[2]
    api.use(key, "ai.completion", NOON, model="small", tokens=150)
    api.use(key, "ai.completion", NOON, model="large", tokens=1000)
    follow(api, customer, "tokens")
    found = progress(api, customer, "small")
    assert (found["counted"], found["towards_next"], found["given"]) == ("150", "50", "0.5")
    assert found["capped"] is False
    api.use(key, "ai.completion", NOON, model="small", tokens=500)
    follow(api, customer, "tokens")
    found = progress(api, customer, "small")
    assert (found["earned"], found["given"], found["capped"]) == ("1", "1", True)
    api.call("POST", "/v1/reward-rules/small/archive")


def test_a_voided_reward_stays_voided_and_the_next_one_is_a_grant_of_its_own(api: Api) -> None:
    api.put("/v1/reward-rules/each", {**EVERY_5, "every": "1", "expires": "never"})
    customer = a_customer(api)
    key = customer.rpartition("/")[2]
    api.use(key, "chat.message", NOON)
    follow(api, customer)
    [first] = rewards(api, customer)
    api.post(f"{customer}/grants/{first['id']}/void", None, "v")
    api.use(key, "chat.message", NOON + timedelta(hours=1))
    follow(api, customer)
    second, voided = sorted(rewards(api, customer), key=lambda grant: grant["status"])
    assert (voided["id"], voided["amount"]) == (first["id"], "1")
    assert (second["amount"], second["status"]) == ("1", "active")
    api.call("POST", "/v1/reward-rules/each/archive")


def test_with_too_many_open_grants_a_reward_waits_and_is_given_later(api: Api) -> None:
    api.put("/v1/reward-rules/waits", {**EVERY_5, "meter": "tokens", "every": "1"})
    customer = a_customer(api)
    body = {"unit": "sparks", "amount": "1", "source": "promotion"}
    grants = [api.post(f"{customer}/grants", body, f"g{number}") for number in range(16)]
    api.use(customer.rpartition("/")[2], "ai.completion", NOON, tokens=1)
    follow(api, customer, "tokens")
    found = progress(api, customer, "waits")
    assert (found["waiting"], found["given"]) == ("1", "0")
    api.clock.at = NOON + timedelta(days=40)
    key = customer.rpartition("/")[2]
    assert recount(api, key) == {"given": 0, "waiting": 1}
    api.post(f"{customer}/grants/{grants[0]['id']}/void", None, "v")
    # It needs no usage: there is none in the time that is counted.
    assert recount(api, key) == {"given": 1, "waiting": 0}
    assert recount(api, key) == {"given": 0, "waiting": 0}
    found = progress(api, customer, "waits")
    assert (found["waiting"], found["given"]) == ("0", "1")
    api.call("POST", "/v1/reward-rules/waits/archive")


def test_a_recount_gives_what_the_stream_lost_and_nothing_twice(api: Api) -> None:
    api.put("/v1/reward-rules/lost", EVERY_5)
    customer = a_customer(api)
    key = customer.rpartition("/")[2]
    for _ in range(5):
        api.use(key, "chat.message", NOON)
    follow(api, customer)
    for number in range(7):
        api.use(key, "chat.message", NOON + timedelta(hours=1 + number % 2))
    api.clock.at = NOON + timedelta(days=40)
    # Of the last 31 days there is nothing, of the hours asked for there is.
    assert recount(api, key) == {"given": 0, "waiting": 0}
    span = {"from": "2026-03-10T13:30:00Z", "to": "2026-03-10T14:00:00Z"}
    assert recount(api, key, **span) == {"given": 0, "waiting": 0}
    assert progress(api, customer, "lost")["counted"] == "9"
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-31T00:00:00Z"}
    assert recount(api, key, **span) == {"given": 1, "waiting": 0}
    assert recount(api, key, **span) == {"given": 0, "waiting": 0}
    found = progress(api, customer, "lost")
    assert (found["counted"], found["given"]) == ("12", "2")
    follow(api, customer)
    assert progress(api, customer, "lost")["counted"] == "12"
    api.call("POST", "/v1/reward-rules/lost/archive")


def test_a_recount_begins_where_nothing_was_heard_of_yet(api: Api) -> None:
    api.put("/v1/reward-rules/unheard", {**EVERY_5, "every": "1"})
    customer = a_customer(api)
    key = customer.rpartition("/")[2]
    api.use(key, "chat.message", NOON)
    assert recount(api, key) == {"given": 0, "waiting": 0}  # Up to now: the hour to come is not.
    api.clock.at = NOON + timedelta(minutes=1)
    assert recount(api, key) == {"given": 1, "waiting": 0}
    assert progress(api, customer, "unheard")["given"] == "1"
    api.call("POST", "/v1/reward-rules/unheard/archive")


def test_a_rule_never_changes_and_an_archived_one_gives_nothing_more(api: Api) -> None:
    made = api.put("/v1/reward-rules/fixed", EVERY_5)
    assert made == api.put("/v1/reward-rules/fixed", EVERY_5)
    refused = api.call("PUT", "/v1/reward-rules/fixed", {**EVERY_5, "amount": "2"})
    assert (refused.status, refused.json["code"]) == (409, "rule-immutable")
    archived = api.call("POST", "/v1/reward-rules/fixed/archive").json
    assert archived["archived_at"] is not None
    customer = a_customer(api)
    for _ in range(5):
        api.use(customer.rpartition("/")[2], "chat.message", NOON)
    follow(api, customer)
    assert all(each["rule"] != "fixed" for each in api.get(f"{customer}/rewards")["data"])
    assert rewards(api, customer) == []


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"meter": "none"}, "/meter", "unknown-meter"),
        ({"where": {"model": "x"}}, "/where/model", "unknown-dimension"),
        ({"unit": "coins"}, "/unit", "unknown-unit"),
        ({"amount": "0.001"}, "/amount", "too-many-decimals"),
        ({"cap": {"per": "month", "amount": "0.001"}}, "/cap/amount", "too-many-decimals"),
        ({"every": "0"}, "/every", "out-of-range"),
        ({"expires": "P400D"}, "/expires", "out-of-range"),
        ({"starts_at": "2026-03-10T12:01:00Z"}, "/starts_at", "not-on-quarter-hour"),
        ({"starts_at": "2025-03-10T12:00:00Z"}, "/starts_at", "too-far-back"),
        ({"cap": {"per": "period", "amount": "1"}}, "/cap/per", "literal-error"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(
    api: Api, change: dict[str, Any], pointer: str, code: str
) -> None:
    refused = api.call("PUT", "/v1/reward-rules/bad", {**EVERY_5, **change})
    assert refused.status == 422, refused.text
    assert {"pointer": pointer, "code": code} in refused.json["errors"]
    assert api.call("GET", "/v1/reward-rules/bad").status == 404


def test_a_portal_token_sees_its_own_rewards_and_no_rules(api: Api) -> None:
    mine, other = a_customer(api), a_customer(api)
    token = {"scopes": "portal", "customer": mine.rpartition("/")[2]}
    assert api.call("GET", f"{mine}/rewards", **token).status == 200
    assert api.call("GET", f"{other}/rewards", **token).status == 404
    assert api.call("GET", "/v1/reward-rules", **token).status == 403
