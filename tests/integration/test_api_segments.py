"""Segments over HTTP: kept, listed, and the customers in them."""

from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import Api, publish_catalogue
from tests.integration.conftest import Tables

GOLD_EU = {"name": "Gold in the EU", "filter": {"tier": ["gold", "vip"], "region": ["eu"]}}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    for number in range(12):
        traits = {"tier": "gold" if number % 3 == 0 else "free", "region": "eu"}
        made.put(f"/v1/customers/s{number:02}", {"traits": traits})
    made.put("/v1/customers/s98", {"traits": {"tier": "vip", "region": "us"}})
    made.put("/v1/customers/s99", {"traits": {"tier": "gold"}})
    made.put("/v1/segments/gold-eu", GOLD_EU)
    return made


def test_a_segment_is_kept_read_and_listed(api: Api) -> None:
    assert api.put("/v1/segments/other", GOLD_EU) == {**GOLD_EU, "key": "other"}
    assert api.get("/v1/segments/other") == {**GOLD_EU, "key": "other"}
    first = api.get("/v1/segments", query="limit=1")
    assert [segment["key"] for segment in first["data"]] == ["gold-eu"]
    rest = api.get("/v1/segments", query=f"limit=1&cursor={first['next_cursor']}")
    assert [segment["key"] for segment in rest["data"]] == ["other"]
    for _ in range(2):
        assert api.call("DELETE", "/v1/segments/other").status == 204
    assert api.call("GET", "/v1/segments/other").status == 404


def test_the_customers_of_a_segment_are_those_with_one_of_the_values_of_each_trait(
    api: Api,
) -> None:
    def listed(limit: int) -> list[str]:
        found: list[str] = []
        query = f"segment=gold-eu&limit={limit}"
        page = api.get("/v1/customers", query=query)
        while True:
            found += [customer["key"] for customer in page["data"]]
            if page["next_cursor"] is None:
                return found
            page = api.get("/v1/customers", query=f"{query}&cursor={page['next_cursor']}")

    assert listed(100) == listed(1) == listed(5) == ["s00", "s03", "s06", "s09"]
    # Traits count as they are now.
    api.put("/v1/customers/s98", {"traits": {"tier": "vip", "region": "eu"}})
    assert listed(100)[-1] == "s98"
    api.put("/v1/customers/s98", {"traits": {"tier": "vip", "region": "us"}})


def test_a_segment_that_nobody_knows_has_no_customers_to_list(api: Api) -> None:
    refused = api.call("GET", "/v1/customers", query="segment=none")
    assert refused.status == 422
    assert refused.json["errors"] == [{"pointer": "/segment", "code": "unknown-segment"}]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "x"}, "/filter"),
        ({"name": "x", "filter": {}}, "/filter"),
        ({"name": "x", "filter": {"tier": []}}, "/filter/tier"),
        ({"name": "x", "filter": {"tier": ["a", "a"]}}, "/filter/tier"),
        ({"name": "x", "filter": {"tier": "a"}}, "/filter/tier"),
        ({"name": "", "filter": {"tier": ["a"]}}, "/name"),
        ({"name": "x", "filter": {f"t{n}": ["a"] for n in range(11)}}, "/filter"),
    ],
)
def test_a_segment_that_breaks_a_rule_is_refused(api: Api, body: Any, pointer: str) -> None:
    refused = api.call("PUT", "/v1/segments/bad", body)
    assert refused.status == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]
    assert api.call("GET", "/v1/segments/bad").status == 404


def test_segments_are_for_operators_only(api: Api) -> None:
    for path in ("/v1/segments", "/v1/segments/gold-eu"):
        assert api.call("GET", path, scopes="portal", customer="s00").status == 403
        assert api.call("GET", path, scopes="ingest").status == 403
    assert api.call("PUT", "/v1/segments/x", GOLD_EU, scopes="read").status == 403
    assert api.call("DELETE", "/v1/segments/gold-eu", scopes="read").status == 403
