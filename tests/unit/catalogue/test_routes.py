"""The catalogue's routes: what they accept, and what each mistake gets."""

import json
from typing import Any

import pytest

from functions.routes.catalogue import router
from tests.unit.catalogue.fakes import MemoryCatalogueStore, fake_runtime
from tests.unit.http.events import api_event

METER = {
    "event_type": "ai.completion",
    "aggregation": "sum",
    "value": "tokens",
    "dimensions": ["model"],
}
PER_UNIT = {"model": "per_unit", "unit_price": "0.002"}
RATE = {"meter": "tokens", "price": PER_UNIT}
PLAN: dict[str, Any] = {"name": "Pro", "currency": "USD", "fee": "20.00", "rates": [RATE]}
UNIT = {
    "name": "Sparks",
    "decimals": 2,
    "values": [{"effective_at": "2026-01-01T00:00:00Z", "currency": "USD", "value": "0.01"}],
}


class Api:
    """Calls the routes over one store in memory."""

    def __init__(self) -> None:
        self.store = MemoryCatalogueStore()

    def call(self, method: str, path: str, body: object = None, **more: Any) -> tuple[int, Any]:
        runtime = fake_runtime(self.store)
        answer = router.serve(api_event(method, path, body, **more), lambda: runtime)
        return answer["statusCode"], json.loads(answer["body"])

    def put(self, path: str, body: object) -> Any:
        status, answer = self.call("PUT", path, body)
        assert status == 200, answer
        return answer

    def refusal(self, path: str, body: object, method: str = "PUT") -> set[tuple[str, str]]:
        """The pointers and codes of a 422."""
        status, answer = self.call(method, path, body)
        assert status == 422, answer
        return {(error["pointer"], error["code"]) for error in answer["errors"]}


@pytest.fixture
def api() -> Api:
    """An API whose catalogue has one meter and one credit unit."""
    api = Api()
    api.put("/v1/meters/tokens", METER)
    api.put("/v1/credit-units/sparks", UNIT)
    return api


# --- meters -------------------------------------------------------------------------------------


def test_a_meter_is_in_force_from_the_version_that_it_makes(api: Api) -> None:
    assert api.put("/v1/meters/calls", {"event_type": "call", "aggregation": "count"}) == {
        "key": "calls",
        "event_type": "call",
        "aggregation": "count",
        "value": None,
        "dimensions": [],
        "filter": {},
        "since": 3,
        "archived_since": None,
    }


@pytest.mark.parametrize("aggregation", ["sum", "min", "max", "latest", "average", "unique_count"])
def test_all_other_aggregations_read_a_value(api: Api, aggregation: str) -> None:
    meter = {"event_type": "call", "aggregation": aggregation, "value": "seconds"}
    assert api.put("/v1/meters/calls", meter)["aggregation"] == aggregation


def test_the_same_meter_again_changes_nothing(api: Api) -> None:
    assert api.put("/v1/meters/tokens", METER)["since"] == 1
    assert api.store.catalogue.version == 2
    assert len(api.store.audits) == 2


def test_another_definition_of_a_meter_is_refused(api: Api) -> None:
    status, answer = api.call("PUT", "/v1/meters/tokens", {**METER, "value": "characters"})
    assert (status, answer["code"]) == (409, "meter-immutable")


def test_archiving(api: Api) -> None:
    assert api.call("POST", "/v1/meters/tokens/archive")[1]["archived_since"] == 3
    assert api.call("POST", "/v1/meters/tokens/archive")[1]["archived_since"] == 3
    assert api.put("/v1/meters/tokens", METER)["archived_since"] == 3
    assert api.refusal("/v1/plans/pro", PLAN) == {("/rates/0/meter", "archived-meter")}
    assert api.call("POST", "/v1/meters/nothing/archive")[0] == 404


def test_a_meter_that_a_plan_uses_is_not_archived(api: Api) -> None:
    api.put("/v1/plans/pro", PLAN)
    status, answer = api.call("POST", "/v1/meters/tokens/archive")
    assert (status, answer["code"]) == (409, "meter-in-use")
    assert "pro" in answer["detail"]
    assert api.store.catalogue.meters["tokens"].archived_since is None
    api.put("/v1/plans/pro", {**PLAN, "rates": []})
    assert api.call("POST", "/v1/meters/tokens/archive")[0] == 200
    definition = {**METER, "aggregation": "count", "value": None}
    assert api.call("PUT", "/v1/meters/tokens", definition)[1]["code"] == "meter-immutable"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"value": None}, ("/value", "required")),
        ({"aggregation": "count"}, ("/value", "not-for-count")),
        ({"aggregation": "max", "value": None}, ("/value", "required")),
        ({"aggregation": "unique_count", "value": None}, ("/value", "required")),
        ({"aggregation": "median"}, ("/aggregation", "literal-error")),
        ({"dimensions": ["a", "a"]}, ("/dimensions", "duplicate-dimension")),
        ({"dimensions": [f"d{n}" for n in range(11)]}, ("/dimensions", "too-long")),
        ({"dimensions": ["d" * 65]}, ("/dimensions/0", "name-length")),
        ({"filter": {"tier": []}}, ("/filter/tier", "too-short")),
        ({"filter": {"tier": ["x" * 257]}}, ("/filter/tier/0", "string-too-long")),
        ({"event_type": ""}, ("/event_type", "string-too-short")),
        ({"balance": 1}, ("/balance", "unknown-member")),
    ],
)
def test_meters_refused(api: Api, change: dict[str, Any], problem: tuple[str, str]) -> None:
    assert problem in api.refusal("/v1/meters/other", {**METER, **change})
    assert api.store.catalogue.version == 2


@pytest.mark.parametrize("key", ["Tokens", "_x", "a%20b", "x" * 65])
def test_keys_are_slugs(api: Api, key: str) -> None:
    assert api.call("PUT", f"/v1/meters/{key}", METER)[0] == 422


# --- plans --------------------------------------------------------------------------------------

WHOLE_PLAN: dict[str, Any] = {
    "name": "Pro",
    "currency": "USD",
    "interval": "month",
    "fee": "20",
    "minimum": "12.5",
    "allowances": [{"meter": "tokens", "quantity": "1000000"}],
    "credits": [
        {
            "unit": "sparks",
            "amount": "500",
            "expires": "period_end",
            "rollover_max": "100",
            "rollover_min": "40",
        },
        {"unit": "USD", "amount": "5", "expires": "P90D", "rollover_max": None, "refill": True},
    ],
    "rates": [
        {"meter": "tokens", "where": {"model": "large"}, "price": PER_UNIT, "unit": "sparks"},
        {
            "meter": "tokens",
            "where": {},
            "price": {
                "model": "graduated",
                "tiers": [
                    {"up_to": "10", "unit_price": "1", "flat_fee": "0"},
                    {"up_to": None, "unit_price": "0.000000000001", "flat_fee": "2.5"},
                ],
            },
            "unit": "USD",
        },
    ],
    "features": {"sso": True, "seats": 5},
    "default": True,
    "period": "anniversary",
    "on_exhausted": "block",
    "trial_days": 14,
    "bill_trial_usage": True,
    "converts_to": None,
}


def test_a_plan_comes_back_as_it_was_sent(api: Api) -> None:
    answer = api.put("/v1/plans/pro", WHOLE_PLAN)
    assert answer == {**WHOLE_PLAN, "key": "pro", "version": 1}
    assert api.call("GET", "/v1/plans/pro") == (200, answer)


def test_only_a_change_makes_a_version(api: Api) -> None:
    api.put("/v1/plans/pro", PLAN)
    assert api.put("/v1/plans/pro", {**PLAN, "fee": 20})["version"] == 1
    assert api.put("/v1/plans/pro", {**PLAN, "fee": "25"})["version"] == 2
    assert api.call("GET", "/v1/plans/pro", query="version=1")[1]["fee"] == "20"
    assert api.call("GET", "/v1/plans/pro", query="version=3")[0] == 404
    assert api.call("GET", "/v1/plans/pro", query="version=0")[0] == 422


def test_one_plan_is_the_default(api: Api) -> None:
    api.put("/v1/plans/free", {**PLAN, "default": True})
    status, answer = api.call("PUT", "/v1/plans/pro", {**PLAN, "default": True})
    assert (status, answer["code"]) == (409, "default-exists")
    api.put("/v1/plans/free", PLAN)
    assert api.put("/v1/plans/pro", {**PLAN, "default": True})["default"] is True


def rates(*prices: object) -> dict[str, Any]:
    return {"rates": [{"meter": "tokens", "price": price} for price in prices]}


def tiers(*bounds: object) -> dict[str, Any]:
    listed = [{"up_to": bound, "unit_price": "1"} for bound in bounds]
    return rates({"model": "graduated", "tiers": listed})


def credit(**change: object) -> dict[str, Any]:
    return {"credits": [{"unit": "sparks", "amount": "5", "expires": "never", **change}]}


TIERS = "/rates/0/price/tiers"
PERCENTAGE = {"model": "percentage", "rate": "1"}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (tiers("10", "5", None), (TIERS, "overlapping-tiers")),
        (tiers(None, "5", None), (TIERS, "overlapping-tiers")),
        (tiers("10", "20"), (TIERS, "tier-gap")),
        (tiers("10", "10", None), (TIERS, "zero-width-tier")),
        (tiers("0", None), (TIERS, "zero-width-tier")),
        (tiers(), (TIERS, "too-short")),
        (tiers("0.0000000001", None), (f"{TIERS}/0/up_to", "too-many-decimals")),
        (rates({**PER_UNIT, "unit_price": "-1"}), ("/rates/0/price/unit_price", "out-of-range")),
        (
            rates({**PER_UNIT, "unit_price": "0.0000000000001"}),
            ("/rates/0/price/unit_price", "too-many-decimals"),
        ),
        (rates({"model": "volume", "tiers": []}), (TIERS, "too-short")),
        (rates({"model": "dynamic"}), ("/rates/0/price", "union-tag-invalid")),
        (
            rates({**PER_UNIT, "discount_percentage": "100.5"}),
            ("/rates/0/price/discount_percentage", "out-of-range"),
        ),
        (
            rates({**PER_UNIT, "minimum_amount": "5", "maximum_amount": "4"}),
            ("/rates/0/price/minimum_amount", "minimum-above-maximum"),
        ),
        (
            rates({**PERCENTAGE, "min_per_event": "5", "max_per_event": "4"}),
            ("/rates/0/price/max_per_event", "minimum-above-maximum"),
        ),
        (
            rates({**PERCENTAGE, "min_per_event": "5", "free_events": "3"}),
            ("/rates/0/price/min_per_event", "free-and-per-event"),
        ),
        (
            rates({**PERCENTAGE, "max_per_event": "5", "free_units": "3"}),
            ("/rates/0/price/max_per_event", "free-and-per-event"),
        ),
        (
            rates({"model": "package", "package_size": "0", "package_price": "1"}),
            ("/rates/0/price/package_size", "out-of-range"),
        ),
        (rates(PER_UNIT, PER_UNIT), ("/rates/1", "unreachable-rate")),
        ({"trial_days": 731}, ("/trial_days", "less-than-equal")),
        ({"minimum": "5.001"}, ("/minimum", "too-many-decimals")),
        ({"minimum": "-1"}, ("/minimum", "out-of-range")),
        ({"minimum": "1000000.00"}, ("/minimum", "out-of-range")),
        ({"converts_to": {"plan": "x"}}, ("/converts_to/plan", "unknown-plan")),
        (
            {"converts_to": {"plan": "x", "when": "never"}},
            ("/converts_to/when", "literal-error"),
        ),
        ({"balance": "5"}, ("/balance", "unknown-member")),
        ({"currency": "XXX"}, ("/currency", "unknown-currency")),
        ({"currency": "JPY", "fee": "1.5"}, ("/fee", "too-many-decimals")),
        ({"fee": "0.001"}, ("/fee", "too-many-decimals")),
        ({"fee": "1000000.00"}, ("/fee", "out-of-range")),
        ({"currency": "JPY", "fee": "100000000"}, ("/fee", "out-of-range")),
        ({"fee": "-1"}, ("/fee", "out-of-range")),
        ({"fee": "1e999999999"}, ("/fee", "not-a-number")),
        (credit(expires="P0D"), ("/credits/0/expires", "not-an-expiry")),
        (credit(expires="tomorrow"), ("/credits/0/expires", "not-an-expiry")),
        (credit(rollover_max="1"), ("/credits/0/rollover_max", "rollover-without-period-end")),
        (credit(rollover_min="1"), ("/credits/0/rollover_min", "minimum-above-maximum")),
        (
            credit(expires="period_end", refill=True),
            ("/credits/0/refill", "nothing-left-to-refill"),
        ),
        (
            credit(expires="period_end", refill=True, rollover_max="0"),
            ("/credits/0/refill", "nothing-left-to-refill"),
        ),
        (
            credit(expires="period_end", refill=True, rollover_max="1000000"),
            ("/credits/0/refill", "rollover-above-refill"),
        ),
        (
            credit(expires="period_end", refill=True, rollover_max="1", rollover_min="1"),
            ("/credits/0/refill", "refill-and-rollover-min"),
        ),
        (credit(refill="yes"), ("/credits/0/refill", "bool-type")),
        (credit(unit="stars"), ("/credits/0/unit", "unknown-unit")),
        (credit(unit="USD", amount="0.001"), ("/credits", "too-many-decimals")),
        ({"credits": credit()["credits"] * 2}, ("/credits", "duplicate-unit")),
        (
            {"allowances": [{"meter": "tokens", "quantity": "1"}] * 2},
            ("/allowances", "duplicate-meter"),
        ),
        (
            {"allowances": [{"meter": "nothing", "quantity": "1"}]},
            ("/allowances/0/meter", "unknown-meter"),
        ),
        ({"rates": [{**RATE, "meter": "nothing"}]}, ("/rates/0/meter", "unknown-meter")),
        ({"rates": [{**RATE, "unit": "stars"}]}, ("/rates/0/unit", "unknown-unit")),
        ({"rates": [{**RATE, "unit": "EUR"}]}, ("/rates/0/unit", "other-currency")),
        (
            {"currency": "EUR", "rates": [{**RATE, "unit": "sparks"}]},
            ("/rates/0/unit", "unit-without-value"),
        ),
        (
            {"rates": [{**RATE, "where": {"region": "eu"}}]},
            ("/rates/0/where", "unknown-dimension"),
        ),
        (
            {"rates": [{**RATE, "where": {"model": str(n)}} for n in range(21)]},
            ("/rates", "too-long"),
        ),
        ({"features": {"Seats": 1}}, ("/features/Seats", "string-pattern-mismatch")),
    ],
)
def test_plans_refused(api: Api, change: dict[str, Any], problem: tuple[str, str]) -> None:
    assert problem in api.refusal("/v1/plans/pro", {**PLAN, **change})
    assert api.store.catalogue.version == 2


def test_rate_cards_of_allowances_count_too(api: Api) -> None:
    api.put("/v1/meters/other", METER)
    where = [{**RATE, "where": {"model": str(n)}} for n in range(20)]
    allowance = {"meter": "other", "quantity": "1"}
    plan = {**PLAN, "rates": where, "allowances": [allowance]}
    assert api.refusal("/v1/plans/pro", plan) == {("/rates", "too-many-rate-cards")}


# --- credit units -------------------------------------------------------------------------------

PAST, LATER = UNIT["values"][0], {**UNIT["values"][0], "effective_at": "2026-06-01T00:00:00Z"}


def test_values_are_appended(api: Api) -> None:
    answer = api.put("/v1/credit-units/sparks", {**UNIT, "values": [LATER, PAST]})
    assert answer["values"] == [PAST, LATER]
    assert api.put("/v1/credit-units/sparks", {**UNIT, "values": [PAST, LATER]}) == answer
    assert api.store.catalogue.version == 3


@pytest.mark.parametrize(
    "change",
    [
        {"values": []},
        {"values": [{**PAST, "value": "0.02"}]},
        {"values": [PAST, {**PAST, "effective_at": "2026-02-01T00:00:00Z"}]},
        {"decimals": 3},
    ],
)
def test_the_past_of_a_unit_is_not_changed(api: Api, change: dict[str, Any]) -> None:
    status, answer = api.call("PUT", "/v1/credit-units/sparks", {**UNIT, **change})
    assert (status, answer["code"]) == (409, "unit-immutable")


def test_a_new_currency_may_have_a_past(api: Api) -> None:
    euro = {**PAST, "currency": "EUR"}
    assert len(api.put("/v1/credit-units/sparks", {**UNIT, "values": [PAST, euro]})["values"]) == 2


# --- lists, races, preview ----------------------------------------------------------------------


def test_lists_page_by_key(api: Api) -> None:
    for key in ("b", "a", "c"):
        api.put(f"/v1/meters/{key}", METER)
    _, first = api.call("GET", "/v1/meters", query="limit=2")
    _, second = api.call("GET", "/v1/meters", query=f"limit=2&cursor={first['next_cursor']}")
    found = [meter["key"] for page in (first, second) for meter in page["data"]]
    assert (found, second["next_cursor"]) == (["a", "b", "c", "tokens"], None)
    assert api.call("GET", "/v1/plans", query=f"cursor={first['next_cursor']}")[0] == 400


def test_a_lost_race_is_decided_anew(api: Api) -> None:
    api.store.overtake = lambda: api.put("/v1/plans/pro", {**PLAN, "fee": "1"})
    assert api.put("/v1/plans/pro", PLAN)["version"] == 2


def test_a_reading_key_publishes_nothing(api: Api) -> None:
    assert api.call("PUT", "/v1/meters/x", METER, scopes="read,ingest")[0] == 403
    assert api.call("GET", "/v1/meters/tokens", scopes="read")[0] == 200


def test_preview(api: Api) -> None:
    price = WHOLE_PLAN["rates"][1]["price"]
    body = {"price": price, "quantity": "10.5", "currency": "USD"}
    status, answer = api.call("POST", "/v1/pricing/preview", body)
    assert (status, answer) == (
        200,
        {
            "amount": "12.5000000000005",
            "rounded": "12.50",
            "details": [
                {"tier": 1, "component": "usage", "units": "10", "amount": "10"},
                {"tier": 2, "component": "usage", "units": "0.5", "amount": "2.5000000000005"},
            ],
        },
    )
    events = {"price": price, "events": [{"value": "10"}, {"value": "0.5"}]}
    _, by_event = api.call("POST", "/v1/pricing/preview", events)
    assert by_event == {**answer, "rounded": None}


@pytest.mark.parametrize("how_much", [{}, {"quantity": "1", "events": []}])
def test_a_preview_says_how_much_in_one_way(api: Api, how_much: dict[str, Any]) -> None:
    body = {"price": PER_UNIT, **how_much}
    assert api.refusal("/v1/pricing/preview", body, "POST") == {("", "quantity-or-events")}
