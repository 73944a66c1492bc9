"""Cost rates over the real handlers: published, dated, put right, refused."""

from decimal import Decimal

import pytest

from local.emulator import Aws
from shared.domain.prices import PerUnit
from tests.integration.api import Api, per_unit, publish_catalogue
from tests.integration.conftest import Tables

RATES = [
    {"where": {"model": "large"}, "price": per_unit("0.0004")},
    {"price": {"model": "percentage", "rate": "2.9", "fixed_fee": "0.3"}},
]


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    return api


def test_cost_rates_are_dated_and_listed_by_date(api: Api) -> None:
    body = {"currency": "USD", "rates": RATES}
    later = {**body, "rates": RATES[1:], "effective_from": "2026-02-01T00:00:00Z"}
    answer = api.put("/v1/cost-rates/tokens", later)
    assert (answer["meter"], answer["rates"][0]["price"]["rate"]) == ("tokens", "2.9")
    api.put("/v1/cost-rates/tokens", body)
    listed = api.get("/v1/cost-rates", query="limit=1")
    assert listed["data"][0]["effective_from"] == "1970-01-01T00:00:00Z"
    rest = api.get("/v1/cost-rates", query=f"cursor={listed['next_cursor']}")
    assert [each["effective_from"] for each in rest["data"]] == ["2026-02-01T00:00:00Z"]
    assert rest["next_cursor"] is None


def test_what_was_said_of_a_date_can_be_put_right_and_said_again(api: Api) -> None:
    first = {"currency": "EUR", "rates": [{"price": per_unit("1")}]}
    api.put("/v1/cost-rates/messages", first)
    version = api.runtime.catalogue.newest().version
    api.put("/v1/cost-rates/messages", first)
    assert api.runtime.catalogue.newest().version == version
    api.put("/v1/cost-rates/messages", {**first, "rates": [{"price": per_unit("2")}]})
    [stored] = api.runtime.catalogue.newest().costs["messages"]
    assert [rate.price for rate in stored.rates] == [PerUnit(Decimal(2))]


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"effective_from": "2026-01-01T00:07:00Z"}, "/effective_from", "not-on-quarter-hour"),
        ({"rates": [{"price": {"model": "flat", "amount": "1"}}]}, "/rates/0/price", "unsupported"),
        (
            {"rates": [{"price": {**per_unit("1"), "free_units": "5"}}]},
            "/rates/0/price",
            "unsupported",
        ),
        ({"rates": [*RATES[1:], *RATES[:1]]}, "/rates/1", "unreachable-rate"),
        (
            {"rates": [{"price": per_unit("1"), "where": {"colour": "red"}}]},
            "/rates/0/where",
            "unknown-dimension",
        ),
        ({"currency": "XXX"}, "/currency", "unknown-currency"),
    ],
)
def test_what_would_not_add_up_is_refused(
    api: Api, change: dict[str, object], pointer: str, code: str
) -> None:
    reply = api.call("PUT", "/v1/cost-rates/tokens", {"currency": "USD", "rates": RATES, **change})
    assert reply.status == 422
    assert reply.json["errors"] == [{"pointer": pointer, "code": code}]


def test_only_meters_that_add_up_have_costs_and_only_operators_see_them(api: Api) -> None:
    api.put("/v1/meters/peak", {"event_type": "x", "aggregation": "max", "value": "n"})
    body = {"currency": "USD", "rates": [{"price": per_unit("1")}]}
    refused = api.call("PUT", "/v1/cost-rates/peak", body)
    assert refused.json["errors"] == [{"pointer": "/rates", "code": "unsupported"}]
    assert api.call("PUT", "/v1/cost-rates/nothing", body).status == 404
    assert api.call("PUT", "/v1/cost-rates/tokens", body, scopes="read").status == 403
    assert api.call("GET", "/v1/cost-rates", scopes="read", customer="c").status == 403
