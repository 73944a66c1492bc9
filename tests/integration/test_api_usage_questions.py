"""Questions about usage over HTTP: whose, by what, how many, in which shape."""

import csv
import io
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.support.capacity import consumed

MARCH = "from=2026-03-10T00:00:00Z&to=2026-03-12T00:00:00Z"
WHOLE_MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"
# customer, day, model, tokens
USED = (
    ("ada", 0, "small", 5),
    ("ada", 1, "large", 10),
    ("bob", 0, "small", 7),
    ("bob", 0, "a,b", 1),
    ("c,d", 1, "large", 20),
)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    for customer, tier in (("ada", "gold"), ("bob", "free"), ("c,d", "gold")):
        made.put(f"/v1/customers/{quote(customer)}", {"traits": {"tier": tier}})
    made.put("/v1/segments/gold", {"name": "Gold", "filter": {"tier": ["gold"]}})
    for customer, day, model, tokens in USED:
        at = NOON + timedelta(days=day)
        made.clock.at = at
        made.use(customer, "ai.completion", at, tokens=tokens, model=model)
    return made


def ask(api: Api, query: str) -> list[tuple[str, str | None, dict[str, str]]]:
    answer = api.get("/v1/usage", query=f"meter=tokens&{MARCH}&{query}")
    return [(row["start"][8:10], row["value"], row["group"]) for row in answer["data"]]


@pytest.mark.parametrize(
    ("query", "total"),
    [
        ("customer=ada", "15"),
        ("customer=ada&customer=bob", "23"),
        ("customer=c%2Cd", "20"),
        ("segment=gold", "35"),
        ("segment=gold&customer=ada&customer=bob", "15"),
        ("filter[model]=small", "12"),
        ("filter%5Bmodel%5D=small&filter[model]=a,b", "13"),
        ("filter[model]=large&segment=gold&customer=ada", "10"),
    ],
)
def test_usage_is_kept_to_whom_and_what_was_asked(api: Api, query: str, total: str) -> None:
    assert [value for _, value, _ in ask(api, query)] == [total]


def test_customers_and_dimensions_group_together(api: Api) -> None:
    by_both = ask(api, "group_by=customer,model&window=day")
    assert by_both == ask(api, "group_by=customer&group_by=model&window=day")
    assert by_both == [
        (f"{10 + day}", str(tokens), {"customer": customer, "model": model})
        for customer, day, model, tokens in sorted(
            USED, key=lambda used: (used[1], *used[:1], used[2])
        )
    ]


def test_the_top_and_the_rest(api: Api) -> None:
    query = f"meter=tokens&{MARCH}&group_by=model&top=1&rest=true&window=day&fill=true"
    answer = api.get("/v1/usage", query=query)
    assert [(row["value"], row["group"]) for row in answer["data"]] == [
        ("0", {"model": "large"}),
        ("30", {"model": "large"}),
    ]
    assert [row["value"] for row in answer["rest"]] == ["13", "0"]
    reply = api.call("GET", "/v1/usage", query=query, headers={"accept": "text/csv"})
    assert [row[2:] for row in csv.reader(io.StringIO(reply.text))] == [
        ["model", "value", "kind"],
        ["large", "0", "group"],
        ["large", "30", "group"],
        ["", "13", "rest"],
        ["", "0", "rest"],
    ]


def test_the_same_question_as_json_has_the_same_answer(api: Api) -> None:
    body = {
        "meter": "tokens",
        "customers": ["ada", "c,d"],
        "segment": "gold",
        "from": "2026-03-10T00:00:00Z",
        "to": "2026-03-12T00:00:00Z",
        "window": "day",
        "timezone": "Asia/Kolkata",
        "group_by": ["customer"],
        "filter": {"model": ["large", "none"]},
        "top": 1,
        "rest": True,
        "fill": True,
    }
    reply = api.call("POST", "/v1/usage/query", body, scopes="read")
    query = (
        f"meter=tokens&{MARCH}&customer=ada&customer=c,d&segment=gold&window=day&group_by=customer"
        "&timezone=Asia/Kolkata&filter[model]=large&filter[model]=none&top=1&rest=true&fill=true"
    )
    assert reply.json == api.get("/v1/usage", query=query)
    assert [row["value"] for row in reply.json["data"]] == ["0", "20", "0"]
    as_csv = api.call(
        "POST", "/v1/usage/query", body, scopes="read", headers={"accept": "text/csv"}
    )
    assert len(list(csv.reader(io.StringIO(as_csv.text)))) == 7


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("segment=none", "/segment", "unknown-segment"),
        ("segment=Not+A+Slug", "/segment", "string-pattern-mismatch"),
        ("filter[color]=red", "/filter", "unknown-dimension"),
        ("filter[model]=a&filter[model]=a", "/filter/model", "duplicate"),
        ("filter=a", "/filter", "dict-type"),
        ("filter[]=a", "", "unknown-member"),
        ("top=0&group_by=model", "/top", "greater-than-equal"),
        ("top=3", "/group_by", "required-by-top"),
        ("rest=true&group_by=model", "/top", "required-by-rest"),
        ("fill=maybe", "/fill", "bool-parsing"),
        ("customer=ada&customer=ada", "/customer", "duplicate"),
        ("&".join(f"customer=c{n}" for n in range(101)), "/customer", "too-long"),
        ("group_by=customer,customer", "/group_by", "duplicate"),
        ("window=day&window=day", "", "repeated-parameter"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_a_pointer(
    api: Api, query: str, pointer: str, code: str
) -> None:
    refused = api.call("GET", "/v1/usage", query=f"meter=tokens&{MARCH}&{query}")
    assert refused.status == 422
    [error] = refused.json["errors"]
    assert error["code"] == code
    assert error["pointer"].startswith(pointer)


def test_a_customer_sees_the_meters_of_its_plan(api: Api) -> None:
    path = "/v1/customers/ada/meters"
    seen = api.call("GET", path, scopes="portal", customer="ada")
    assert seen.json == {
        "data": [
            {"key": "messages", "aggregation": "count", "dimensions": []},
            {"key": "tokens", "aggregation": "sum", "dimensions": ["model"]},
        ]
    }
    assert api.call("GET", path, scopes="portal", customer="bob").status == 404
    assert api.call("GET", "/v1/customers/nobody/meters").status == 404


def test_an_unknown_customer_among_several_is_not_found(api: Api) -> None:
    query = f"meter=tokens&{MARCH}&customer=ada&customer=nobody"
    assert api.call("GET", "/v1/usage", query=query).status == 404


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("customer=ada", 200),
        ("customer=ada&group_by=customer", 200),
        ("", 404),
        ("customer=ada&customer=bob", 404),
        ("customer=bob", 404),
        ("segment=gold", 404),
        ("customer=ada&segment=gold", 403),
    ],
)
def test_a_portal_token_asks_about_its_own_customer_only(api: Api, query: str, status: int) -> None:
    found: Any = api.call(
        "GET", "/v1/usage", query=f"meter=tokens&{MARCH}&{query}", scopes="portal", customer="ada"
    )
    assert found.status == status
    if status == 200:
        assert [row["value"] for row in found.json["data"]] == ["15"]


@pytest.mark.parametrize(
    ("question", "status"),
    [
        ({"customers": ["ada"]}, 200),
        ({"customers": ["ada"], "group_by": ["customer"], "filter": {"model": ["small"]}}, 200),
        ({}, 404),
        ({"customers": []}, 404),
        ({"customers": ["ada", "bob"]}, 404),
        ({"customers": ["bob"]}, 404),
        ({"customers": ["nobody"]}, 404),
        ({"segment": "gold"}, 404),
        ({"customers": ["ada"], "segment": "gold"}, 403),
    ],
)
def test_a_portal_token_asks_the_same_as_json(
    api: Api, question: dict[str, Any], status: int
) -> None:
    body = {"meter": "tokens", **dict(parse_qsl(MARCH)), **question}
    found = api.call("POST", "/v1/usage/query", body, scopes="portal", customer="ada")
    assert found.status == status
    if status == 200:
        assert found.json == api.call("POST", "/v1/usage/query", body, scopes="read").json
        assert found.json["data"]


def test_a_month_of_one_customer_is_two_requests(api: Api) -> None:
    query = f"meter=tokens&customer=ada&{WHOLE_MARCH}&window=day&group_by=model"
    api.get("/v1/usage", query=query)
    with consumed(api.runtime.dynamodb) as used:
        api.get("/v1/usage", query=query)
    # Once a second there is one more, for the catalogue's version.
    assert used.requests[-2:] == ["BatchGetItem", "Query"]
    assert used.requests[:-2] in ([], ["GetItem"])


def test_every_aggregation_is_answered_through_the_whole_system(api: Api) -> None:
    totals = {"min": "1", "max": "9", "latest": "4", "average": "4.75", "unique_count": "4"}
    ranked = {"min": "b", "max": "a", "latest": "b", "average": "b", "unique_count": "a"}
    for aggregation in totals:
        meter = {"event_type": "rated", "aggregation": aggregation, "value": "stars"}
        api.put(f"/v1/meters/stars.{aggregation}", {**meter, "dimensions": ["page"]})
    for hour, stars, page in ((1, 1, "a"), (2, 5, "b"), (26, 9, "a"), (27, 4, "a")):
        at = NOON + timedelta(hours=hour)
        api.clock.at = at
        api.use("ada", "rated", at, stars=stars, page=page)
    api.use("bob", "rated", NOON, stars=9, page="a")
    # The bounds of reads must not cut what a day or an hour holds.
    bounds = "from=2026-02-07T13:00:00Z&to=2026-03-12T00:00:00Z"
    for aggregation, total in totals.items():
        query = f"meter=stars.{aggregation}&{bounds}&customer=ada"
        [row] = api.get("/v1/usage", query=query)["data"]
        assert row["value"] == total
        by_page = api.get("/v1/usage", query=f"{query}&group_by=page&top=1&rest=true")
        assert by_page["data"][0]["group"] == {"page": ranked[aggregation]}
        assert len(by_page["rest"]) == 1
    everyone = api.get("/v1/usage", query=f"meter=stars.unique_count&{bounds}")
    assert [row["value"] for row in everyone["data"]] == ["4"]


@pytest.mark.parametrize(
    ("bound", "at_most", "query", "refusal"),
    [
        ("shared.services.usage_query.MAX_KEPT", 4, "", "/from too-much"),
        ("shared.services.usage_query.MAX_CUSTOMERS", 2, "", "/customer too-many"),
        ("shared.services.usage_query.MAX_CUSTOMERS", 1, "segment=gold", "/segment too-many"),
        ("shared.services.usage_query.MAX_ROWS", 47, "window=hour", "/window too-many"),
        ("shared.services.usage_query.MAX_ROWS", 2, "group_by=customer", "/window too-many"),
        ("functions.routes.usage.MAX_PAGE_BYTES", 300, "group_by=model", "/group_by too-large"),
    ],
)
def test_a_question_for_too_much_is_refused_rather_than_cut(
    api: Api, bound: str, at_most: int, query: str, refusal: str
) -> None:
    question = f"meter=tokens&{MARCH}&{query}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bound, at_most)
        refused = api.call("GET", "/v1/usage", query=question, scopes="read")
    assert refused.status == 422
    assert [f"{e['pointer']} {e['code']}" for e in refused.json["errors"]] == [refusal]
    api.get("/v1/usage", query=question)
