"""Usage of several meters as operators ask about it: whose, by what, and what is refused."""

from datetime import timedelta
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

DAYS = "from=2026-03-10T00:00:00Z&to=2026-03-12T00:00:00Z"
# customer, day, model, tokens
USED = (
    ("ada", 0, "small", 5),
    ("ada", 1, "large", 10),
    ("bob", 0, "small", 7),
    ("cleo", 1, "large", 20),
)
Row = tuple[str, str, str, dict[str, str]]


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    for key, aggregation in (("longest", "max"), ("models", "unique_count")):
        value = "model" if aggregation == "unique_count" else "tokens"
        meter = {"event_type": "ai.completion", "aggregation": aggregation, "value": value}
        made.put(f"/v1/meters/{key}", meter)
    for customer, tier in (("ada", "gold"), ("bob", "free"), ("cleo", "gold")):
        made.put(f"/v1/customers/{customer}", {"traits": {"tier": tier}})
    made.put("/v1/segments/gold", {"name": "Gold", "filter": {"tier": ["gold"]}})
    made.put("/v1/segments/paying", {"name": "Both", "filter": {"tier": ["gold", "silver"]}})
    for customer, day, model, tokens in USED:
        at = NOON + timedelta(days=day)
        made.clock.at = at
        made.use(customer, "ai.completion", at, tokens=tokens, model=model)
    return made


def rows(api: Api, query: str) -> list[Row]:
    answer = api.get("/v1/analytics/usage", query=f"{DAYS}&{query}")
    return [
        (row["meter"], row["start"][8:10], row["value"], row["group"]) for row in answer["data"]
    ]


def test_each_meter_comes_to_what_all_customers_used(api: Api) -> None:
    asked = "meter=tokens&meter=models&meter=longest"
    assert rows(api, asked) == [
        ("longest", "10", "20", {}),
        ("models", "10", "2", {}),
        ("tokens", "10", "42", {}),
    ]


def test_without_a_meter_it_is_every_one_that_knows_the_groups(api: Api) -> None:
    every = {meter["key"] for meter in api.get("/v1/meters")["data"]}
    told = {meter for meter, *_ in rows(api, "")}
    assert {"tokens", "longest", "models"} <= told <= every
    # Only `tokens` of the three is kept by model.
    assert {"longest", "models"}.isdisjoint(meter for meter, *_ in rows(api, "group_by=model"))


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("segment=gold", [("35", {})]),
        ("customer=ada&customer=bob&segment=gold", [("15", {})]),
        (
            "group_by=customer",
            [("15", {"customer": "ada"}), ("7", {"customer": "bob"}), ("20", {"customer": "cleo"})],
        ),
        ("group_by=model", [("30", {"model": "large"}), ("12", {"model": "small"})]),
        (
            "group_by=segment",
            [("7", {"segment": ""}), ("35", {"segment": "gold"}), ("35", {"segment": "paying"})],
        ),
    ],
)
def test_usage_is_filtered_and_grouped(
    api: Api, query: str, told: list[tuple[str, dict[str, str]]]
) -> None:
    assert [row[2:] for row in rows(api, f"meter=tokens&{query}")] == told


def test_windows_and_several_groups(api: Api) -> None:
    told = rows(api, "meter=longest&window=day&group_by=segment,customer&customer=ada")
    of = [(day, value, group["segment"]) for _, day, value, group in told]
    assert of == [
        ("10", "5", "gold"),
        ("10", "5", "paying"),
        ("11", "10", "gold"),
        ("11", "10", "paying"),
    ]


def test_usage_is_of_the_plan_of_its_time(api: Api) -> None:
    api.clock.at = NOON + timedelta(days=1)
    api.put("/v1/customers/dora", {})
    api.use("dora", "ai.completion", api.clock.at, tokens=1, model="small")
    api.clock.at += timedelta(hours=2)
    change = {"action": "change", "plan": "pro"}
    api.post("/v1/customers/dora/subscription", change, "to-pro")
    api.use("dora", "ai.completion", api.clock.at, tokens=2, model="small")
    told = rows(api, "meter=tokens&customer=dora&group_by=plan")
    assert [row[2:] for row in told] == [("1", {"plan": "free"}), ("2", {"plan": "pro"})]


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("meter=unknown", "/meter unknown-meter"),
        ("meter=longest&group_by=model", "/group_by unknown-dimension"),
        ("group_by=nothing", "/group_by unknown-dimension"),
        ("window=minute", "/window"),
        ("meter=tokens&meter=tokens", "/meter duplicate"),
    ],
)
def test_what_cannot_be_told_is_refused(api: Api, query: str, refused: str) -> None:
    assert _problem(api, query).startswith(refused)


@pytest.mark.parametrize(
    ("limit", "value", "refused"),
    [
        ("usage_query.MAX_CUSTOMERS", 2, "/customer too-many"),
        ("usage_reports.MAX_KEPT", 89, "/from too-much"),  # nine requests are as much as 90 items
        ("usage_reports.MAX_KEPT", 92, "/from too-much"),
        ("usage_query.MAX_ROWS", 2, "/window too-many"),
    ],
)
def test_it_reads_and_tells_only_so_much(
    api: Api, monkeypatch: pytest.MonkeyPatch, limit: str, value: int, refused: str
) -> None:
    monkeypatch.setattr(f"shared.services.{limit}", value)
    assert _problem(api, "meter=tokens&meter=models&meter=longest&group_by=customer") == refused


def test_a_customer_does_not_ask_about_everyone(api: Api) -> None:
    answer = api.call("GET", "/v1/analytics/usage", query=DAYS, scopes="portal", customer="ada")
    assert answer.status == 403


def _problem(api: Api, query: str) -> Any:
    answer = api.call("GET", "/v1/analytics/usage", query=f"{DAYS}&{query}")
    assert answer.status == 422, answer.json
    [error] = answer.json["errors"]
    return f"{error['pointer']} {error['code']}"
