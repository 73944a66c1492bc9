"""An incumbent's totals beside ours, and why they differ."""

from datetime import timedelta
from typing import Any

import pytest

from functions import ingest
from local.emulator import Aws
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

SPAN = {"from": "2026-03-10T00:00:00Z", "to": "2026-03-11T00:00:00Z"}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


def send(api: Api, customer: str, event_id: str, source: str = "app", **changes: Any) -> None:
    """Stores an event; it is aggregated only where a test does so."""
    event = {
        "specversion": "1.0",
        "id": event_id,
        "source": source,
        "type": "ai.completion",
        "subject": customer,
        "time": "2026-03-10T11:00:00Z",
        "data": {"tokens": 10},
        **changes,
    }
    sent = api_event("POST", "/v1/events", event, scopes="ingest")
    assert ingest.router.serve(sent, lambda: api.runtime)["statusCode"] == 200


def compare(api: Api, *totals: dict[str, Any]) -> Any:
    body = {"totals": [{"meter": "tokens", **SPAN, **total} for total in totals]}
    return api.call("POST", "/v1/shadow/compare", body, scopes="read")


def test_equal_totals_are_equal_and_need_no_reason(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    api.use(customer, "ai.completion", NOON - timedelta(hours=1), tokens=10)
    answer = compare(api, {"customer": customer, "value": "10.0"}).json
    assert (answer["equal"], answer["different"]) == (1, 0)
    assert answer["data"] == [
        {
            "customer": customer,
            "meter": "tokens",
            **SPAN,
            "theirs": "10",
            "ours": "10",
            "equal": True,
            "difference": "0",
            "unexplained": "0",
            "reasons": [],
            "complete": True,
        }
    ]


def test_a_difference_is_told_with_what_may_be_behind_it(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    for event_id, source in (("1", "app"), ("1", "lago"), ("2", "app")):
        send(api, customer, event_id, source)
    send(api, customer, "3", data={})
    api.use(customer, "ai.completion", NOON - timedelta(hours=1), tokens=30)
    api.clock.at = NOON + timedelta(days=1)
    try:
        [row] = compare(api, {"customer": customer, "value": "20"}).json["data"]
    finally:
        api.clock.at = NOON
    assert (row["ours"], row["difference"], row["unexplained"]) == ("30", "10", "0")
    assert row["reasons"] == [
        {"code": "no-value", "events": 1, "quantity": "0"},
        {"code": "same-id", "events": 1, "quantity": "10"},
    ]


def test_events_from_before_the_meter_explain_what_is_missing(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    send(api, customer, "1", type="images.made", data={"n": 4})
    api.put("/v1/meters/images", {"event_type": "images.made", "aggregation": "sum", "value": "n"})
    total = {"customer": customer, "meter": "images", "value": 4}
    [row] = compare(api, total).json["data"]
    assert (row["ours"], row["difference"], row["unexplained"]) == ("0", "-4", "0")
    assert row["reasons"] == [{"code": "not-live", "events": 1, "quantity": "4"}]


def test_events_that_a_backfill_counted_need_no_reason(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    for hour, number in ((9, 4), (10, 5)):
        time, data = f"2026-03-10T{hour:02}:20:00Z", {"n": number}
        send(api, customer, str(hour), type="pages.read", time=time, data=data)
    api.put("/v1/meters/pages", {"event_type": "pages.read", "aggregation": "sum", "value": "n"})
    meter = api.runtime.catalogue.newest().meters["pages"]
    ten = NOON.replace(hour=10)
    backfilled = api.runtime.backfilled_usage
    total = {"customer": customer, "meter": "pages", "value": 9}
    # A backfill that is under way has one of two hours.
    backfilled.put(meter, backfilled.events(customer, ten, ten + timedelta(hours=1)))
    [row] = compare(api, total).json["data"]
    assert (row["ours"], row["difference"], row["unexplained"]) == ("5", "-4", "0")
    assert row["reasons"] == [{"code": "not-live", "events": 1, "quantity": "4"}]
    backfilled.put(meter, backfilled.events(customer, ten - timedelta(hours=1), ten))
    [row] = compare(api, total).json["data"]
    assert (row["ours"], row["equal"]) == ("9", True)
    [row] = compare(api, {**total, "value": 10}).json["data"]
    assert (row["difference"], row["unexplained"], row["reasons"]) == ("-1", "-1", [])


def test_what_came_after_the_window_and_what_is_unknown_is_told(api: Api) -> None:
    customer = api.new_customer().rpartition("/")[2]
    send(api, customer, "1", time="2026-03-09T23:00:00Z")
    before = {"from": "2026-03-09T00:00:00Z", "to": "2026-03-10T00:00:00Z"}
    rows = compare(
        api, {"customer": customer, "value": 0, **before}, {"customer": customer, "value": 1}
    ).json["data"]
    assert rows[0]["equal"]
    assert (rows[1]["difference"], rows[1]["reasons"]) == ("-1", [])
    [row] = compare(api, {"customer": customer, "value": 3, **before}).json["data"]
    assert [reason["code"] for reason in row["reasons"]] == ["received-later", "settling"]
    [row] = compare(api, {"customer": "nobody", "value": 3}).json["data"]
    assert (row["ours"], row["difference"], row["equal"]) == (None, "-3", False)


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"meter": "nothing"}, "/totals/1/meter", "unknown-meter"),
        ({"from": "2026-03-10T00:01:00Z"}, "/totals/1/from", "not-on-quarter-hour"),
        ({"from": "2026-03-12T00:00:00Z"}, "/totals/1/to", "not-after-from"),
        ({"from": "2020-03-12T00:00:00Z"}, "/totals/1/from", "too-wide"),
        ({"value": "many"}, "/totals/1/value", "not-a-number"),
        ({"value": 10**19}, "/totals/1/value", "out-of-range"),
        ({"balance": 1}, "/totals/1/balance", "unknown-member"),
    ],
)
def test_totals_that_cannot_be_compared(
    api: Api, change: dict[str, Any], pointer: str, code: str
) -> None:
    good = {"customer": "ada", "value": 1}
    reply = compare(api, good, {**good, **change})
    assert (reply.status, reply.json["errors"]) == (422, [{"pointer": pointer, "code": code}])


def test_who_may_compare(api: Api) -> None:
    for scopes, status in (("", 401), ("ingest", 403), ("portal", 403)):
        customer = "ada" if scopes == "portal" else ""
        reply = api.call("POST", "/v1/shadow/compare", {}, scopes=scopes, customer=customer)
        assert reply.status == status
