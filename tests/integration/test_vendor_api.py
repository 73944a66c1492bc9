"""What other vendors' clients ask beside sending events, answered from our own numbers."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from functions import ingest
from functions.api import router
from local.emulator import Aws
from shared.domain.events import UsageEvent
from tests.integration.api import NOON, Api, Reply, publish_catalogue
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

SECONDS = int(NOON.timestamp())
DAY = 86_400
MIDNIGHT = SECONDS - DAY // 2
PREPAID = "/payments/pricing/amberflo/customer-prepaid"
INVOICE = "/payments/billing/customer-product-invoice"


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    for customer in ("ada", "bob"):
        made.put(f"/v1/customers/{customer}", {})
    for minutes, tokens, model in ((0, 100, "small"), (20, 3, "large"), (24 * 60, 7, "small")):
        at = NOON - timedelta(days=2) + timedelta(minutes=minutes)
        made.use("ada", "ai.completion", at, tokens=tokens, model=model)
    made.use("bob", "ai.completion", NOON - timedelta(days=2), tokens=5000, model="small")
    return made


def report(**changes: Any) -> dict[str, Any]:
    span = {"startTimeInSeconds": MIDNIGHT - 2 * DAY, "endTimeInSeconds": MIDNIGHT}
    asked = {"meterApiName": "ai.completion", "aggregation": "SUM", "timeGroupingInterval": "DAY"}
    return {**asked, "timeRange": span, **changes}


def values(answer: Any) -> dict[str, list[int]]:
    return {
        "/".join(found["group"]["groupInfo"].values()): [v["value"] for v in found["values"]]
        for found in answer["clientMeters"]
    }


# --- OpenMeter ----------------------------------------------------------------------------------


def query(api: Api, text: str, meter: str = "tokens", **more: Any) -> Reply:
    path = f"/api/v1/meters/{meter}/query"
    return api.call("GET", path, query=text, scopes="read", **more)


def test_a_meter_is_queried_by_windows_customers_and_dimensions(api: Api) -> None:
    text = "from=2026-03-08T00:00:00.000Z&to=2026-03-10T00:00:00Z&windowSize=DAY"
    answer = query(api, f"{text}&subject=ada&subject=nobody&groupBy=model").json
    assert (answer["from"], answer["to"]) == ("2026-03-08T00:00:00Z", "2026-03-10T00:00:00Z")
    assert answer["windowSize"] == "DAY"
    assert answer["data"][0] == {
        "value": 3,
        "windowStart": "2026-03-08T00:00:00Z",
        "windowEnd": "2026-03-09T00:00:00Z",
        "subject": "ada",
        "customerId": "ada",
        "groupBy": {"model": "large"},
    }
    assert [row["value"] for row in answer["data"]] == [3, 100, 7]
    small = query(api, f"{text}&filterGroupBy[model]=small").json
    assert [(row["value"], row["subject"]) for row in small["data"]] == [(5100, None), (7, None)]


def test_the_question_may_stand_in_the_body(api: Api) -> None:
    body = {
        "from": "2026-03-08T00:07:00Z",
        "to": "2026-03-10T00:01:00Z",
        "filterCustomerId": ["ada", "bob"],
        "filterGroupBy": {"model": ["small"]},
        "groupBy": ["customer_id"],
    }
    reply = api.call("POST", "/api/v1/meters/tokens/query", body, scopes="read")
    assert [(r["customerId"], r["value"]) for r in reply.json["data"]] == [
        ("ada", 107),
        ("bob", 5000),
    ]
    # Usage is kept by quarters of an hour: the answer says what it is about.
    assert reply.json["from"] == "2026-03-08T00:00:00Z"
    assert reply.json["to"] == "2026-03-10T00:15:00Z"


def test_nobody_has_no_usage_and_is_not_everybody(api: Api) -> None:
    assert query(api, "subject=nobody").json["data"] == []
    assert query(api, "subject=ada&filterCustomerId=bob").json["data"] == []


def test_a_meter_is_queried_as_csv(api: Api) -> None:
    text = "from=2026-03-08T00:00:00Z&to=2026-03-10T00:00:00Z&subject=ada"
    reply = query(api, text, headers={"accept": "text/csv"})
    assert reply.headers["Content-Type"].startswith("text/csv")
    assert reply.text.splitlines() == [
        "window_start,window_end,subject,value",
        "2026-03-08T00:00:00Z,2026-03-10T00:00:00Z,ada,110",
    ]


@pytest.mark.parametrize(
    ("text", "pointer", "code"),
    [
        ("windowSize=MINUTE", "/windowSize", "unsupported"),
        ("windowSize=YEAR", "/windowSize", "literal-error"),
        ("windowTimeZone=Mars", "/windowTimeZone", "unknown-timezone"),
        ("groupBy=color", "/groupBy", "unknown-dimension"),
        ("filterGroupBy[color]=red", "/filterGroupBy", "unknown-dimension"),
        ("filterGroupBy=red", "/filterGroupBy", "dict-type"),
        ("from=2026-03-10T00:00:00Z&to=2026-03-01T00:00:00Z", "/to", "not-after-from"),
        ("limit=1", "/limit", "unknown-member"),
        ("from=yesterday", "/from", "not-rfc3339"),
    ],
)
def test_a_query_that_cannot_be_answered(api: Api, text: str, pointer: str, code: str) -> None:
    reply = query(api, text)
    assert (reply.status, reply.json["errors"]) == (400, [{"pointer": pointer, "code": code}])


def test_an_unknown_meter_is_not_found(api: Api) -> None:
    assert query(api, "", meter="nothing").status == 404


# --- Amberflo: usage ----------------------------------------------------------------------------


def test_a_report_has_a_value_in_every_interval(api: Api) -> None:
    answer = api.call("POST", "/usage/", report(groupBy=["customerId"]), scopes="read").json
    assert answer["secondsSinceEpochIntervals"] == [MIDNIGHT - 2 * DAY, MIDNIGHT - DAY]
    assert values(answer) == {"ada": [103, 7], "bob": [5000, 0]}
    [ada, bob] = answer["clientMeters"]
    assert (ada["groupValue"], bob["groupValue"]) == (110, 5000)
    assert bob["values"][1]["percentageFromPrevious"] == -100


def test_a_report_is_filtered_and_cut(api: Api) -> None:
    lower = {"aggregation": "sum", "timeGroupingInterval": "month", "groupBy": ["customerId"]}
    take = {"take": {"limit": 1, "isAscending": True}}
    assert values(api.call("POST", "/usage", report(**lower, **take)).json) == {"ada": [110]}
    take["take"]["isAscending"] = False
    assert values(api.call("POST", "/usage", report(**lower, **take)).json) == {"bob": [5000]}
    where = {"filter": {"customerId": ["ada"], "model": ["small"]}, "groupBy": ["model"]}
    assert values(api.call("POST", "/usage", report(**where)).json) == {"small": [100, 7]}
    nobody = report(filter={"customerId": ["nobody"]})
    assert values(api.call("POST", "/usage", nobody).json) == {}


def test_several_reports_and_all_meters(api: Api) -> None:
    count = report(aggregation="COUNT", meterApiName="chat.message")
    found = api.call("POST", "/usage/batch", [report(), count]).json
    assert [values(each) for each in found] == [{"": [5103, 7]}, {"": [0, 0]}]
    text = f"startTimeInSeconds={MIDNIGHT - 2 * DAY}&endTimeInSeconds={MIDNIGHT}"
    everything = api.get("/usage/all", query=f"{text}&timeGroupingInterval=DAY&customerId=ada")
    assert {each["meterApiName"]: values(each) for each in everything} == {
        "ai.completion": {"": [103, 7]},
        "chat.message": {"": [0, 0]},
    }


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"meterApiName": "nothing"}, "/meterApiName", "unknown-meter"),
        ({"aggregation": "MAX"}, "/aggregation", "not-the-meters"),
        ({"aggregation": "MEDIAN"}, "/aggregation", "literal-error"),
        ({"groupBy": ["color"]}, "/groupBy", "unknown-dimension"),
        ({"filter": {"color": ["red"]}}, "/filter", "unknown-dimension"),
        ({"timeRange": {"startTimeInSeconds": 10**12}}, "/timeRange/startTimeInSeconds", None),
    ],
)
def test_a_report_that_cannot_be_made(
    api: Api, changes: dict[str, Any], pointer: str, code: str | None
) -> None:
    reply = api.call("POST", "/usage/batch", [report(), report(**changes)])
    [error] = reply.json["errors"]
    assert (reply.status, error["pointer"]) == (422, f"/1{pointer}")
    assert code in (None, error["code"])


# --- Amberflo: customers and sessions -----------------------------------------------------------


def test_a_customer_is_made_replaced_and_deleted(api: Api) -> None:
    assert api.get("/customers/", query="customerId=new") == {}
    body = {"customerId": "new", "customerName": "New", "traits": {"plan": "gold"}}
    made = api.call("POST", "/customers/", body)
    assert (made.status, made.json["enabled"], made.json["traits"]) == (200, True, {"plan": "gold"})
    assert api.call("POST", "/customers/", body).status == 409
    api.put("/v1/customers/new", {"name": "New", "timezone": "Europe/Berlin"})
    changed = api.call("PUT", "/customers/", {**body, "customerEmail": "a@b.c", "enabled": False})
    assert changed.status == 200, changed.text
    assert (changed.json["customerEmail"], changed.json["enabled"]) == ("a@b.c", False)
    stored = api.get("/v1/customers/new")
    assert (stored["timezone"], stored["archived_at"] is None) == ("Europe/Berlin", False)
    assert api.call("PUT", "/customers/", body).json["enabled"] is True
    assert api.call("DELETE", "/customers/new").json["enabled"] is False
    assert api.get("/customers/", query="customerId=new")["enabled"] is False
    assert "new" in [each["customerId"] for each in api.get("/customers/")]
    assert api.call("DELETE", "/customers/nobody").status == 404


def test_a_session_opens_our_portal(api: Api) -> None:
    expires = (SECONDS + 3600) * 1000
    body = {"customerId": "ada", "returnUrl": "https://example.com"}
    answer = api.call("POST", "/session", {**body, "expirationEpochMilliSeconds": expires}).json
    assert answer["expirationEpochMilliSeconds"] == expires
    assert answer["url"].endswith(f"/portal#token={answer['sessionToken']}")
    assert api.runtime.portal_tokens.customer(answer["sessionToken"]) in ("ada", None)
    assert api.call("POST", "/session", body).status == 200
    for late in (SECONDS * 1000, (SECONDS + 2 * DAY) * 1000):
        refused = api.call("POST", "/session", {**body, "expirationEpochMilliSeconds": late})
        assert refused.json["errors"][0]["pointer"] == "/expirationEpochMilliSeconds"


# --- Amberflo: money ----------------------------------------------------------------------------


def order(order_id: str, customer: str, **changes: Any) -> dict[str, Any]:
    paid = {"prepaidPrice": 10, "originalWorth": 12.5, "externalPayment": True}
    named = {"id": order_id, "customerId": customer, "productId": "1", "prepaidOfferVersion": -1}
    return {**named, "startTimeInSeconds": SECONDS, **paid, **changes}


def test_a_prepaid_order_is_a_grant_made_once(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    first = api.call("POST", PREPAID, order("o1", customer))
    assert (first.status, first.json["id"], first.json["originalWorth"]) == (200, "o1", 12.5)
    assert api.call("POST", PREPAID, order("o1", customer)).text == first.text
    assert api.call("POST", PREPAID, order("o1", customer, originalWorth=13)).status == 409
    grants = api.get(f"/v1/customers/{customer}/grants")["data"]
    [grant] = [each for each in grants if each["source"] == "purchase"]
    assert (grant["unit"], grant["amount"], grant["cost_basis"]) == ("USD", "12.5", "0.8")
    [card] = api.get(f"{PREPAID}/list", query=f"CustomerId={customer}&ProductId=1")
    assert (card["remainingWorth"], card["grantId"]) == (12.5, grant["id"])
    wallet = api.get("/payments/billing/customer-prepaid-wallet", query=f"customerId={customer}")
    assert (wallet["creditUnit"], wallet["prepaidCards"]) == ("USD", [card])


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"originalWorth": "0.001"}, "/originalWorth", "too-many-decimals"),
        ({"prepaidPrice": 0}, "/prepaidPrice", "out-of-range"),
        (
            {"recurrenceFrequency": {"interval": "MONTH", "intervalsCount": 1}},
            "/recurrenceFrequency",
            "unsupported",
        ),
        ({"productId": "2"}, "/productId", "literal-error"),
        ({"balance": 1}, "/balance", "unknown-member"),
    ],
)
def test_a_prepaid_order_that_cannot_be(
    api: Api, changes: dict[str, Any], pointer: str, code: str
) -> None:
    reply = api.call("POST", PREPAID, order("bad", "ada", **changes))
    assert (reply.status, reply.json["errors"]) == (422, [{"pointer": pointer, "code": code}])
    assert api.call("POST", PREPAID, order("o1", "nobody")).status == 404


def test_invoices_are_those_that_we_show(api: Api) -> None:
    text = "customerId=bob&productId=1&fromCache=True&withPaymentStatus=True"
    latest = api.get(INVOICE, query=f"{text}&latest=true")
    upcoming = api.get("/v1/customers/bob/invoices/upcoming")
    assert latest["invoicePriceStatus"] == "open"
    total = float(upcoming["total"])
    assert total > 0
    assert (latest["totalBill"]["totalPrice"], latest["totalBill"]["itemPrice"]) == (total, total)
    assert latest["productItemInvoices"][0]["meterApiName"] == "ai.completion"
    assert latest["invoiceKey"] == {
        "customerId": "bob",
        "productId": "1",
        "productPlanId": "free",
        "year": 2026,
        "month": 3,
        "day": 10,
    }
    same = api.get(INVOICE, query=f"{text}&productPlanId=free&year=2026&month=3&day=10")
    assert same == latest
    assert api.get(f"{INVOICE}/all", query=text) == [latest]
    absent = api.call("GET", INVOICE, query=f"{text}&productPlanId=free&year=2020&month=1&day=1")
    assert absent.status == 404
    assert api.call("GET", INVOICE, query=text).status == 422


# --- Lago ---------------------------------------------------------------------------------------


def test_a_lago_event_is_found_by_its_transaction(api: Api) -> None:
    event = {
        "transaction_id": "find/me",
        "external_subscription_id": "ada",
        "code": "ai.completion",
        "timestamp": SECONDS,
        "properties": {"tokens": 1},
    }
    sent = api_event("POST", "/api/v1/events", {"event": event}, scopes="ingest")
    assert ingest.router.serve(sent, lambda: api.runtime)["statusCode"] == 200
    path = f"/api/v1/events/{quote('find/me', safe='')}"
    found = api.get(path)["event"]
    assert (found["transaction_id"], found["external_subscription_id"]) == ("find/me", "ada")
    assert (found["timestamp"], found["properties"]) == ("2026-03-10T12:00:00Z", {"tokens": 1})
    assert api.get(path, query="external_subscription_id=ada")["event"] == found
    other = api.call("GET", path, query="external_subscription_id=bob", scopes="read")
    assert (other.status, other.json["code"]) == (404, "event_not_found")


# --- Stripe -------------------------------------------------------------------------------------


def test_a_session_of_streams_is_a_token_for_a_while(api: Api) -> None:
    path = "/v2/billing/meter_event_session"
    answer = api.call("POST", path, {}, scopes="ingest").json
    assert (answer["object"], answer["livemode"]) == ("v2.billing.meter_event_session", False)
    assert (answer["created"], answer["expires_at"]) == (
        "2026-03-10T12:00:00Z",
        "2026-03-10T12:15:00Z",
    )
    assert answer["authentication_token"].count(".") == 2
    assert api.call("POST", path, {}, scopes="read").status == 403
    assert api.call("POST", path, {"a": 1}, scopes="ingest").json["error"]["param"] == "a"
    by_session = api_event("POST", path, {}, scopes="ingest")
    caller = by_session["requestContext"]["authorizer"]["lambda"]
    caller["principal"] = "session:9f86d081884c7d65"
    assert router.serve(by_session, lambda: api.runtime)["statusCode"] == 403


def test_adjustments_cancel_the_event_of_the_identifier(api: Api) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    api.put("/v1/customers/cus_9", {})
    event = UsageEvent("cus_9", "stripe", "i1", "ai", NOON, NOON, 1, {"value": "4"}, {})
    api.runtime.event_store.insert([event])
    sent = "type=cancel&event_name=ai&cancel[identifier]=i1"
    asked = {"type": "cancel", "event_name": "ai", "cancel": {"identifier": "i1"}}
    for path, body, headers in (
        ("/v1/billing/meter_event_adjustments", sent, form),
        ("/v2/billing/meter_event_adjustments", asked, {}),
    ):
        assert api.call("POST", path, body, headers=headers, scopes="ingest").status == 403
        answer = api.call("POST", path, body, headers=headers)
        assert (answer.status, answer.json["status"]) == (200, "complete")
        assert answer.json["cancel"] == {"identifier": "i1"}
    history = api.runtime.correction_store.history("cus_9", event.key)
    assert history is not None
    assert (history.number, history.effective) == (1, None)
    other = {**asked, "event_name": "other"}
    assert api.call("POST", "/v2/billing/meter_event_adjustments", other).status == 404


# --- who may ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/api/v1/meters/tokens/query", "subject=bob"),
        ("GET", "/customers", "customerId=bob"),
        ("POST", "/usage", ""),
        ("GET", "/usage/all", "startTimeInSeconds=1&timeGroupingInterval=DAY"),
        ("GET", f"{PREPAID}/list", "CustomerId=bob"),
        ("GET", "/payments/billing/customer-prepaid-wallet", "customerId=bob"),
        ("GET", INVOICE, "customerId=bob&latest=true"),
        ("GET", "/api/v1/events/x", ""),
    ],
)
def test_a_customers_own_token_opens_none_of_these(
    api: Api, method: str, path: str, query: str
) -> None:
    for scopes, status in (("", 401), ("ingest", 403), ("portal", 403)):
        customer = "ada" if scopes == "portal" else ""
        reply = api.call(method, path, query=query, scopes=scopes, customer=customer)
        assert reply.status == status


@pytest.mark.parametrize("path", ["/customers", PREPAID, "/session"])
def test_writes_take_an_admins_key(api: Api, path: str) -> None:
    assert api.call("POST", path, {}, scopes="read").status == 403
    assert api.call("POST", path, "{").status == 400
    assert api.call("POST", path, "{}").status == 422


BAD_BODIES = [
    b"",
    b"\xff\xfe{\x00}\x00",
    b"\xef\xbb\xbf{}",
    b"{",
    b"[]",
    b"[{}]",
    b"[null]",
    b"null",
    b"1",
    b'"x"',
    b'{"a":1,"a":2}',
    b'{"__proto__":{}}',
    b"[" * 100_000,
    b"[NaN]",
    b'{"customerId":"\\ud800"}',
    b'{"customerId":"a\\u202eb","customerName":"x"}',
    b'{"id":"1","customerId":"ada","startTimeInSeconds":1e999999999,"prepaidPrice":1}',
    b'{"id":"1","customerId":"ada","startTimeInSeconds":1,"prepaidPrice":1e-40}',
    b'{"customerId":"ada","expirationEpochMilliSeconds":-1}',
    b'{"subject":[1],"groupBy":"x","filterGroupBy":[]}',
    b'{"from":"9999-12-31T23:59:59Z","windowSize":"DAY"}',
    b'{"from":"1970-01-01T00:00:00Z","to":"8999-12-31T00:00:00Z","windowSize":"HOUR"}',
]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/meters/tokens/query"),
        ("POST", "/customers"),
        ("PUT", "/customers"),
        ("POST", "/session"),
        ("POST", "/usage"),
        ("POST", "/usage/batch"),
        ("POST", PREPAID),
        ("POST", "/v2/billing/meter_event_session"),
        ("POST", "/v2/billing/meter_event_adjustments"),
    ],
)
@pytest.mark.parametrize("number", range(len(BAD_BODIES)))
def test_bad_bodies_are_refused(api: Api, method: str, path: str, number: int) -> None:
    reply = api.call(method, path, BAD_BODIES[number])
    assert 400 <= reply.status < 500, reply.text


@pytest.mark.parametrize(
    "text",
    [
        "customerId=a/b",
        "customerId=%00",
        "customerId=ada&customerId=bob",
        "CustomerId=ada&ProductId=2",
        "customerId=ada&latest=maybe",
        "customerId=ada&year=0&month=0&day=0",
        "customerId=ada&year=2026&month=2&day=30x",
        "startTimeInSeconds=x&timeGroupingInterval=DAY",
        "startTimeInSeconds=99999999999999&timeGroupingInterval=DAY",
        "startTimeInSeconds=1&timeGroupingInterval=MINUTE",
        "startTimeInSeconds=1&timeGroupingInterval=HOUR",
        "from=9999-12-31T23:59:59Z",
        "filterGroupBy[model][x]=1",
        "groupBy=" + "x" * 300,
    ],
)
def test_bad_queries_are_refused(api: Api, text: str) -> None:
    for path in (
        "/api/v1/meters/tokens/query",
        "/customers",
        "/usage/all",
        f"{PREPAID}/list",
        "/payments/billing/customer-prepaid-wallet",
        INVOICE,
        f"{INVOICE}/all",
        "/api/v1/events/none",
    ):
        reply = api.call("GET", path, query=text, scopes="read")
        assert 400 <= reply.status < 500, (path, reply.text)
