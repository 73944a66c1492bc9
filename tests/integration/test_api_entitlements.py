"""Entitlements through the API: plan features, allowances, credits, and what asking costs."""

from datetime import timedelta
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, per_unit, publish_catalogue
from tests.integration.conftest import Tables
from tests.support.capacity import consumed

PLAN = {
    "name": "Strict",
    "currency": "USD",
    "interval": "month",
    "period": "calendar",
    "on_exhausted": "block",
    "allowances": [{"meter": "tokens", "quantity": "1000"}],
    "credits": [{"unit": "sparks", "amount": "2"}],
    "rates": [{"meter": "messages", "price": per_unit("1"), "unit": "sparks"}],
    "features": {"export": True, "seats": 5, "api-keys": 0, "messages-archive": True},
}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    start = {**PLAN, "default": True, "allowances": [], "credits": [], "features": {}}
    api.put("/v1/plans/free", start)
    api.put("/v1/plans/strict", PLAN)
    shadowed = {**PLAN, "features": {"tokens": 7}}
    api.put("/v1/plans/shadowed", shadowed)
    return api


@pytest.fixture(autouse=True)
def noon(api: Api) -> None:
    api.clock.at = NOON


def on(api: Api, plan: str) -> str:
    """The path of a new customer on the plan, from the start of a month on."""
    api.clock.at = NOON.replace(day=1, hour=0)
    customer = api.new_customer()
    api.post(f"{customer}/subscription", {"action": "change", "plan": plan, "at": "now"}, "change")
    api.clock.at = NOON
    return customer


def asked(api: Api, customer: str, feature: str) -> Any:
    found = api.get(f"{customer}/entitlements/{feature}")
    assert found.pop("feature") == feature
    return found


def test_features_of_the_plan(api: Api) -> None:
    customer = on(api, "strict")
    nothing = {"unit": None, "used": None, "limit": None, "remaining": None, "resets_at": None}
    allowed, refused = {"allowed": True, "reason": None}, {"allowed": False}
    assert asked(api, customer, "export") == {**nothing, **allowed}
    assert asked(api, customer, "seats") == {**nothing, **allowed, "limit": "5"}
    assert asked(api, customer, "api-keys") == {
        **nothing, **refused, "limit": "0", "reason": "not-in-plan"
    }  # fmt: skip
    assert asked(api, customer, "teleport") == {**nothing, **refused, "reason": "not-in-plan"}
    listed = api.get(f"{customer}/entitlements")["data"]
    assert [e["feature"] for e in listed] == [
        "api-keys", "export", "messages", "messages-archive", "seats", "tokens"
    ]  # fmt: skip
    assert listed[1] == api.get(f"{customer}/entitlements/export")


def test_an_allowance_is_used_up_and_resets(api: Api) -> None:
    customer = on(api, "strict")
    key = customer.rpartition("/")[2]
    before = {"unit": "meter:tokens", "used": "0", "limit": "1000", "remaining": "1000"}
    april = {"resets_at": "2026-04-01T00:00:00Z"}
    allowed = {"allowed": True, "reason": None}
    assert asked(api, customer, "tokens") == {**allowed, **before, **april}
    api.use(key, "ai.completion", NOON, tokens=400, model="large")
    after = {"unit": "meter:tokens", "used": "400", "limit": "1000", "remaining": "600"}
    assert asked(api, customer, "tokens") == {**allowed, **after, **april}
    api.use(key, "ai.completion", NOON, tokens=700, model="large")
    assert asked(api, customer, "tokens") == {
        "allowed": False,
        "reason": "allowance-used-up",
        "unit": "meter:tokens",
        "used": "1100",
        "limit": "1000",
        "remaining": "0",
        **april,
    }
    # Nobody has opened April yet: it is answered as if it had been.
    api.clock.at = NOON.replace(month=4)
    assert asked(api, customer, "tokens") == {
        **allowed, **before, "resets_at": "2026-05-01T00:00:00Z"
    }  # fmt: skip


def test_credits_are_used_up_and_bought(api: Api) -> None:
    customer = on(api, "strict")
    key = customer.rpartition("/")[2]
    api.use(key, "chat.message", NOON)
    found = asked(api, customer, "messages")
    assert (found["allowed"], found["unit"], found["used"]) == (True, "sparks", "1")
    assert (found["limit"], found["remaining"]) == (None, "1")
    api.use(key, "chat.message", NOON)
    found = asked(api, customer, "messages")
    assert (found["allowed"], found["reason"]) == (False, "credits-used-up")
    grant = {"unit": "sparks", "amount": "5", "source": "purchase"}
    expires = (NOON + timedelta(hours=1)).isoformat()
    api.post(f"{customer}/grants", {**grant, "expires_at": expires}, "dated")
    api.post(f"{customer}/grants", {**grant, "meters": ["tokens"]}, "of another meter")
    found = asked(api, customer, "messages")
    assert (found["allowed"], found["remaining"]) == (True, "5")
    api.clock.at = NOON + timedelta(hours=1)
    found = asked(api, customer, "messages")
    assert (found["allowed"], found["remaining"]) == (False, "0")


def test_a_plan_that_bills_blocks_nothing(api: Api) -> None:
    customer = on(api, "pro")
    key = customer.rpartition("/")[2]
    api.use(key, "ai.completion", NOON, tokens=5000, model="large")
    found = asked(api, customer, "tokens")
    assert (found["allowed"], found["reason"], found["unit"]) == (True, None, "USD")
    assert (found["used"], found["limit"], found["remaining"]) == ("5", None, "0")
    found = asked(api, customer, "messages")
    assert (found["allowed"], found["remaining"]) == (True, "0")


def test_a_feature_goes_before_a_meter_of_the_same_name(api: Api) -> None:
    customer = on(api, "shadowed")
    found = asked(api, customer, "tokens")
    assert (found["allowed"], found["limit"], found["unit"]) == (True, "7", None)


def test_asking_reads_one_item(api: Api) -> None:
    customer = on(api, "strict")
    api.use(customer.rpartition("/")[2], "chat.message", NOON)
    asked(api, customer, "messages")
    with consumed(api.runtime.dynamodb) as used:
        for feature in ("messages", "tokens", "export"):
            asked(api, customer, feature)
    assert used.requests == ["GetItem"] * 3
    assert used.read_units == 3


def test_on_a_test_clock_its_time_counts(api: Api) -> None:
    item = {"pk": {"S": "CLOCK#c9"}, "sk": {"S": "CLOCK"}, "now": {"S": "2030-01-02T00:00:00Z"}}
    table = api.runtime.settings.billing_table
    api.runtime.dynamodb.put_item(TableName=table, Item=item)
    customer = "/v1/customers/on-a-clock"
    api.put(customer, {"test_clock": "c9"})
    assert asked(api, customer, "messages")["resets_at"] == "2030-02-01T00:00:00Z"
    later = {**item, "now": {"S": "2030-02-02T00:00:00Z"}}
    api.runtime.dynamodb.put_item(TableName=table, Item=later)
    assert asked(api, customer, "messages")["resets_at"] == "2030-03-01T00:00:00Z"


def test_who_may_ask(api: Api) -> None:
    customer = on(api, "strict")
    key = customer.rpartition("/")[2]
    mine = api.call("GET", f"{customer}/entitlements/export", scopes="portal", customer=key)
    assert mine.status == 200
    other = api.call("GET", f"{customer}/entitlements/export", scopes="portal", customer="else")
    assert other.status == 404
    assert api.call("GET", "/v1/customers/nobody/entitlements/export").status == 404
    assert api.call("GET", f"{customer}/entitlements", query="at=now").status == 422
