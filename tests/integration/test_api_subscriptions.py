"""Subscriptions over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

PRO = {"action": "change", "plan": "pro"}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    weekly = {"name": "Weekly", "currency": "USD", "interval": "week", "fee": "7.00"}
    weekly["period"] = "calendar"
    made.put("/v1/plans/weekly", weekly)
    made.put("/v1/plans/euro", {**weekly, "currency": "EUR"})
    return made


@pytest.fixture
def customer(api: Api) -> str:
    """A customer of the test's own, since the month began."""
    api.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    path = api.new_customer()
    api.clock.at = NOON
    return path


def invoices(api: Api, customer: str) -> Any:
    return api.get(f"{customer}/invoices")["data"]


def test_an_upgrade_is_made_at_once_and_its_fee_invoiced(api: Api, customer: str) -> None:
    after = api.post(f"{customer}/subscription", PRO, "k1")
    assert after == api.get(f"{customer}/subscription")
    assert after["plan"] == "pro"
    assert after["phase"] == {
        "number": 2,
        "state": "active",
        "start": "2026-03-10T12:00:00Z",
        "end": "2026-04-01T00:00:00Z",
    }
    assert after["period"] == {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
    assert after["next_change"] is None
    [invoice] = invoices(api, customer)
    assert (invoice["kind"], invoice["status"], invoice["total"]) == (
        "change",
        "finalized",
        "21.50",
    )
    newest = api.get(f"{customer}/ledger", query="order=desc&limit=1")["data"][0]
    assert (newest["kind"], newest["cause"]["plan"]) == ("subscription", "pro")


def test_a_second_upgrade_credits_the_unused_fee(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", PRO, "k1")
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    api.post(f"{customer}/subscription", {"action": "change", "plan": "max"}, "k2")
    newest = invoices(api, customer)[0]
    amounts = [(line["type"], line["amount"]) for line in newest["lines"]]
    assert amounts == [("proration", "-10.00"), ("fee", "20.00")]
    assert newest["total"] == "10.00"


def test_a_repeat_changes_once(api: Api, customer: str) -> None:
    first = api.call("POST", f"{customer}/subscription", PRO, key="k1")
    api.clock.at += timedelta(hours=1)
    again = api.call("POST", f"{customer}/subscription", PRO, key="k1")
    assert (first.status, first.text) == (again.status, again.text) == (200, first.text)
    assert len(invoices(api, customer)) == 1


def test_a_downgrade_and_a_cancellation_wait_for_the_period_end(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", {"action": "change", "plan": "max"}, "k1")
    after = api.post(f"{customer}/subscription", PRO, "k2")
    assert (after["plan"], after["next_change"]) == (
        "max",
        {
            "plan": "pro",
            "plan_version": 1,
            "quantity": 1,
            "paused": False,
            "at": "2026-04-01T00:00:00Z",
        },
    )
    after = api.post(f"{customer}/subscription", {"action": "cancel"}, "k3")
    assert after["next_change"]["plan"] == "free"
    api.clock.at = datetime(2026, 4, 2, tzinfo=UTC)
    renewed = api.get(f"{customer}/subscription")
    assert (renewed["plan"], renewed["period_number"], renewed["next_change"]) == ("free", 2, None)


def test_asking_for_the_plan_in_force_drops_what_was_scheduled(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", PRO, "k1")
    api.post(f"{customer}/subscription", {"action": "cancel"}, "k2")
    kept = api.post(f"{customer}/subscription", PRO, "k3")
    assert (kept["plan"], kept["next_change"]) == ("pro", None)
    assert api.post(f"{customer}/subscription", PRO, "k4") == kept
    assert len(invoices(api, customer)) == 1


def test_a_cancellation_at_once_leaves_credit_that_pays_for_the_next_invoice(
    api: Api, customer: str
) -> None:
    api.post(f"{customer}/subscription", PRO, "k1")
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    cancelled = api.post(f"{customer}/subscription", {"action": "cancel", "at": "now"}, "k2")
    assert (cancelled["plan"], cancelled["next_change"], cancelled["credit"]) == (
        "free",
        None,
        "10",
    )
    newest = invoices(api, customer)[0]
    lines = [(line["type"], line["amount"]) for line in newest["lines"]]
    assert lines == [("proration", "-10.00"), ("carried_forward", "10.00")]
    assert newest["total"] == "0.00"
    again = api.post(f"{customer}/subscription", PRO, "k3")
    lines = [(line["type"], line["amount"]) for line in invoices(api, customer)[0]["lines"]]
    assert lines == [("fee", "10.00"), ("brought_forward", "-10.00")]
    assert again["credit"] == "0"


@pytest.mark.parametrize("at", ["now", "period_end"])
def test_a_plan_in_another_currency_is_refused(api: Api, customer: str, at: str) -> None:
    order = {"action": "change", "plan": "euro", "at": at}
    assert api.call("POST", f"{customer}/subscription", order, key="k1").status == 409


def test_an_upgrade_can_wait(api: Api, customer: str) -> None:
    order = {**PRO, "at": "period_end"}
    assert api.post(f"{customer}/subscription", order, "k1")["next_change"]["plan"] == "pro"
    upcoming = api.get(f"{customer}/invoices/upcoming")
    assert [(line["type"], line["amount"]) for line in upcoming["lines"]] == [("fee", "31.00")]


def test_a_plan_with_another_rhythm_starts_a_period_of_its_own(api: Api, customer: str) -> None:
    order = {"action": "change", "plan": "weekly"}
    after = api.post(f"{customer}/subscription", order, "k1")
    assert (after["period_number"], after["period"]) == (
        2,
        {"start": "2026-03-10T12:00:00Z", "end": "2026-03-16T00:00:00Z"},
    )
    assert invoices(api, customer)[0]["total"] == "5.50"


def test_seats_are_added_at_once_and_taken_away_at_the_periods_end(api: Api, customer: str) -> None:
    two = api.post(f"{customer}/subscription", {**PRO, "quantity": 2}, "k1")
    assert (two["quantity"], invoices(api, customer)[0]["total"]) == (2, "43.00")
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    five = api.post(f"{customer}/subscription", {"action": "change", "quantity": 5}, "k2")
    assert (five["quantity"], five["phase"]["number"]) == (5, two["phase"]["number"])
    newest = invoices(api, customer)[0]
    lines = [(line["type"], line["amount"], line["quantity"]) for line in newest["lines"]]
    assert lines == [("proration", "-20.00", "2"), ("fee", "50.00", "5")]
    pro = {**api.get("/v1/plans/pro"), "key": None, "version": None}
    draft = {name: value for name, value in pro.items() if value is not None}
    span = {"from": "2026-03-01T00:00:00Z", "to": "2026-04-01T00:00:00Z"}
    asked = {"plan": draft, **span, "customers": [customer.rpartition("/")[2]]}
    [replayed] = api.call("POST", "/v1/pricing/replay", asked).json["data"]
    assert replayed["before"]["fees"] == "73.00"  # what both invoices said
    fewer = api.post(f"{customer}/subscription", {"action": "change", "quantity": 1}, "k3")
    assert (fewer["quantity"], fewer["next_change"]["quantity"]) == (5, 1)
    upcoming = api.get(f"{customer}/invoices/upcoming")
    assert upcoming["lines"][-1]["amount"] == "31.00"


def test_a_pause_stops_the_fee_until_it_is_resumed(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", PRO, "k1")
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    paused = api.post(f"{customer}/subscription", {"action": "pause"}, "k2")
    assert (paused["phase"]["state"], paused["plan"], paused["credit"]) == ("paused", "pro", "10")
    assert api.get(f"{customer}/invoices/upcoming")["lines"] == []
    api.clock.at = datetime(2026, 3, 27, tzinfo=UTC)
    resumed = api.post(f"{customer}/subscription", {"action": "resume"}, "k3")
    assert (resumed["phase"]["state"], resumed["credit"]) == ("active", "5")


def test_resuming_takes_a_cancellation_back(api: Api, customer: str) -> None:
    api.post(f"{customer}/subscription", PRO, "k1")
    assert api.post(f"{customer}/subscription", {"action": "cancel"}, "k2")["next_change"]
    kept = api.post(f"{customer}/subscription", {"action": "resume"}, "k3")
    assert (kept["plan"], kept["next_change"]) == ("pro", None)


def test_a_trial_is_free_and_its_upcoming_invoice_tells_the_first_fee(
    api: Api, customer: str
) -> None:
    plan = {"name": "Try", "currency": "USD", "interval": "month", "fee": "30.00"}
    api.put("/v1/plans/try", {**plan, "trial_days": 14})
    tried = api.post(f"{customer}/subscription", {"action": "change", "plan": "try"}, "k1")
    assert tried["phase"] == {
        "number": 2,
        "state": "trial",
        "start": "2026-03-10T12:00:00Z",
        "end": "2026-03-24T12:00:00Z",
    }
    assert invoices(api, customer) == []
    [fee] = api.get(f"{customer}/invoices/upcoming")["lines"]
    assert (fee["amount"], fee["service_period"]) == (
        "30.00",
        {"start": "2026-03-24T12:00:00Z", "end": "2026-04-24T12:00:00Z"},
    )


def test_changes_leave_room_for_the_periods_to_come(api: Api, customer: str) -> None:
    plans = ["pro", "max"]
    statuses = []
    for number in range(8):
        order = {"action": "change", "plan": plans[number % 2], "at": "now"}
        api.put(f"/v1/plans/{plans[number % 2]}", _dearer(number))
        statuses.append(api.call("POST", f"{customer}/subscription", order, key=str(number)).status)
    assert statuses == [200] * 5 + [409] * 3


def _dearer(number: int) -> dict[str, object]:
    fee = f"{100 + number}.00"
    plan = {"name": "P", "currency": "USD", "interval": "month", "fee": fee}
    return {**plan, "period": "calendar"}


@pytest.mark.parametrize(
    ("order", "pointer", "code"),
    [
        ({"action": "change"}, "/plan", "required"),
        ({"action": "change", "plan": "none"}, "/plan", "unknown-plan"),
        ({"action": "cancel", "plan": "pro"}, "/plan", "not-for-cancel"),
        ({"action": "pause", "plan": "pro"}, "/plan", "not-for-pause"),
        ({"action": "resume", "quantity": 2}, "/quantity", "only-for-change"),
        ({"action": "explode"}, "/action", "literal-error"),
        ({**PRO, "quantity": 0}, "/quantity", "greater-than-equal"),
        ({**PRO, "quantity": "2"}, "/quantity", "int-type"),
        ({**PRO, "at": "2026-03-10T12:00:00Z"}, "/at", "not-in-the-future"),
        ({**PRO, "at": "2026-03-10T12:00:00.5Z"}, "/at", "not-a-whole-second"),
        ({**PRO, "at": "tomorrow"}, "/at", "not-rfc3339"),
        ({**PRO, "price": "0"}, "/price", "unknown-member"),
    ],
)
def test_an_order_that_breaks_a_rule_changes_nothing(
    api: Api, customer: str, order: dict[str, object], pointer: str, code: str
) -> None:
    refused = api.call("POST", f"{customer}/subscription", order, key="k1")
    assert (refused.status, refused.json["errors"]) == (422, [{"pointer": pointer, "code": code}])
    assert api.get(f"{customer}/subscription")["plan"] == "free"
