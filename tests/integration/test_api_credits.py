"""Grants, balances and the ledger over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

GRANT = {"unit": "sparks", "amount": "10.50", "source": "purchase", "cost_basis": "0.02"}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


@pytest.fixture
def customer(api: Api) -> str:
    """A customer of the test's own."""
    api.clock.at = NOON
    return api.new_customer()


def key_of(customer: str) -> str:
    return customer.rpartition("/")[2]


def balance(api: Api, customer: str, query: str = "unit=sparks") -> Any:
    return api.get(f"{customer}/balance", query=query)


def test_a_grant_is_answered_listed_held_and_journaled(api: Api, customer: str) -> None:
    made = api.post(f"{customer}/grants", GRANT, "k1")
    assert made == {
        "id": made["id"],
        "unit": "sparks",
        "amount": "10.5",
        "remaining": "10.5",
        "status": "active",
        "source": "purchase",
        "priority": 100,
        "meters": [],
        "effective_at": "2026-03-10T12:00:00Z",
        "expires_at": None,
        "voided_at": None,
        "created_at": "2026-03-10T12:00:00Z",
        "cost_basis": "0.02",
        "cost_currency": "USD",
    }
    granted = [g for g in api.get(f"{customer}/grants")["data"] if g["source"] != "plan"]
    assert granted == [made]
    assert balance(api, customer) == {
        "unit": "sparks",
        "settled": "10.5",
        "reserved": "0",
        "available": "10.5",
        "overage": "0",
        "as_of": "2026-03-10T12:00:00Z",
        "grants": [made],
    }
    opening, granting = api.get(f"{customer}/ledger")["data"]
    assert (opening["from_version"], opening["version"], opening["kind"]) == (0, 1, "opening")
    assert (granting["from_version"], granting["version"]) == (1, 2)
    assert granting["cause"] == {"grant": made["id"], "source": "purchase"}
    basis = {"cost_basis": "0.02", "cost_currency": "USD"}
    assert granting["changes"] == [
        {"unit": "sparks", "grant": made["id"], "amount": "10.5", **basis}
    ]
    assert granting["balance_after"] == {"meter:tokens": "693.548387097", "sparks": "10.5"}


def test_a_repeat_is_answered_alike_and_grants_once(api: Api, customer: str) -> None:
    first = api.call("POST", f"{customer}/grants", GRANT, key="same")
    api.clock.at += timedelta(days=1)
    again = api.call("POST", f"{customer}/grants", {**GRANT, "amount": 10.5}, key="same")
    assert (first.status, first.text) == (201, again.text)
    assert again.status == 201
    other = api.call("POST", f"{customer}/grants", {**GRANT, "amount": "11"}, key="same")
    assert (other.status, other.json["code"]) == (409, "idempotency-key-reused")
    void = api.call("POST", f"{customer}/grants/{first.json['id']}/void", key="same")
    assert (void.status, void.json["code"]) == (409, "idempotency-key-reused")
    assert balance(api, customer)["settled"] == "10.5"


def test_a_money_write_without_a_key_is_refused(api: Api, customer: str) -> None:
    for path in ("/grants", "/grants/gr_1/void", "/subscription"):
        body = {"/grants": GRANT, "/subscription": {"action": "cancel"}}.get(path)
        refused = api.call("POST", customer + path, body)
        assert (refused.status, refused.json["code"]) == (400, "idempotency-key-required")


def test_concurrent_repeats_grant_once_and_different_keys_all(api: Api, customer: str) -> None:
    keys = ["a", "b", "c", "d"] * 4
    with ThreadPoolExecutor(8) as pool:
        replies = list(
            pool.map(lambda k: api.call("POST", f"{customer}/grants", GRANT, key=k), keys)
        )
    done = {(reply.json["id"]) for reply in replies if reply.status == 201}
    assert {reply.status for reply in replies} <= {201, 503}
    assert len(done) == 4
    assert balance(api, customer)["settled"] == "42"
    entries = api.get(f"{customer}/ledger")["data"]
    bounds = [(entry["from_version"], entry["version"]) for entry in entries]
    assert bounds == [(n, n + 1) for n in range(5)]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"unit": "doubloons"}, "/unit", "unknown-unit"),
        ({"unit": "meter:tokens"}, "/unit", "unknown-unit"),
        ({"amount": "0"}, "/amount", "out-of-range"),
        ({"amount": "-1"}, "/amount", "out-of-range"),
        ({"amount": "0.001"}, "/amount", "too-many-decimals"),
        ({"unit": "JPY", "amount": "1.5"}, "/amount", "too-many-decimals"),
        ({"unit": "USD", "amount": "1000000"}, "/amount", "out-of-range"),
        ({"priority": 256}, "/priority", "less-than-equal"),
        ({"priority": True}, "/priority", "int-type"),
        ({"meters": ["tokens", "steps"]}, "/meters/1", "unknown-meter"),
        ({"expires_at": "2026-03-10T12:00:00Z"}, "/expires_at", "in-the-past"),
        (
            {"effective_at": "2026-04-01T00:00:00Z", "expires_at": "2026-04-01T00:00:00Z"},
            "/expires_at",
            "not-after-effective-at",
        ),
        ({"effective_at": "2026-03-10T11:59:59Z"}, "/effective_at", "in-the-past"),
        ({"effective_at": "2026-03-11T00:00:00"}, "/effective_at", "not-rfc3339"),
        ({"source": "theft"}, "/source", "literal-error"),
        ({"cost_basis": "-1"}, "/cost_basis", "out-of-range"),
        ({"balance": "1"}, "/balance", "unknown-member"),
    ],
)
def test_a_grant_that_breaks_a_rule_changes_nothing(
    api: Api, customer: str, change: dict[str, object], pointer: str, code: str
) -> None:
    refused = api.call("POST", f"{customer}/grants", {**GRANT, **change}, key="bad")
    assert refused.status == 422
    assert refused.json["errors"] == [{"pointer": pointer, "code": code}]
    assert refused.json["detail"]
    # A refusal leaves the key unused.
    assert api.call("POST", f"{customer}/grants", GRANT, key="bad").status == 201


def test_nobody_is_granted_nothing(api: Api) -> None:
    assert api.call("POST", "/v1/customers/nobody/grants", GRANT, key="k").status == 404
    assert api.call("GET", "/v1/customers/nobody/balance").status == 404
    assert api.call("GET", "/v1/customers/nobody/ledger").status == 404
    assert api.call("GET", "/v1/customers/nobody/grants").status == 404


def test_voiding_takes_the_unused_part_once(api: Api, customer: str) -> None:
    grant = api.post(f"{customer}/grants", GRANT, "k1")["id"]
    api.use(key_of(customer), "chat.message", NOON)
    assert balance(api, customer)["settled"] == "9.5"
    voided = api.post(f"{customer}/grants/{grant}/void", None, "v1")
    assert (voided["status"], voided["remaining"]) == ("voided", "0")
    assert api.post(f"{customer}/grants/{grant}/void", None, "v1") == voided
    assert api.post(f"{customer}/grants/{grant}/void", None, "v2") == voided
    assert balance(api, customer)["settled"] == "0"
    moves = api.get(f"{customer}/ledger", query="unit=sparks")["data"]
    assert [(m["kind"], m["amount"], m["balance_after"]) for m in moves] == [
        ("grant", "10.5", "10.5"),
        ("void", "-9.5", "0"),
    ]
    missing = api.call("POST", f"{customer}/grants/gr_none/void", key="v3")
    assert missing.status == 404


def test_an_expired_grant_cannot_be_voided_and_does_not_count(api: Api, customer: str) -> None:
    body = {**GRANT, "expires_at": "2026-03-10T13:00:00Z"}
    grant = api.post(f"{customer}/grants", body, "k1")["id"]
    at = "unit=sparks&at=2026-03-10T13:00:00Z"
    assert balance(api, customer, at)["settled"] == "0"
    assert balance(api, customer)["settled"] == "10.5"
    api.clock.at += timedelta(hours=1)
    assert balance(api, customer)["settled"] == "0"
    refused = api.call("POST", f"{customer}/grants/{grant}/void", key="v1")
    assert (refused.status, refused.json["code"]) == (409, "conflict")


def test_a_balance_looks_ahead_but_not_back(api: Api, customer: str) -> None:
    later = {**GRANT, "effective_at": "2026-03-11T00:00:00Z"}
    assert api.post(f"{customer}/grants", later, "k1")["status"] == "scheduled"
    assert balance(api, customer)["settled"] == "0"
    assert balance(api, customer, "unit=sparks&at=2026-03-11T00:00:00Z")["settled"] == "10.5"
    past = api.call("GET", f"{customer}/balance", query="unit=sparks&at=2026-03-10T00:00:00Z")
    assert (past.status, past.json["errors"]) == (422, [{"pointer": "/at", "code": "unsupported"}])
    unknown = api.call("GET", f"{customer}/balance", query="unit=doubloons")
    assert unknown.status == 422


def test_balances_of_every_unit_are_listed(api: Api, customer: str) -> None:
    api.post(f"{customer}/grants", GRANT, "k1")
    found = {each["unit"]: each["settled"] for each in balance(api, customer, "")["data"]}
    assert found == {"USD": "0", "meter:tokens": "693.548387097", "sparks": "10.5"}


def test_overage_is_what_no_grant_covered_until_one_reaches_back(api: Api, customer: str) -> None:
    started = api.get(f"{customer}/subscription")["period"]["start"]
    api.clock.at += timedelta(days=2)
    for _ in range(3):
        api.use(key_of(customer), "chat.message", api.clock.at)
    assert balance(api, customer)["overage"] == "3"
    api.post(f"{customer}/grants", {**GRANT, "amount": "1"}, "k1")
    assert balance(api, customer)["overage"] == "3"
    covering = {**GRANT, "amount": "5", "effective_at": started}
    assert api.post(f"{customer}/grants", covering, "k2")["remaining"] == "2"
    found = balance(api, customer)
    assert (found["overage"], found["settled"]) == ("0", "3")


def test_grants_are_listed_in_the_order_that_usage_draws_them(api: Api, customer: str) -> None:
    order = [("last", {"priority": 200}), ("paid", {}), ("first", {"priority": 0})]
    ids = {}
    for name, change in order:
        ids[api.post(f"{customer}/grants", {**GRANT, **change}, name)["id"]] = name
    listed = [ids[g["id"]] for g in balance(api, customer)["grants"]]
    assert listed == ["first", "paid", "last"]
    api.use(key_of(customer), "chat.message", NOON)
    left = {ids[g["id"]]: g["remaining"] for g in balance(api, customer)["grants"]}
    assert left == {"first": "9.5", "paid": "10.5", "last": "10.5"}


def test_the_ledger_pages_both_ways_and_adds_up(api: Api, customer: str) -> None:
    for number in range(5):
        api.post(f"{customer}/grants", {**GRANT, "amount": str(number + 1)}, f"k{number}")
    for order in ("asc", "desc"):
        found: list[Any] = []
        cursor = ""
        while True:
            query = f"unit=sparks&limit=2&order={order}{cursor}"
            page = api.get(f"{customer}/ledger", query=query)
            found += page["data"]
            if not page["next_cursor"]:
                break
            cursor = f"&cursor={page['next_cursor']}"
        if order == "desc":
            found.reverse()
        total = Decimal(0)
        for entry in found:
            total += Decimal(entry["amount"])
            assert Decimal(entry["balance_after"]) == total
        assert total == 15
    stolen = api.get(f"{customer}/ledger", query="limit=1")["next_cursor"]
    api.put("/v1/customers/thief", {})
    refused = api.call("GET", "/v1/customers/thief/ledger", query=f"limit=1&cursor={stolen}")
    assert (refused.status, refused.json["code"]) == (400, "invalid-cursor")


def test_grants_page(api: Api, customer: str) -> None:
    for number in range(3):
        api.post(f"{customer}/grants", GRANT, f"k{number}")
    first = api.get(f"{customer}/grants", query="limit=2")
    rest = api.get(f"{customer}/grants", query=f"limit=9&cursor={first['next_cursor']}")
    assert (len(first["data"]), len(rest["data"]), rest["next_cursor"]) == (2, 2, None)


def test_a_period_that_nobody_opened_is_opened_by_the_grant_and_shown_before(
    api: Api, customer: str
) -> None:
    api.clock.at = NOON + timedelta(days=30)
    units = {b["unit"]: b["settled"] for b in balance(api, customer, "")["data"]}
    assert units["meter:tokens"] == "1000"
    assert api.get(f"{customer}/subscription")["period_number"] == 2
    assert len(api.get(f"{customer}/ledger")["data"]) == 1
    api.post(f"{customer}/grants", GRANT, "k1")
    kinds = [entry["kind"] for entry in api.get(f"{customer}/ledger")["data"]]
    assert kinds == ["opening", "opening", "grant"]
