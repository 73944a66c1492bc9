"""What operators send to the management routes: each bad input is refused by name, unwritten."""

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from functions.api import router
from local.emulator import Aws
from shared.domain.catalogue import Plan
from shared.services.catalogue import CatalogueService
from shared.wire.plans import PlanBody
from tests.integration.api import NOON, Api, per_unit, publish_catalogue
from tests.integration.conftest import Tables

PLAN = {"name": "Bad", "currency": "USD"}
_KEYS = (f"bad-{n}" for n in itertools.count())


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


def tiers(*bounds: str | None, model: str = "graduated") -> dict[str, Any]:
    return {"model": model, "tiers": [{"up_to": b, "unit_price": "1"} for b in bounds]}


def rated(price: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**PLAN, "rates": [{"meter": "messages", "price": price}], **more}


JPY = {"name": "Bad", "currency": "JPY"}
OFF = {"name": "Off", "currency": "JPY"}
PACK = {"name": "Pack", "price": "1", "credits": [{"unit": "USD", "amount": "1"}]}
COSTS = {"currency": "USD"}
REWARD = {"meter": "messages", "every": "10", "unit": "USD", "amount": "1"}
FLAT = {"model": "flat"}
THIRTEEN = "0.1234567890123"


@pytest.mark.parametrize(
    ("path", "body", "pointer", "code"),
    [
        pytest.param(path, body, pointer, code, id=name)
        for name, path, body, pointer, code in [
            ("85", "plans", rated(tiers("9", "5", None)), "tiers", "overlapping-tiers"),
            ("86", "plans", rated(tiers("5", "9")), "tiers", "tier-gap"),
            ("87", "plans", rated(tiers("5", "5", None)), "tiers", "zero-width-tier"),
            ("88", "plans", rated(per_unit("-0.01")), "unit_price", "out-of-range"),
            ("88 fee", "plans", {**PLAN, "fee": "-1"}, "/fee", "out-of-range"),
            ("89", "plans", {**PLAN, "currency": "XYZ"}, "/currency", "unknown-currency"),
            ("89 coupon", "coupons", {**OFF, "currency": "usd"}, "/currency", "unknown-currency"),
            ("90 fee", "plans", {**JPY, "fee": "1.5"}, "/fee", "too-many-decimals"),
            ("90 minimum", "plans", {**JPY, "minimum": "1.5"}, "/minimum", "too-many-decimals"),
            ("90 coupon", "coupons", {**OFF, "amount": "1.5"}, "/amount", "too-many-decimals"),
            (
                "90 add-on",
                "add-ons",
                {**PACK, "currency": "JPY", "price": "1.5"},
                "/price",
                "too-many-decimals",
            ),
            (
                "90 reward",
                "reward-rules",
                {**REWARD, "unit": "JPY", "amount": "1.5"},
                "/amount",
                "too-many-decimals",
            ),
            (
                "90 included",
                "plans",
                {**PLAN, "credits": [{"unit": "sparks", "amount": "5.005"}]},
                "/credits/0/amount",
                "too-many-decimals",
            ),
            (
                "90 rollover",
                "plans",
                {**PLAN, "credits": [{"unit": "sparks", "amount": "5", "rollover_max": "0.001"}]},
                "/credits/0/rollover_max",
                "too-many-decimals",
            ),
            (
                "90 pack",
                "add-ons",
                {**PACK, "credits": [{"unit": "sparks", "amount": "1.005"}]},
                "/credits/0/amount",
                "too-many-decimals",
            ),
            ("91 fee", "plans", {**PLAN, "fee": "1000000.00"}, "/fee", "out-of-range"),
            ("91 minimum", "plans", {**PLAN, "minimum": "1000000"}, "/minimum", "out-of-range"),
            (
                "91 price",
                "plans",
                rated({**FLAT, "amount": "1000000"}),
                "/rates/0/price",
                "out-of-range",
            ),
            (
                "91 tier",
                "plans",
                rated({"model": "volume", "tiers": [{"up_to": None, "unit_price": "1000000"}]}),
                "/rates/0/price",
                "out-of-range",
            ),
            (
                "91 coupon",
                "coupons",
                {**OFF, "currency": "USD", "amount": "1000000"},
                "/amount",
                "out-of-range",
            ),
            ("91 add-on", "add-ons", {**PACK, "price": "1000000"}, "/price", "out-of-range"),
            (
                "91 pack",
                "add-ons",
                {**PACK, "credits": [{"unit": "USD", "amount": "1000000"}]},
                "/credits/0/amount",
                "out-of-range",
            ),
            (
                "91 costs",
                "cost-rates",
                {**COSTS, "rates": [{"price": per_unit("1000000")}]},
                "/rates/0/price",
                "out-of-range",
            ),
            (
                "91 reward",
                "reward-rules",
                {**REWARD, "amount": "1000000"},
                "/amount",
                "out-of-range",
            ),
            ("13 places", "plans", rated(per_unit(THIRTEEN)), "unit_price", "too-many-decimals"),
            (
                "13 places of costs",
                "cost-rates",
                {**COSTS, "rates": [{"price": per_unit(THIRTEEN)}]},
                "unit_price",
                "too-many-decimals",
            ),
            ("100", "plans", {**PLAN, "balance": "5"}, "/balance", "unknown-member"),
            ("100 customer", "customers", {"balance": "5"}, "/balance", "unknown-member"),
        ]
    ],
)
def test_what_is_refused(api: Api, path: str, body: object, pointer: str, code: str) -> None:
    key = "messages" if path == "cost-rates" else next(_KEYS)
    reply = api.call("PUT", f"/v1/{path}/{key}", body)
    assert (reply.status, reply.json["code"]) == (422, "validation")
    assert [each["code"] for each in reply.json["errors"]] == [code]
    assert reply.json["errors"][0]["pointer"].endswith(pointer)
    assert key not in str(api.get(f"/v1/{path}")["data"])


def test_twelve_places_and_the_largest_amounts_are_fine(api: Api) -> None:
    smallest, largest = "0.000000000001", "999999.99"
    plan = {**rated(per_unit(smallest)), "fee": largest, "minimum": largest}
    assert api.put("/v1/plans/fine", plan)["rates"][0]["price"]["unit_price"] == smallest
    costs = {**COSTS, "rates": [{"price": per_unit(smallest)}]}
    assert api.put("/v1/cost-rates/tokens", costs)["rates"][0]["price"] == per_unit(smallest)
    coupon = {"name": "Much", "currency": "JPY", "amount": "99999999"}
    assert api.put("/v1/coupons/much", coupon)["amount"] == "99999999"
    assert api.put("/v1/plans/yen", {**rated(per_unit("0.0015")), **JPY})["currency"] == "JPY"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        pytest.param({"expires_at": NOON - timedelta(1)}, "/expires_at", "in-the-past", id="92"),
        pytest.param({"amount": "1000000"}, "/amount", "out-of-range", id="91 grant"),
        pytest.param({"amount": "-1"}, "/amount", "out-of-range", id="a negative grant"),
    ],
)
def test_grants_that_are_refused(
    api: Api, changes: dict[str, Any], pointer: str, code: str
) -> None:
    customer = api.new_customer()
    plain = {name: v if isinstance(v, str) else v.isoformat() for name, v in changes.items()}
    grant = {"unit": "USD", "amount": "1", "source": "purchase", **plain}
    reply = api.call("POST", f"{customer}/grants", grant, key="k")
    assert (reply.status, reply.json["errors"]) == (422, [{"pointer": pointer, "code": code}])
    assert api.get(f"{customer}/balance", query="unit=USD")["settled"] == "0"


def test_93_a_published_version_never_changes(api: Api) -> None:
    first = api.put("/v1/plans/versioned", {**PLAN, "fee": "1.00"})
    assert api.put("/v1/plans/versioned", {**PLAN, "fee": "2.00"})["version"] == 2
    assert api.get("/v1/plans/versioned", query="version=1") == first
    edited = api.call("PUT", "/v1/plans/versioned", {**PLAN, "version": 1})
    assert edited.json["errors"] == [{"pointer": "/version", "code": "unknown-member"}]


def test_94_an_invoice_cannot_be_edited(api: Api) -> None:
    for method in ("PUT", "DELETE", "PATCH"):
        assert api.call(method, "/v1/invoices/inv_1", {}).status == 405


def test_97_and_98_money_writes(api: Api) -> None:
    customer = api.new_customer()
    grant = {"unit": "USD", "amount": "1", "source": "purchase"}
    missing = api.call("POST", f"{customer}/grants", grant)
    assert (missing.status, missing.json["code"]) == (400, "idempotency-key-required")
    endless = api.call("POST", f"{customer}/grants", grant, key="k" * 257)
    assert endless.status == 422
    assert "Idempotency-Key" in endless.json["detail"]
    made = api.post(f"{customer}/grants", grant, "k")
    assert api.post(f"{customer}/grants", grant, "k") == made
    reused = api.call("POST", f"{customer}/grants", {**grant, "amount": "2"}, key="k")
    assert (reused.status, reused.json["code"]) == (409, "idempotency-key-reused")
    assert api.get(f"{customer}/balance", query="unit=USD")["settled"] == "1"


UNIT = {"name": "Stars", "decimals": 0, "values": []}
TAGGED = [
    ("/v1/customers/tagged", {"name": "A"}, {"name": "B"}),
    ("/v1/plans/tagged", PLAN, {**PLAN, "name": "Better"}),
    ("/v1/credit-units/tagged", UNIT, {**UNIT, "name": "Suns"}),
    ("/v1/coupons/tagged", {"name": "A", "percentage": "5"}, {"name": "B", "percentage": "5"}),
    ("/v1/add-ons/tagged", PACK, {**PACK, "price": "2"}),
]


@pytest.mark.parametrize(("path", "first", "second"), TAGGED)
def test_99_a_stale_if_match_changes_nothing(
    api: Api, path: str, first: dict[str, Any], second: dict[str, Any]
) -> None:
    def put(body: object, condition: str) -> int:
        return api.call("PUT", path, body, headers={"if-match": condition}).status

    assert put(first, "*") == 412  # There is nothing yet.
    assert api.call("GET", path, scopes="read").status == 404
    api.put(path, first)
    tag = api.call("GET", path, scopes="read").headers["ETag"]
    assert tag == api.call("GET", path, scopes="read").headers["ETag"]
    for stale in ('"other"', f"W/{tag}", tag.strip('"'), f'"a" {tag}', f"{tag}, *"):
        assert put(second, stale) == 412, stale
    assert api.call("GET", path, scopes="read").headers["ETag"] == tag
    assert put(second, f'"a,b" ,W/"c", {tag}') == 200
    refused = api.call("PUT", path, first, headers={"if-match": tag})
    assert (refused.status, refused.json["code"]) == (412, "precondition-failed")
    assert put(second, tag) == 200  # It is there already: the answer to a repeat.
    assert put(first, "*") == 200


def test_99_what_has_no_etag_matches_nothing(api: Api) -> None:
    costs = {**COSTS, "rates": [{"price": per_unit("1")}]}
    segment = {"name": "S", "filter": {"tier": ["gold"]}}
    for path, body in (("/v1/cost-rates/messages", costs), ("/v1/segments/s", segment)):
        assert api.call("PUT", path, body, headers={"if-match": "*"}).status == 412
    assert api.call("GET", "/v1/segments/s", scopes="read").status == 404


def test_99_of_two_editors_of_one_version_one_is_refused(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one's edit comes between the check and the write."""
    api.put("/v1/plans/raced", PLAN)
    tag = api.call("GET", "/v1/plans/raced", scopes="read").headers["ETag"]
    service = api.runtime.catalogue_service
    publish, others = service._store.publish, iter([other_edit(service)])

    def overtaken(*arguments: Any) -> None:
        if (other := next(others, None)) is not None:
            monkeypatch.undo()
            service.put_plan(other, "other", NOON)
        publish(*arguments)

    monkeypatch.setattr(service._store, "publish", overtaken)
    mine = api.call("PUT", "/v1/plans/raced", {**PLAN, "name": "M"}, headers={"if-match": tag})
    assert (mine.status, api.get("/v1/plans/raced")["name"]) == (412, "Theirs")


def other_edit(service: CatalogueService) -> Plan:
    assert service.catalogue().plans["raced"]
    return PlanBody.model_validate({**PLAN, "name": "Theirs"}).to_plan("raced")


def test_101_and_104_ids(api: Api) -> None:
    customer = api.new_customer()
    for path in (
        "/v1/invoices/inv_foreign",
        "/v1/plans/nobody",
        f"{customer}/invoices/..",
        "/v1/plans/../meters/messages",
        "/v1/plans/%2e%2e",
        "/v1/customers/..%2f..",
    ):
        assert api.call("GET", path, scopes="read").status == 404, path
    other = api.call("GET", customer, scopes="portal", customer="somebody")
    assert other.status == 404


def lists() -> Iterator[str]:
    """Every list of the API that names nothing in its path."""
    for route in router.routes:
        paged = route.query is not None and "limit" in route.query.model_fields
        whole = paged and not any(f.is_required() for f in route.query.model_fields.values())
        if route.method == "GET" and "{" not in route.path and whole and route.dialect is None:
            yield route.path


@pytest.mark.parametrize("path", sorted(set(lists())))
def test_102_and_103_pages(api: Api, path: str) -> None:
    forged = api.call("GET", path, query="cursor=Zm9yZ2Vk", scopes="read")
    assert (forged.status, forged.json["code"]) == (400, "invalid-cursor")
    for limit in ("0", "-1", "1000000"):
        reply = api.call("GET", path, query=f"limit={limit}", scopes="read")
        assert (reply.status, reply.json["errors"][0]["pointer"]) == (422, "/limit")
