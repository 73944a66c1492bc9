"""Earnings over HTTP: accrued by day, held, paid; by the real consumer, on a real engine."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions._following import shares_of
from functions.follow_usage import handler
from functions.test_clocks import Invocation
from functions.test_clocks import router as test_clocks_router
from local.emulator import Aws
from shared.adapters.dynamodb.billing_items import usage_hour_item
from shared.domain.events import time_text
from shared.services.test_clocks import TestClock
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

DAY = timedelta(days=1)
RULE = {
    "meter": "chats",
    "beneficiary": "model_owner",
    "share": {"unit_price": "0.1", "percentage": "30"},
    "unit": "sparks",
    "hold": "P14D",
}


@pytest.fixture
def api(aws: Aws, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    meter = {"event_type": "chat", "aggregation": "sum", "value": "turns"}
    made.put("/v1/meters/chats", {**meter, "dimensions": ["model_owner"]})
    monkeypatch.setattr("functions.follow_usage.runtime", lambda: made.runtime)
    return made


@pytest.fixture
def rule(api: Api) -> Iterator[str]:
    yield from made_rule(api, "credits", RULE)


@pytest.fixture
def transfers(api: Api) -> Iterator[str]:
    yield from made_rule(api, "transfers", {**RULE, "unit": "USD", "payable": "transfer"})


def made_rule(api: Api, key: str, body: dict[str, Any]) -> Iterator[str]:
    """A rule of its own for each test, for whom no other test's usage counts."""
    made_rule.count = getattr(made_rule, "count", 0) + 1  # type: ignore[attr-defined]
    name = f"{key}-{made_rule.count}"  # type: ignore[attr-defined]
    api.put(f"/v1/earning-rules/{name}", body)
    yield name
    # As if it had ended before it was made: usage of other tests must not earn by it.
    api.clock.at = NOON - DAY
    api.call("POST", f"/v1/earning-rules/{name}/archive")


def chat(api: Api, source: str, owner: str | None, turns: int, minute: int = 1) -> None:
    """One chat at a minute after noon, and what the stream tells of its hour."""
    unheard_chat(api, source, owner, turns, minute)
    key = source.rpartition("/")[2]
    hours = api.runtime.store.usage_between("chats", key, NOON - 3 * DAY, NOON + DAY)
    chat.count = getattr(chat, "count", 0) + 1  # type: ignore[attr-defined]
    number = str(chat.count)  # type: ignore[attr-defined]
    records = [{"NewImage": usage_hour_item(h), "SequenceNumber": number} for h in hours]
    assert handler({"Records": [{"dynamodb": each} for each in records]}, None) == {
        "batchItemFailures": []
    }


def unheard_chat(api: Api, source: str, owner: str | None, turns: int, minute: int = 1) -> None:
    """One chat at a minute after noon, whose record of the stream is lost."""
    named = {"model_owner": owner.rpartition("/")[2]} if owner else {}
    at = NOON + timedelta(minutes=minute)
    api.use(source.rpartition("/")[2], "chat", at, turns=turns, **named)


def recount(api: Api, source: str, **span: str) -> Any:
    body = {"customer": source.rpartition("/")[2], **span}
    answer = api.call("POST", "/v1/earnings/recount", body)
    assert answer.status == 200, answer.text
    return answer.json


def settle(api: Api, days: int) -> Any:
    """A run so many days after noon."""
    api.clock.at = NOON + days * DAY
    answer = api.call("POST", "/v1/earnings/settle")
    assert answer.status == 200, answer.text
    return answer.json


def standing(api: Api, customer: str, rule: str) -> dict[str, str]:
    found = [e for e in api.get(f"{customer}/earnings")["data"] if e["rule"] == rule]
    names = ("accrued", "held", "due", "to_transfer", "paid")
    told = {name: found[0][name] for name in names if found}
    parts = [Decimal(amount) for name, amount in told.items() if name != "accrued"]
    assert sum(parts) == Decimal(told.get("accrued", 0))
    return {name: amount for name, amount in told.items() if name != "to_transfer"}


def entries(api: Api, customer: str) -> list[str]:
    return [entry["amount"] for entry in api.get(f"{customer}/earnings/entries")["data"]]


def test_usage_earns_its_share_is_held_and_paid_once_as_credits(api: Api, rule: str) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    chat(api, fan, owner, 7)
    chat(api, fan, owner, 4)
    settle(api, 0)
    assert standing(api, owner, rule) == {}  # The day is not over.
    for _ in range(3):
        settle(api, 1)
    assert standing(api, owner, rule) == {
        "accrued": "0.33",
        "held": "0.33",
        "due": "0",
        "paid": "0",
    }
    settle(api, 14)
    assert standing(api, owner, rule)["held"] == "0.33"
    for _ in range(3):
        settle(api, 15)
    assert standing(api, owner, rule) == {
        "accrued": "0.33",
        "held": "0",
        "due": "0",
        "paid": "0.33",
    }
    assert entries(api, owner) == ["0.33"]
    [payout] = api.get(f"{owner}/earnings")["payouts"]
    assert (payout["status"], payout["amount"], payout["payable"]) == ("paid", "0.33", "credits")
    held = api.get(f"{owner}/balance", query="unit=sparks")
    assert held["available"] == "0.33"
    assert [grant["id"] for grant in held["grants"]] == [payout["grant"]]


def test_late_usage_adds_a_difference_and_a_correction_takes_one_back(api: Api, rule: str) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    chat(api, fan, owner, 100)
    settle(api, 1)
    chat(api, fan, owner, 10)
    settle(api, 2)
    assert standing(api, owner, rule)["held"] == "3.3"
    settle(api, 15)
    assert standing(api, owner, rule)["paid"] == "3.3"
    # What is taken back after it was paid is carried: the next earnings make up for it.
    chat(api, fan, owner, -60)
    settle(api, 16)
    settle(api, 17)
    found = {"accrued": "1.5", "held": "0", "due": "-1.8", "paid": "3.3"}
    assert standing(api, owner, rule) == found
    chat(api, fan, owner, 90)
    settle(api, 18)
    settle(api, 19)
    assert standing(api, owner, rule) == {"accrued": "4.2", "held": "0", "due": "0", "paid": "4.2"}
    assert entries(api, owner) == ["2.7", "-1.8", "0.3", "3"]


def test_a_recount_accrues_what_the_stream_lost_and_nothing_twice(api: Api, rule: str) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    chat(api, fan, owner, 10)
    settle(api, 1)
    unheard_chat(api, fan, owner, 5)
    settle(api, 2)
    assert standing(api, owner, rule)["held"] == "0.3"
    span = {"from": "2026-03-10T23:00:00Z", "to": "2026-03-11T00:00:00Z"}
    assert recount(api, fan, **span)["accrued"] == 1
    assert recount(api, fan)["accrued"] == 0
    assert standing(api, owner, rule)["held"] == "0.45"
    assert entries(api, owner) == ["0.15", "0.3"]


def test_a_recount_marks_a_day_that_is_not_over_for_the_schedule(api: Api, rule: str) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    unheard_chat(api, fan, owner, 10)
    assert recount(api, fan, **{"from": "2026-03-10T00:00:00Z"})["later"] >= 1
    assert standing(api, owner, rule) == {}
    settle(api, 1)
    assert standing(api, owner, rule)["held"] == "0.3"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"from": "2026-03-10T12:00:00Z", "to": "2026-03-10T12:00:00Z"}, "/to", "not-after-from"),
        ({"from": "2026-02-01T00:00:00Z", "to": "2026-03-10T00:00:00Z"}, "/from", "too-wide"),
        ({"from": "yesterday"}, "/from", "not-rfc3339"),
    ],
)
@pytest.mark.parametrize("what", ["earnings", "rewards"])
def test_a_recount_of_no_time_or_too_much_is_refused(
    api: Api, what: str, body: dict[str, str], pointer: str, code: str
) -> None:
    customer = api.new_customer().rpartition("/")[2]
    refused = api.call("POST", f"/v1/{what}/recount", {"customer": customer, **body})
    assert refused.status == 422, refused.text
    assert {"pointer": pointer, "code": code} in refused.json["errors"]
    unknown = api.call("POST", f"/v1/{what}/recount", {"customer": "nobody"})
    assert unknown.status == 404
    token = {"scopes": "portal", "customer": customer}
    assert api.call("POST", f"/v1/{what}/recount", {"customer": customer}, **token).status == 403


def test_what_happened_before_a_rule_was_archived_still_accrues(api: Api) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    # Two days before other tests' usage, which it must not count.
    api.clock.at = NOON - 2 * DAY
    api.put("/v1/earning-rules/ended", RULE)
    before, last, after = -2880, -2851, -2850  # The 30th minute is in the next quarter hour.
    chat(api, fan, owner, 10, before)
    api.clock.at += timedelta(minutes=20)
    assert api.call("POST", "/v1/earning-rules/ended/archive").status == 200
    chat(api, fan, owner, 5, last)
    chat(api, fan, owner, 1000, after)
    settle(api, -1)
    assert standing(api, owner, "ended")["held"] == "0.45"
    chat(api, fan, owner, -5, before)
    settle(api, 0)
    assert standing(api, owner, "ended")["held"] == "0.3"
    settle(api, 13)
    assert standing(api, owner, "ended")["paid"] == "0.3"


def advance(api: Api, clock: str, to: datetime) -> None:
    """Advances a clock over HTTP, of whose customers nothing else falls due."""
    stored = api.runtime.test_clocks

    def moved(clock_id: str, at: datetime, _: object) -> TestClock:
        stored.clocks.move(TestClock(clock_id, at))
        return stored.get(clock_id)

    clocks: Any = SimpleNamespace(get=stored.get, advance=moved)
    limiter: Any = None
    invocation = Invocation(clocks, shares_of(api.runtime), limiter, lambda: False)
    event = api_event("POST", f"/v1/test-clocks/{clock}/advance", {"to": to.isoformat()})
    answer = test_clocks_router.serve(event, lambda: invocation)
    assert answer["statusCode"] == 200, answer["body"]


def test_advancing_a_test_clock_accrues_and_pays_at_the_clocks_time(api: Api, rule: str) -> None:
    clock = api.runtime.test_clocks.create(NOON).id
    fan, owner = (f"/v1/customers/{who}-{rule}" for who in ("fan", "owner"))
    for customer in (fan, owner):
        api.put(customer, {"test_clock": clock})
    unheard_chat(api, fan, owner, 10)
    advance(api, clock, NOON + timedelta(hours=6))
    assert standing(api, owner, rule) == {}
    advance(api, clock, NOON + 3 * DAY)
    assert standing(api, owner, rule)["held"] == "0.3"
    [entry] = api.get(f"{owner}/earnings/entries")["data"]
    over = datetime(2026, 3, 11, tzinfo=UTC) + api.runtime.grace
    assert (entry["at"], entry["held_until"]) == (time_text(over), "2026-03-24")
    # Two weeks at once: a day that is over within them is no longer held at their end.
    unheard_chat(api, fan, owner, 5, minute=3 * 24 * 60 + 1)
    advance(api, clock, NOON + 20 * DAY)
    assert standing(api, owner, rule)["paid"] == "0.45"
    advance(api, clock, NOON + 20 * DAY)
    assert entries(api, owner) == ["0.15", "0.3"]
    # Of days that are over already, too, what is late or taken back is posted before it is paid.
    unheard_chat(api, fan, owner, -4, minute=3 * 24 * 60 + 2)
    unheard_chat(api, fan, owner, 1, minute=2)
    advance(api, clock, NOON + 21 * DAY)
    assert entries(api, owner) == ["-0.12", "0.03", "0.15", "0.3"]


def test_nobody_earns_by_its_own_usage_or_by_usage_without_a_name(api: Api, rule: str) -> None:
    owner = api.new_customer()
    chat(api, owner, owner, 100)
    chat(api, owner, None, 100)
    settle(api, 1)
    assert standing(api, owner, rule) == {}


def test_what_an_unknown_customer_earns_is_told_of_and_kept_until_it_is_made(
    api: Api, rule: str
) -> None:
    fan, owner = api.new_customer(), f"/v1/customers/later-{rule}"
    chat(api, fan, owner, 10)
    settle(api, 1)
    assert standing(api, owner, rule)["held"] == "0.3"
    assert entries(api, owner) == ["0.3"]
    assert settle(api, 20)["unclaimed"] == 1
    api.put(owner, {})
    settle(api, 21)
    assert standing(api, owner, rule)["paid"] == "0.3"


def test_a_transfer_is_due_in_whole_minor_units_until_it_is_reported_as_made(
    api: Api, transfers: str
) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    chat(api, fan, owner, 1)
    chat(api, fan, owner, 2)
    settle(api, 1)
    settle(api, 15)
    assert standing(api, owner, transfers)["paid"] == "0"
    told = api.get(f"{owner}/earnings")
    assert [each["to_transfer"] for each in told["data"] if each["rule"] == transfers] == ["0.09"]
    [payout] = told["payouts"]
    assert (payout["status"], payout["amount"], payout["grant"]) == ("due", "0.09", None)
    path = f"{owner}/payouts/{payout['id']}/paid"
    first = api.post(path, {"reference": "tr_1"}, "k1")
    assert (first["status"], first["reference"]) == ("paid", "tr_1")
    assert api.post(path, {"reference": "tr_1"}, "k1") == first
    assert standing(api, owner, transfers)["paid"] == "0.09"
    assert api.call("POST", path, {"reference": "tr_2"}, key="k2").status == 409
    assert api.call("POST", path, {"reference": "tr_1"}).status == 400


def test_a_portal_token_sees_its_earnings_but_not_whose_usage_they_came_from(
    api: Api, rule: str
) -> None:
    fan, owner = api.new_customer(), api.new_customer()
    chat(api, fan, owner, 10)
    settle(api, 1)
    [known] = api.get(f"{owner}/earnings/entries")["data"]
    assert known["source"] == fan.rpartition("/")[2]
    token = {"scopes": "portal", "customer": owner.rpartition("/")[2]}
    [seen] = api.call("GET", f"{owner}/earnings/entries", **token).json["data"]
    assert seen["source"].startswith("customer-")
    assert known["source"] not in str(seen)
    assert {**seen, "source": ""} == {**known, "source": ""}
    assert api.call("GET", f"{fan}/earnings", **token).status == 404
    assert api.call("POST", "/v1/earnings/settle", **token).status == 403


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"meter": "none"}, "/meter", "unknown-meter"),
        ({"beneficiary": "model"}, "/beneficiary", "unknown-dimension"),
        ({"unit": "coins"}, "/unit", "unknown-unit"),
        ({"payable": "transfer"}, "/unit", "not-a-currency"),
        ({"share": {"unit_price": "1", "percentage": "101"}}, "/share/percentage", "out-of-range"),
        ({"hold": "14"}, "/hold", "not-a-number-of-days"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(
    api: Api, change: dict[str, Any], pointer: str, code: str
) -> None:
    refused = api.call("PUT", "/v1/earning-rules/bad", {**RULE, **change})
    assert refused.status == 422, refused.text
    assert {"pointer": pointer, "code": code} in refused.json["errors"]


@pytest.mark.parametrize("what", ["earnings", "earnings/entries"])
def test_who_is_no_customer_and_earns_nothing_is_not_found(api: Api, what: str) -> None:
    assert api.call("GET", f"/v1/customers/nobody/{what}").status == 404
    assert api.get(f"{api.new_customer()}/{what}")["data"] == []
