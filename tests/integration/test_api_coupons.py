"""Coupons and minimum commitments through the API: published, given, billed once, ended."""

import copy
import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Aws
from shared.domain.invoice_document import document_hash
from shared.domain.verification import verify
from tests.integration.api import NOON, Api, per_unit, publish_catalogue
from tests.integration.conftest import Tables
from tests.integration.test_api_usage_and_invoices import PassedBarriers

FIFTH = {"name": "A fifth", "percentage": "20", "duration": "periods", "periods": 2}
BUDGET = {"name": "A budget", "currency": "USD", "amount": "40.00"}
PRO = {"action": "change", "plan": "pro"}
_KEYS = (f"coupon-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def shared_api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    plan = {"name": "Committed", "currency": "USD", "period": "calendar", "minimum": "31.00"}
    rates = [{"meter": "messages", "price": per_unit("1")}]
    api.put("/v1/plans/committed", {**plan, "rates": rates})
    return api


@pytest.fixture
def api(shared_api: Api) -> Api:
    shared_api.clock.at = NOON
    return shared_api


def a_coupon(api: Api, body: dict[str, Any] = FIFTH) -> str:
    key = next(_KEYS)
    api.put(f"/v1/coupons/{key}", body)
    return key


def close(api: Api, customer: str, month: int) -> dict[str, Any]:
    """The invoice of the period that ends when the month begins; billing runs fire three times."""
    api.clock.at = datetime(2026, month, 1, 2, tzinfo=UTC)
    run = replace(api.runtime.billing_run, barriers=PassedBarriers())
    for _ in range(3):
        run.bill(customer.rpartition("/")[2], api.clock.at)
    newest: dict[str, Any] = api.get(f"{customer}/invoices")["data"][0]
    return newest


def amounts(invoice: dict[str, Any]) -> list[tuple[str, str]]:
    return [(line["type"], line["amount"]) for line in invoice["lines"]]


def test_coupons_are_published_in_versions(api: Api) -> None:
    key = a_coupon(api)
    first = api.put(f"/v1/coupons/{key}", FIFTH)
    assert (first["version"], first["percentage"], first["amount"]) == (1, "20", None)
    assert (first["periods"], first["plans"], first["archived"]) == (2, [], False)
    second = api.put(f"/v1/coupons/{key}", {**FIFTH, "archived": True})
    assert (second["version"], second["archived"]) == (2, True)
    listed = {each["key"]: each for each in api.get("/v1/coupons")["data"]}
    assert listed[key] == second
    assert list(listed) == sorted(listed)
    page = api.get("/v1/coupons", query="limit=1")
    assert [each["key"] for each in page["data"]] == list(listed)[:1]


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"percentage": "0"}, "/percentage", "out-of-range"),
        ({"percentage": "-5"}, "/percentage", "out-of-range"),
        ({"percentage": "100.5"}, "/percentage", "out-of-range"),
        ({"percentage": "10.00001"}, "/percentage", "too-many-decimals"),
        ({"percentage": None}, "/amount", "required"),
        ({"amount": "5"}, "/amount", "percentage-and-amount"),
        ({"currency": "USD"}, "/currency", "not-for-percentage"),
        ({"percentage": None, "amount": "5"}, "/amount", "currency-required"),
        ({"percentage": None, "amount": "-5", "currency": "USD"}, "/amount", "out-of-range"),
        ({"percentage": None, "amount": "0", "currency": "USD"}, "/amount", "out-of-range"),
        ({"percentage": None, "amount": "1.5", "currency": "JPY"}, "/amount", "too-many-decimals"),
        (
            {"percentage": None, "amount": "1000000.00", "currency": "USD"},
            "/amount",
            "out-of-range",
        ),
        ({"percentage": None, "amount": "5", "currency": "ABC"}, "/currency", "unknown-currency"),
        ({"periods": None}, "/periods", "required"),
        ({"periods": 0}, "/periods", "greater-than-equal"),
        ({"duration": "forever"}, "/periods", "only-for-periods"),
        ({"duration": "always"}, "/duration", "literal-error"),
        ({"redeem_by": "soon"}, "/redeem_by", "not-rfc3339"),
        ({"max_redemptions": 0}, "/max_redemptions", "greater-than-equal"),
        ({"max_redemptions": 10**9 + 1}, "/max_redemptions", "less-than-equal"),
        ({"max_redemptions": "5"}, "/max_redemptions", "int-type"),
        ({"plans": ["nothing"]}, "/plans/0", "unknown-plan"),
        ({"plans": ["pro", "pro"]}, "/plans", "duplicate-plan"),
        (
            {"percentage": None, "amount": "5", "currency": "EUR", "plans": ["pro"]},
            "/plans/0",
            "other-currency",
        ),
        ({"balance": "5"}, "/balance", "unknown-member"),
    ],
)
def test_what_is_no_coupon_is_refused(
    api: Api, changes: dict[str, Any], pointer: str, code: str
) -> None:
    reply = api.call("PUT", "/v1/coupons/refused", {**FIFTH, **changes})
    assert reply.status == 422
    assert (pointer, code) in {(e["pointer"], e["code"]) for e in reply.json["errors"]}
    assert "refused" not in {each["key"] for each in api.get("/v1/coupons")["data"]}


def test_a_coupon_is_given_once_and_billed_for_its_periods(api: Api) -> None:
    customer, key = api.new_customer(), a_coupon(api)
    given = api.post(f"{customer}/coupons", {"coupon": key}, "k1")
    assert (given["coupon"], given["state"], given["first_period"]) == (key, "active", 1)
    assert (given["periods_left"], given["last_period"], given["amount_left"]) == (2, None, None)
    assert api.post(f"{customer}/coupons", {"coupon": key}, "k1") == given
    other = {"coupon": a_coupon(api)}
    assert api.call("POST", f"{customer}/coupons", other, key="k1").status == 409
    assert api.get(f"{customer}/coupons")["data"] == [given]
    api.post(f"{customer}/subscription", PRO, "k2")
    [change] = api.get(f"{customer}/invoices")["data"]
    # 22 of March's 31 days, less half a day.
    assert amounts(change) == [("fee", "21.50"), ("discount", "-4.30")]
    upcoming = api.get(f"{customer}/invoices/upcoming")
    assert amounts(upcoming) == [("fee", "31.00"), ("discount", "-6.20")]
    final = close(api, customer, 4)
    assert final["lines"] == upcoming["lines"]
    discount = final["lines"][1]
    assert (discount["of"], discount["period_number"]) == ([1], 2)
    assert discount["coupon"] == {
        "id": given["id"],
        "key": key,
        "version": 1,
        "percentage": "20",
    }
    assert amounts(close(api, customer, 5)) == [("fee", "31.00")]
    [ended] = api.get(f"{customer}/coupons")["data"]
    assert (ended["state"], ended["first_period"], ended["last_period"]) == ("ended", 1, 2)
    assert ended["periods_left"] == 0
    assert api.post(f"{customer}/coupons", {"coupon": key}, "k3")["state"] == "active"


def test_an_amount_is_used_up_exactly_once_over_invoices(api: Api) -> None:
    customer, key = api.new_customer(), a_coupon(api, BUDGET)
    api.post(f"{customer}/subscription", PRO, "k1")
    given = api.post(f"{customer}/coupons", {"coupon": key}, "k2")
    assert (given["first_period"], given["amount_left"]) == (2, "40")
    assert amounts(close(api, customer, 4)) == [("fee", "31.00"), ("discount", "-31.00")]
    [held] = api.get(f"{customer}/coupons")["data"]
    assert (held["state"], held["amount_left"]) == ("active", "9")
    assert amounts(close(api, customer, 5)) == [("fee", "31.00"), ("discount", "-9.00")]
    assert amounts(close(api, customer, 6)) == [("fee", "31.00")]
    [held] = api.get(f"{customer}/coupons")["data"]
    assert (held["state"], held["amount_left"]) == ("ended", "0")


def test_ending_a_coupon_is_for_periods_to_come_and_repeats(api: Api) -> None:
    customer, key = api.new_customer(), a_coupon(api)
    given = api.post(f"{customer}/coupons", {"coupon": key}, "k1")
    api.post(f"{customer}/subscription", PRO, "k2")
    place = f"{customer}/coupons/{given['id']}/end"
    ended = api.post(place, None, "k3")
    assert (ended["state"], ended["last_period"]) == ("active", 1)
    assert api.post(place, None, "k3") == ended
    assert api.post(place, None, "k4") == ended
    assert amounts(api.get(f"{customer}/invoices/upcoming")) == [("fee", "31.00")]
    assert api.call("POST", f"{customer}/coupons/cp_none/end", None, key="k5").status == 404
    other = api.new_customer()
    assert api.call("POST", f"{other}/coupons/{given['id']}/end", None, key="k6").status == 404


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"coupon": "nothing"}, 422, "unknown-coupon"),
        ({}, 422, "required"),
        ({"coupon": "x", "percentage": "99"}, 422, "unknown-member"),
    ],
)
def test_what_cannot_be_given_is_refused(
    api: Api, body: dict[str, Any], status: int, code: str
) -> None:
    customer = api.new_customer()
    reply = api.call("POST", f"{customer}/coupons", body, key="k1")
    assert (reply.status, {e["code"] for e in reply.json["errors"]}) == (status, {code})
    assert api.call("POST", f"{customer}/coupons", {"coupon": a_coupon(api)}).status == 400
    assert api.get(f"{customer}/coupons")["data"] == []


def test_archived_expired_foreign_and_repeated_coupons_are_conflicts(api: Api) -> None:
    customer = api.new_customer()
    held = a_coupon(api)
    api.post(f"{customer}/coupons", {"coupon": held}, "k1")
    archived = a_coupon(api, {**FIFTH, "archived": True})
    expired = a_coupon(api, {**FIFTH, "redeem_by": "2026-03-10T12:00:00Z"})
    euros = a_coupon(api, {**BUDGET, "currency": "EUR"})
    api.post(f"{customer}/subscription", PRO, "k2")
    for number, key in enumerate((held, archived, expired, euros)):
        reply = api.call("POST", f"{customer}/coupons", {"coupon": key}, key=f"r{number}")
        assert (reply.status, reply.json["code"]) == (409, "coupon-not-applicable"), key
    for number in range(7):
        api.post(f"{customer}/coupons", {"coupon": a_coupon(api)}, f"m{number}")
    full = api.call("POST", f"{customer}/coupons", {"coupon": a_coupon(api)}, key="full")
    assert full.status == 409


def test_a_coupon_is_given_as_often_as_it_may_be_and_ending_it_gives_nothing_back(
    api: Api,
) -> None:
    key = a_coupon(api, {**FIFTH, "max_redemptions": 2})
    first, second, third = (api.new_customer() for _ in range(3))
    given = api.post(f"{first}/coupons", {"coupon": key}, "k1")
    assert api.post(f"{first}/coupons", {"coupon": key}, "k1") == given
    # Who has it is told so, and uses nothing up.
    again = api.call("POST", f"{first}/coupons", {"coupon": key}, key="k2")
    assert again.json["code"] == "coupon-not-applicable"
    assert api.get(f"/v1/coupons/{key}")["redemptions"] == 1
    api.post(f"{second}/coupons", {"coupon": key}, "k1")
    api.post(f"{first}/coupons/{given['id']}/end", None, "k3")
    refused = api.call("POST", f"{third}/coupons", {"coupon": key}, key="k1")
    assert (refused.status, refused.json["code"]) == (409, "coupon-used-up")
    assert api.get(f"{third}/coupons")["data"] == []
    shown = api.get(f"/v1/coupons/{key}")
    assert (shown["redemptions"], shown["max_redemptions"]) == (2, 2)
    [listed] = [each for each in api.get("/v1/coupons")["data"] if each["key"] == key]
    assert listed == shown
    raised = api.put(f"/v1/coupons/{key}", {**FIFTH, "max_redemptions": 3})
    assert (raised["version"], raised["redemptions"]) == (2, 2)
    # A refusal leaves the key unused.
    api.post(f"{third}/coupons", {"coupon": key}, "k1")
    assert api.get(f"/v1/coupons/{key}")["redemptions"] == 3


def test_callers_at_once_share_the_redemptions_and_none_is_given_too_much(api: Api) -> None:
    key = a_coupon(api, {**FIFTH, "max_redemptions": 3})
    customers = [api.new_customer() for _ in range(8)]

    def give(customer: str) -> int:
        return api.call("POST", f"{customer}/coupons", {"coupon": key}, key="k1").status

    with ThreadPoolExecutor(8) as callers:
        statuses = list(callers.map(give, customers))
    assert sorted(statuses) == [201] * 3 + [409] * 5
    held = [len(api.get(f"{customer}/coupons")["data"]) for customer in customers]
    assert held == [int(status == 201) for status in statuses]
    assert api.get(f"/v1/coupons/{key}")["redemptions"] == 3


def test_what_is_given_meanwhile_refuses_no_editor(api: Api) -> None:
    customer, key = api.new_customer(), a_coupon(api)
    tag = api.call("GET", f"/v1/coupons/{key}").headers["ETag"]
    api.post(f"{customer}/coupons", {"coupon": key}, "k1")
    assert api.call("GET", f"/v1/coupons/{key}").headers["ETag"] == tag
    changed = {**FIFTH, "max_redemptions": 5}
    reply = api.call("PUT", f"/v1/coupons/{key}", changed, headers={"if-match": tag})
    assert (reply.status, reply.json["redemptions"]) == (200, 1)
    assert api.call("GET", f"/v1/coupons/{key}").headers["ETag"] != tag


def test_a_minimum_is_trued_up_and_its_coupon_taken_off(api: Api) -> None:
    customer = api.new_customer()
    change = {"action": "change", "plan": "committed", "at": "now"}
    api.post(f"{customer}/subscription", change, "k1")
    api.post(f"{customer}/coupons", {"coupon": a_coupon(api)}, "k2")
    api.use(customer.rpartition("/")[2], "chat.message", NOON + timedelta(hours=1))
    upcoming = api.get(f"{customer}/invoices/upcoming")
    assert amounts(upcoming) == [
        ("usage", "1.00"),
        ("minimum", "20.50"),
        ("discount", "-4.30"),
    ]
    assert (upcoming["lines"][1]["minimum"], upcoming["lines"][1]["of"]) == ("21.5", [1])
    final = close(api, customer, 4)
    assert final["lines"] == upcoming["lines"]
    assert amounts(close(api, customer, 5)) == [("minimum", "31.00"), ("discount", "-6.20")]
    assert verify(api.get(f"{customer}/invoices")["data"][0], ()) == ()
    page = api.call("GET", f"/v1/invoices/{final['id']}", headers={"accept": "text/html"}).text
    assert "True-up to the minimum of 21.50" in page
    assert "A fifth, 20 %" in page


def tampered(document: dict[str, Any], line: int, **members: Any) -> dict[str, Any]:
    """The invoice with other members of a line, its total and hash put right."""
    changed = copy.deepcopy(document)
    changed["lines"][line] |= members
    changed["total"] = str(sum(float(each["amount"]) for each in changed["lines"]))
    return {**changed, "hash": document_hash(changed)}


def test_a_changed_discount_or_true_up_is_not_equal(api: Api) -> None:
    customer = api.new_customer()
    change = {"action": "change", "plan": "committed", "at": "now"}
    api.post(f"{customer}/subscription", change, "k1")
    for number, body in enumerate((FIFTH, BUDGET)):
        api.post(f"{customer}/coupons", {"coupon": a_coupon(api, body)}, f"c{number}")
    final = close(api, customer, 4)
    assert amounts(final) == [
        ("minimum", "21.50"),
        ("discount", "-4.30"),
        ("discount", "-17.20"),
    ]
    assert verify(final, ()) == ()
    share, left = final["lines"][1]["coupon"], final["lines"][2]["coupon"]
    for line, members in (
        (0, {"minimum": "30"}),
        (0, {"unit_amount": "20", "amount": "20.00"}),
        (0, {"of": [1]}),
        (1, {"coupon": {**share, "percentage": "25"}}),
        (1, {"unit_amount": "-5", "amount": "-5.00"}),
        (1, {"of": []}),
        (1, {"of": [1, 1]}),
        (1, {"of": [3]}),
        (2, {"coupon": {**left, "left": "10.00"}}),
        (2, {"coupon": {**left, "id": share["id"]}, "of": [1]}),
    ):
        places = {each.place for each in verify(tampered(final, line, **members), ())}
        assert places, (line, members)
        assert "hash" not in places
