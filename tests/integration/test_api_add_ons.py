"""Add-on packs through the API: published in versions, live at once, invoiced at once."""

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

SPARKS = {
    "name": "Sparks",
    "price": "10.00",
    "credits": [{"unit": "sparks", "amount": "400"}],
    "expires": "P90D",
}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    api.put("/v1/add-ons/sparks", SPARKS)
    tokens = {"name": "Tokens", "price": "5", "allowances": [{"meter": "tokens", "quantity": "50"}]}
    api.put("/v1/add-ons/tokens", {**tokens, "expires": "period_end"})
    return api


def test_add_ons_are_published_in_versions(api: Api) -> None:
    body = {**SPARKS, "name": "Versioned"}
    first = api.put("/v1/add-ons/versioned", body)
    assert (first["version"], first["price"], first["currency"]) == (1, "10", "USD")
    assert api.put("/v1/add-ons/versioned", body) == first
    assert api.put("/v1/add-ons/versioned", {**body, "price": "12"})["version"] == 2
    keys = [each["key"] for each in api.get("/v1/add-ons")["data"]]
    assert keys == sorted(keys)
    page = api.get("/v1/add-ons", query="limit=1")
    rest = api.get("/v1/add-ons", query=f"cursor={page['next_cursor']}")
    assert [each["key"] for each in [*page["data"], *rest["data"]]] == keys


def test_a_pack_of_credits_is_live_and_invoiced_at_once(api: Api) -> None:
    customer = api.new_customer()
    bought = api.post(f"{customer}/add-ons", {"add_on": "sparks", "quantity": 2}, "buy")
    assert (bought["quantity"], bought["price"], bought["version"]) == (2, "20", 1)
    [grant] = bought["grants"]
    assert (grant["amount"], grant["source"], grant["status"]) == ("800", "add_on", "active")
    assert (grant["cost_basis"], grant["cost_currency"]) == ("0.025", "USD")
    assert grant["expires_at"] == "2026-06-08T12:00:00Z"
    assert api.get(f"{customer}/balance", query="unit=sparks")["available"] == "800"
    invoice = api.get(f"/v1/invoices/{bought['invoice']}")
    assert (invoice["kind"], invoice["status"], invoice["total"]) == (
        "add_on", "finalized", "20.00"
    )  # fmt: skip
    assert [line["type"] for line in invoice["lines"]] == ["add_on"]
    assert api.post(f"{customer}/add-ons", {"add_on": "sparks", "quantity": 2}, "buy") == bought
    assert len(api.get(f"{customer}/invoices")["data"]) == 1
    entry = api.get(f"{customer}/ledger")["data"][-1]
    assert (entry["kind"], entry["cause"]["invoice"]) == ("add_on", invoice["number"])


def test_a_pack_of_an_allowance_covers_from_its_purchase(api: Api) -> None:
    customer = api.new_customer()
    key = customer.rpartition("/")[2]
    before = api.get(f"{customer}/entitlements/tokens")
    api.use(key, "ai.completion", NOON, tokens=int(float(before["remaining"])) + 30, model="s")
    assert api.get(f"{customer}/entitlements/tokens")["remaining"] == "0"
    api.post(f"{customer}/add-ons", {"add_on": "tokens"}, "buy")
    assert api.get(f"{customer}/entitlements/tokens")["remaining"] == "50"
    api.use(key, "ai.completion", NOON, tokens=20, model="s")
    lines = api.get(f"{customer}/invoices/upcoming")["lines"]
    assert [line["amount"] for line in lines if line["type"] == "usage"] == ["0.03"]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"add_on": "nothing"}, 422, "/add_on"),
        ({"add_on": "sparks", "quantity": 0}, 422, "/quantity"),
        ({"add_on": "sparks", "quantity": 10_001}, 422, "/quantity"),
        ({"quantity": 1}, 422, "/add_on"),
    ],
)
def test_bad_purchases(api: Api, body: object, status: int, pointer: str) -> None:
    customer = api.new_customer()
    refused = api.call("POST", f"{customer}/add-ons", body, key="bad")
    assert (refused.status, refused.json["errors"][0]["pointer"]) == (status, pointer)
    assert api.get(f"{customer}/invoices")["data"] == []


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"credits": []}, "/credits"),
        ({"credits": [{"unit": "doubloons", "amount": "1"}]}, "/credits/0/unit"),
        ({"allowances": [{"meter": "steps", "quantity": "1"}]}, "/allowances/0/meter"),
        ({"price": "-1"}, "/price"),
        ({"price": "1.5", "currency": "JPY"}, "/price"),
        ({"currency": "XXX"}, "/currency"),
        ({"expires": "tomorrow"}, "/expires"),
    ],
)
def test_bad_add_ons(api: Api, change: dict[str, object], pointer: str) -> None:
    refused = api.call("PUT", "/v1/add-ons/bad", {**SPARKS, **change})
    assert refused.status == 422
    assert pointer in [each["pointer"] for each in refused.json["errors"]]
