"""Recurring add-ons over HTTP: bought once, charged and given with each period, until cancelled."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Aws
from shared.domain.verification import verify
from tests.integration.api import Api, publish_catalogue
from tests.integration.conftest import Tables

EXTRA = {
    "name": "Extra tokens",
    "price": "31.00",
    "interval": "month",
    "allowances": [{"meter": "tokens", "quantity": "310"}],
}
THEN = datetime(2026, 3, 22, tzinfo=UTC)
APRIL, MAY = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC)
GRACE = timedelta(hours=1)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    made.put("/v1/add-ons/extra", EXTRA)
    made.put("/v1/add-ons/yearly", {**EXTRA, "interval": "year"})
    weekly = {"name": "Weekly", "currency": "USD", "interval": "week", "fee": "7.00"}
    made.put("/v1/plans/weekly", {**weekly, "period": "calendar"})
    return made


@pytest.fixture
def customer(api: Api) -> str:
    """A customer on a plan with a fee since the month began; it is the 22nd of 31 days."""
    api.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    path = api.new_customer()
    api.post(f"{path}/subscription", {"action": "change", "plan": "pro"}, "k0")
    api.clock.at = THEN
    return path


def key_of(customer: str) -> str:
    return customer.rpartition("/")[2]


class NothingOnTheWay:
    """Barriers of a stream that has delivered everything."""

    def send(self, customer: str, token: str) -> None:
        """Nothing to send."""

    def mark_passed(self, customer: str, token: str) -> None:
        """Nothing to note."""

    def has_passed(self, customer: str, token: str) -> bool:
        return True


def run(api: Api, customer: str, at: datetime) -> None:
    """What the scheduled run does up to the instant."""
    api.clock.at = at
    replace(api.runtime.billing_run, barriers=NothingOnTheWay()).bill(key_of(customer), at)


def newest(api: Api, customer: str) -> Any:
    return api.get(f"{customer}/invoices")["data"][0]


def add_on_lines(invoice: Any) -> list[tuple[str, str]]:
    return [(x["description"], x["amount"]) for x in invoice["lines"] if x["type"] == "add_on"]


def tokens_left(api: Api, customer: str) -> str:
    left: str = api.get(f"{customer}/entitlements/tokens")["remaining"]
    return left


def test_the_first_period_is_prorated_and_each_next_one_whole(api: Api, customer: str) -> None:
    bought = api.post(f"{customer}/add-ons", {"add_on": "extra", "quantity": 2}, "k1")
    assert [grant["amount"] for grant in bought["grants"]] == ["200"]
    assert add_on_lines(newest(api, customer)) == [("Extra tokens × 2", "20.00")]
    assert api.post(f"{customer}/add-ons", {"add_on": "extra", "quantity": 2}, "k1") == bought
    shown = api.get(f"{customer}/subscription")["add_ons"]
    assert shown == [{"add_on": "extra", "version": 1, "quantity": 2, "ends_at": None}]
    assert tokens_left(api, customer) == "1200"  # With what the free plan had given.
    upcoming = api.get(f"{customer}/invoices/upcoming")
    assert add_on_lines(upcoming) == [("Extra tokens × 2", "62.00")]
    assert upcoming["lines"][-1]["service_period"]["start"] == "2026-04-01T00:00:00Z"
    for end in (APRIL, MAY):
        run(api, customer, end + GRACE)
        assert add_on_lines(newest(api, customer)) == [("Extra tokens × 2", "62.00")]
        assert newest(api, customer)["total"] == "93.00"
        assert tokens_left(api, customer) == "620"


def test_usage_draws_it_and_what_is_left_ends_with_the_period(api: Api, customer: str) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    api.use(key_of(customer), "ai.completion", THEN, tokens=30, model="s")
    assert tokens_left(api, customer) == "1070"
    api.use(key_of(customer), "ai.completion", APRIL + timedelta(days=1), tokens=10, model="s")
    api.clock.at = APRIL + timedelta(days=1)
    assert tokens_left(api, customer) == "300"


def test_what_was_paid_is_earned_once(api: Api, customer: str) -> None:
    """The first part when it is used or expires, by the ledger; from then on as the fee is."""
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    run(api, customer, APRIL + GRACE)
    api.use(key_of(customer), "ai.completion", APRIL + timedelta(days=1), tokens=31, model="s")
    run(api, customer, MAY + GRACE)
    months = "from=2026-03-01T00:00:00Z&to=2026-05-01T00:00:00Z&window=month"
    asked = f"customer={key_of(customer)}&{months}"
    march, april = api.get("/v1/analytics/revenue", query=asked)["data"]
    assert march["parts"] == {"fees": "31"}
    assert april["parts"] == {"breakage": "10", "fees": "31", "packs": "31"}


def test_a_cancelled_one_lasts_as_long_as_it_is_paid(api: Api, customer: str) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    cancelled = api.post(f"{customer}/add-ons/extra/cancel", None, "k2")
    assert cancelled["add_ons"][0]["ends_at"] == "2026-04-01T00:00:00Z"
    assert api.post(f"{customer}/add-ons/extra/cancel", None, "k3") == cancelled
    assert tokens_left(api, customer) == "1100"
    assert add_on_lines(api.get(f"{customer}/invoices/upcoming")) == []
    run(api, customer, APRIL + GRACE)
    assert add_on_lines(newest(api, customer)) == []
    assert tokens_left(api, customer) == "0"
    assert api.get(f"{customer}/subscription")["add_ons"] == []
    again = api.call("POST", f"{customer}/add-ons/extra/cancel", None, key="k4")
    assert (again.status, again.json["code"]) == (404, "not-found")


def test_one_cancelled_in_the_grace_is_charged_for_the_period_that_began(
    api: Api, customer: str
) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    api.clock.at = APRIL + timedelta(minutes=10)
    api.post(f"{customer}/add-ons/extra/cancel", None, "k2")
    run(api, customer, APRIL + GRACE)
    assert add_on_lines(newest(api, customer)) == [("Extra tokens × 1", "31.00")]
    assert tokens_left(api, customer) == "310"
    run(api, customer, MAY + GRACE)
    assert add_on_lines(newest(api, customer)) == []


def test_one_bought_in_the_grace_is_charged_for_that_period_once(api: Api, customer: str) -> None:
    api.clock.at = APRIL + timedelta(minutes=10)
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    run(api, customer, APRIL + GRACE)
    assert add_on_lines(newest(api, customer)) == []
    run(api, customer, MAY + GRACE)
    assert add_on_lines(newest(api, customer)) == [("Extra tokens × 1", "31.00")]


@pytest.mark.parametrize(
    ("order", "goes_on"),
    [
        ({"action": "change", "plan": "max"}, True),
        ({"action": "change", "plan": "max", "at": "period_end"}, True),
        ({"action": "cancel"}, False),
        ({"action": "cancel", "at": "now"}, False),
        ({"action": "change", "plan": "weekly", "at": "now"}, False),
        ({"action": "change", "plan": "weekly", "at": "period_end"}, False),
        ({"action": "pause", "at": "period_end"}, False),
    ],
)
def test_it_goes_with_the_plans_rhythm(
    api: Api, customer: str, order: dict[str, object], goes_on: bool
) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    api.post(f"{customer}/subscription", order, "k2")
    run(api, customer, APRIL + GRACE)
    periods = [x for x in api.get(f"{customer}/invoices")["data"] if x["kind"] == "period"]
    assert any(map(add_on_lines, periods)) == goes_on


def test_after_a_pause_it_comes_back_with_the_next_period(api: Api, customer: str) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    api.post(f"{customer}/subscription", {"action": "pause", "at": "period_end"}, "k2")
    run(api, customer, APRIL + GRACE)
    api.post(f"{customer}/subscription", {"action": "resume"}, "k3")
    assert add_on_lines(api.get(f"{customer}/invoices/upcoming")) == [("Extra tokens × 1", "31.00")]
    run(api, customer, MAY + GRACE)
    assert tokens_left(api, customer) == "310"


def test_its_lines_are_verified(api: Api, customer: str) -> None:
    api.post(f"{customer}/add-ons", {"add_on": "extra"}, "k1")
    run(api, customer, APRIL + GRACE)
    document = api.get(f"/v1/invoices/{newest(api, customer)['id']}")
    assert verify(document, []) == ()
    changed = [{**x, "amount": "3.00"} if x["type"] == "add_on" else x for x in document["lines"]]
    assert verify({**document, "lines": changed}, [])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({**EXTRA, "expires": "never"}, "recurring-expires-with-the-period"),
        ({**EXTRA, "expires": "P90D"}, "recurring-expires-with-the-period"),
        ({**EXTRA, "interval": "fortnight"}, "literal-error"),
    ],
)
def test_what_cannot_recur_is_refused(api: Api, body: dict[str, object], code: str) -> None:
    refused = api.call("PUT", "/v1/add-ons/broken", body)
    assert (refused.status, refused.json["errors"][0]["code"]) == (422, code)


def test_what_does_not_fit_the_customers_plan_is_refused(api: Api, customer: str) -> None:
    other = api.call("POST", f"{customer}/add-ons", {"add_on": "yearly"}, key="k1")
    assert other.status == 409
    for number in range(10):
        api.post(f"{customer}/add-ons", {"add_on": "extra"}, f"n{number}")
    assert api.call("POST", f"{customer}/add-ons", {"add_on": "extra"}, key="k2").status == 409
    assert len(api.get(f"{customer}/subscription")["add_ons"]) == 10
