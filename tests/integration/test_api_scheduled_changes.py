"""Changes of a subscription at an instant, over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

AT = "2026-03-22T00:00:00Z"
THEN = datetime(2026, 3, 22, tzinfo=UTC)
ORDER = {"action": "change", "plan": "pro", "at": AT}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


@pytest.fixture
def customer(api: Api) -> str:
    """A customer of the test's own, since the month began."""
    api.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    path = api.new_customer()
    api.clock.at = NOON
    return path


def key_of(customer: str) -> str:
    return customer.rpartition("/")[2]


def invoices(api: Api, customer: str) -> Any:
    return api.get(f"{customer}/invoices")["data"]


def test_it_is_shown_and_nothing_else_happens_before(api: Api, customer: str) -> None:
    after = api.post(f"{customer}/subscription", ORDER, "k1")
    assert after == api.get(f"{customer}/subscription")
    assert (after["plan"], after["phase"]["end"]) == ("free", "2026-04-01T00:00:00Z")
    assert after["next_change"] == {
        "plan": "pro",
        "plan_version": 1,
        "quantity": 1,
        "paused": False,
        "at": AT,
    }
    assert invoices(api, customer) == []
    assert api.runtime.billing_run.bill(key_of(customer), THEN - timedelta(seconds=1)) == []
    assert api.post(f"{customer}/subscription", ORDER, "k1") == after
    newest = api.get(f"{customer}/ledger", query="order=desc&limit=1")["data"][0]
    assert (newest["kind"], newest["cause"]["at"]) == ("schedule", "2026-03-22T00:00:00.000000Z")


def check_changed(api: Api, customer: str) -> None:
    """Ten of 31 days of a fee of 31 are charged, once."""
    found = api.get(f"{customer}/subscription")
    assert (found["plan"], found["phase"]["start"], found["next_change"]) == ("pro", AT, None)
    assert found["period_number"] == 1
    [invoice] = invoices(api, customer)
    assert (invoice["kind"], invoice["total"]) == ("change", "10.00")
    # It is of the instant that was asked for, and issued when it was made.
    period = {"start": AT, "end": "2026-04-01T00:00:00Z"}
    assert [line["service_period"] for line in invoice["lines"]] == [period]
    assert invoice["finalized_at"] == "2026-03-22T03:00:00Z"
    assert api.get(f"{customer}/invoices/upcoming")["lines"][-1]["amount"] == "31.00"


def test_the_billing_run_carries_it_out(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", ORDER, "k1")
    api.clock.at = THEN + timedelta(hours=3)
    assert api.get(f"{customer}/subscription")["plan"] == "pro"  # Whether it has run yet or not.
    assert api.runtime.billing_run.bill(key_of(customer), api.clock.at) == ["opened"]
    assert api.runtime.billing_run.bill(key_of(customer), api.clock.at) == []
    check_changed(api, customer)


def test_usage_carries_it_out(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", ORDER, "k1")
    api.clock.at = THEN + timedelta(hours=3)
    api.use(key_of(customer), "chat.message", THEN)
    check_changed(api, customer)
    assert api.runtime.billing_run.bill(key_of(customer), api.clock.at) == []


def test_entitlements_follow_it_to_the_second(api: Api, customer: str) -> None:
    pause = {"action": "pause", "at": AT}
    api.post(f"{customer}/subscription", pause, "k1")
    api.clock.at = THEN - timedelta(seconds=1)
    assert api.get(f"{customer}/entitlements/tokens")["allowed"]
    api.clock.at = THEN
    assert api.get(f"{customer}/entitlements/tokens")["reason"] == "paused"


def test_another_order_takes_its_place(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", ORDER, "k1")
    later = {"action": "change", "plan": "max", "at": "2026-05-02T00:00:00Z"}
    replaced = api.post(f"{customer}/subscription", later, "k2")
    assert replaced["next_change"]["plan"] == "max"
    api.clock.at = datetime(2026, 4, 2, tzinfo=UTC)
    renewed = api.get(f"{customer}/subscription")
    assert (renewed["plan"], renewed["next_change"]["at"]) == ("free", "2026-05-02T00:00:00Z")
    api.clock.at = datetime(2026, 5, 2, tzinfo=UTC)
    assert api.get(f"{customer}/subscription")["plan"] == "max"


@pytest.mark.parametrize(
    ("order", "plan"),
    [
        ({"action": "resume"}, "free"),
        ({"action": "change", "plan": "max"}, "max"),
        ({"action": "change", "quantity": 2, "at": "now"}, "free"),
    ],
)
def test_it_is_taken_back_by_what_comes_instead(
    api: Api, customer: str, order: dict[str, object], plan: str
) -> None:
    api.post(f"{customer}/subscription", ORDER, "k1")
    after = api.post(f"{customer}/subscription", order, "k2")
    assert (after["plan"], after["next_change"]) == (plan, None)
    api.clock.at = THEN + timedelta(hours=1)
    api.runtime.billing_run.bill(key_of(customer), api.clock.at)
    assert api.get(f"{customer}/subscription")["plan"] == plan


def test_a_cancellation_at_an_instant_gives_money_back(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", {"action": "change", "plan": "pro"}, "k1")
    api.post(f"{customer}/subscription", {"action": "cancel", "at": AT}, "k2")
    api.clock.at = THEN + timedelta(days=1)
    api.runtime.billing_run.bill(key_of(customer), api.clock.at)
    found = api.get(f"{customer}/subscription")
    assert (found["plan"], found["credit"]) == ("free", "10")
