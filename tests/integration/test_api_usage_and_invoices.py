"""Usage and invoices over HTTP, from events that went through aggregation."""

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.emulator import Aws
from shared.services.changes import PutQuarantine
from shared.wire.invoices import InvoiceView, UpcomingInvoiceView
from tests.integration.api import NOON, Api, publish_catalogue
from tests.integration.conftest import Tables

MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    for customer in ("ada", "bob"):
        made.put(f"/v1/customers/{customer}", {})
    for minutes, tokens, model in (
        (0, 100, "small"),
        (14, 20, "small"),
        (15, 3, "large"),
        (60 * 24, 5000, "=cmd()"),
    ):
        at = NOON + timedelta(minutes=minutes)
        made.use("ada", "ai.completion", at, tokens=tokens, model=model)
    made.use("bob", "ai.completion", NOON, tokens=7, model="small")
    made.use("bob", "chat.message", NOON)
    return made


def rows(answer: Any) -> list[tuple[str, str, str]]:
    return [(row["start"], row["value"], row["group"].get("model", "")) for row in answer["data"]]


def test_a_total_is_one_row(api: Api) -> None:
    answer = api.get("/v1/usage", query=f"meter=tokens&customer=ada&{MARCH}&window=total")
    assert answer == {
        "meter": "tokens",
        "customers": ["ada"],
        "segment": None,
        "from": "2026-03-01T00:00:00Z",
        "to": "2026-04-01T00:00:00Z",
        "window": "total",
        "timezone": "UTC",
        "data": [
            {
                "start": "2026-03-01T00:00:00Z",
                "end": "2026-04-01T00:00:00Z",
                "value": "5123",
                "group": {},
            }
        ],
        "rest": None,
        "other_left_out": False,
    }


def test_without_a_customer_all_are_summed(api: Api) -> None:
    assert rows(api.get("/v1/usage", query=f"meter=tokens&{MARCH}"))[0][1] == "5130"
    # The last 30 days unless asked otherwise, the running quarter hour included.
    api.clock.at = NOON + timedelta(days=1, minutes=1)
    assert rows(api.get("/v1/usage", query="meter=tokens"))[0][1] == "5130"


def test_windows_and_groups_split_the_same_total(api: Api) -> None:
    query = f"meter=tokens&customer=ada&{MARCH}&window=day&group_by=model"
    assert rows(api.get("/v1/usage", query=query)) == [
        ("2026-03-10T00:00:00Z", "3", "large"),
        ("2026-03-10T00:00:00Z", "120", "small"),
        ("2026-03-11T00:00:00Z", "5000", "=cmd()"),
    ]


def test_days_are_those_of_the_zone(api: Api) -> None:
    query = f"meter=tokens&customer=ada&{MARCH}&window=day&timezone=Asia/Kathmandu"
    starts = [row["start"] for row in api.get("/v1/usage", query=query)["data"]]
    assert starts == ["2026-03-09T18:15:00Z", "2026-03-10T18:15:00Z"]


def test_bounds_cut_inside_an_hour(api: Api) -> None:
    def total(bounds: str) -> str:
        query = f"meter=tokens&customer=ada&{bounds}"
        return rows(api.get("/v1/usage", query=query))[0][1]

    assert total("from=2026-03-10T12:00:00Z&to=2026-03-10T12:15:00Z") == "120"
    assert total("from=2026-03-10T12:15:00Z&to=2026-03-10T13:00:00Z") == "3"
    assert total("from=2026-03-10T12:15:00Z&to=2026-03-10T12:30:00Z") == "3"


def test_a_count_of_nothing_is_zero_and_a_sum_of_nothing_no_row(api: Api) -> None:
    assert rows(api.get("/v1/usage", query=f"meter=messages&customer=ada&{MARCH}"))[0][1] == "0"
    early = "from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z"
    assert api.get("/v1/usage", query=f"meter=tokens&customer=ada&{early}")["data"] == []


def test_csv_cannot_be_run_by_a_spreadsheet(api: Api) -> None:
    query = f"meter=tokens&customer=ada&{MARCH}&group_by=model"
    reply = api.call("GET", "/v1/usage", query=query, headers={"accept": "text/csv"})
    assert reply.headers["Content-Type"] == "text/csv; charset=utf-8"
    table = list(csv.reader(io.StringIO(reply.text)))
    assert table[0] == ["start", "end", "model", "value", "kind"]
    assert [row[2:] for row in table[1:]] == [
        ["'=cmd()", "5000", "group"],
        ["large", "3", "group"],
        ["small", "120", "group"],
    ]
    assert reply.text.count("\r\n") == 4


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        (MARCH, "/meter"),
        (f"meter=steps&{MARCH}", "/meter"),
        ("meter=tokens&from=2026-03-01T00:01:00Z&to=2026-04-01T00:00:00Z", "/from"),
        ("meter=tokens&from=2026-03-01T00:00:00Z&to=2026-03-01T00:15:00.5Z", "/to"),
        ("meter=tokens&from=2026-03-01T00:00:00Z&to=2026-03-01T00:00:00Z", "/to"),
        ("meter=tokens&from=2016-01-01T00:00:00Z&to=2026-04-01T00:00:00Z", "/from"),
        ("meter=tokens&window=hour&from=2024-01-01T00:00:00Z&to=2026-04-01T00:00:00Z", "/window"),
        (f"meter=tokens&window=year&{MARCH}", "/window"),
        (f"meter=tokens&timezone=Mars/Olympus&{MARCH}", "/timezone"),
        (f"meter=tokens&group_by=color&{MARCH}", "/group_by"),
        (f"meter=tokens&group_by=model,model&{MARCH}", "/group_by"),
        (f"meter=tokens&segment=vip&{MARCH}", "/segment"),
        (f"meter=tokens&color=red&{MARCH}", "/color"),
    ],
)
def test_a_question_that_breaks_a_rule_is_refused(api: Api, query: str, pointer: str) -> None:
    refused = api.call("GET", "/v1/usage", query=query)
    assert refused.status == 422
    assert [error["pointer"] for error in refused.json["errors"]] == [pointer]


def test_a_portal_token_sees_its_own_usage_only(api: Api) -> None:
    def ask(query: str) -> Any:
        return api.call("GET", "/v1/usage", query=query, scopes="portal", customer="bob")

    assert rows(ask(f"meter=tokens&customer=bob&{MARCH}").json)[0][1] == "7"
    assert ask(f"meter=tokens&{MARCH}").status == 404
    assert ask(f"meter=tokens&customer=ada&{MARCH}").status == 404
    nobody = api.call("GET", "/v1/usage", query=f"meter=tokens&customer=nobody&{MARCH}")
    assert nobody.status == 404


def test_the_upcoming_invoice_follows_usage(api: Api) -> None:
    api.clock.at = NOON
    api.put("/v1/customers/cleo", {})
    empty = api.get("/v1/customers/cleo/invoices/upcoming")
    assert (empty["status"], empty["number"], empty["total"]) == ("draft", None, "0.00")
    api.use("cleo", "ai.completion", NOON, tokens=5000, model="large")
    api.use("cleo", "chat.message", NOON)
    draft = api.get("/v1/customers/cleo/invoices/upcoming")
    # 693.548387097 of the tokens are included, the rest cost 0.001 USD each; a spark is 0.02 USD.
    assert [(line["type"], line["amount"]) for line in draft["lines"]] == [
        ("usage", "0.00"),
        ("overage", "0.02"),
        ("usage", "4.31"),
    ]
    assert draft["total"] == "4.33"
    UpcomingInvoiceView.model_validate(draft)
    assert draft["closing"] == []
    # The period has ended and nothing has opened the next one yet: its own draft is still there.
    api.clock.at = datetime(2026, 4, 1, 0, 30, tzinfo=UTC)
    current = api.get("/v1/customers/cleo/invoices/upcoming")
    assert (current["period"]["start"], current["lines"]) == ("2026-04-01T00:00:00Z", [])
    assert [{**closing, "closing": []} for closing in current["closing"]] == [draft]


def test_usage_right_after_a_subscription_is_on_the_upcoming_invoice(api: Api) -> None:
    api.clock.at = NOON
    path = api.new_customer()
    rates = [{"meter": "messages", "price": {"model": "per_unit", "unit_price": "0.1"}}]
    weekly = {"name": "Weekly", "currency": "USD", "interval": "week", "rates": rates}
    api.put("/v1/plans/weekly", weekly)
    api.post(f"{path}/subscription", {"action": "change", "plan": "weekly"}, "k1")
    api.use(path.rpartition("/")[2], "chat.message", NOON + timedelta(seconds=1))
    upcoming = api.get(f"{path}/invoices/upcoming")
    assert upcoming["period"]["start"] == api.get(f"{path}/subscription")["period"]["start"]
    assert "usage" in [line["type"] for line in upcoming["lines"]]
    assert [draft["lines"] for draft in upcoming["closing"]] == [[]]


def test_a_finalized_invoice_is_read_as_it_was_stored(api: Api) -> None:
    api.clock.at = NOON
    api.put("/v1/customers/dora", {"name": "<b>Dora</b>"})
    order = {"action": "change", "plan": "pro"}
    api.post("/v1/customers/dora/subscription", order, "k1")
    [listed] = api.get("/v1/customers/dora/invoices")["data"]
    path = f"/v1/invoices/{listed['id']}"
    assert api.get(path) == listed
    InvoiceView.model_validate(listed)
    own = api.call("GET", path, scopes="portal", customer="dora")
    assert own.json == listed
    assert api.call("GET", path, scopes="portal", customer="ada").status == 404
    assert api.call("GET", "/v1/invoices/inv_none").status == 404
    assert api.call("GET", "/v1/customers/nobody/invoices").status == 404
    assert api.call("GET", "/v1/customers/nobody/invoices/upcoming").status == 404
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = api.call("GET", path, headers=browser)
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert listed["number"] in page.text


def test_invoices_page_newest_first(api: Api) -> None:
    api.clock.at = NOON
    api.put("/v1/customers/emil", {})
    for number, plan in enumerate(("pro", "max")):
        api.clock.at += timedelta(days=1)
        order = {"action": "change", "plan": plan}
        api.post("/v1/customers/emil/subscription", order, f"k{number}")
    first = api.get("/v1/customers/emil/invoices", query="limit=1")
    query = f"limit=1&cursor={first['next_cursor']}"
    second = api.get("/v1/customers/emil/invoices", query=query)
    numbers = [page["data"][0]["number"] for page in (first, second)]
    assert numbers == sorted(numbers, reverse=True)


def test_quarantined_records_are_shown_to_operators_only(api: Api) -> None:
    kept = PutQuarantine(
        customer="ada",
        event_key="e1",
        shard="shardId-0",
        sequence=7,
        reason="unratable",
        detail="too many open phases",
        not_applied=("account", "usage:tokens"),
        quarantined_at=NOON,
        record='{"pk":{"S":"ada"}}',
    )
    api.runtime.store.commit([kept])
    [shown] = api.get("/v1/quarantine")["data"]
    assert shown == {
        "customer": "ada",
        "event_key": "e1",
        "reason": "unratable",
        "detail": "too many open phases",
        "not_applied": ["account", "usage:tokens"],
        "quarantined_at": "2026-03-10T12:00:00Z",
        "record": '{"pk":{"S":"ada"}}',
    }
    portal = api.call("GET", "/v1/quarantine", scopes="portal", customer="ada")
    assert portal.status in (403, 404)


class PassedBarriers:
    """A stream that has delivered everything."""

    def send(self, customer: str, token: str) -> None:
        raise AssertionError

    def mark_passed(self, customer: str, token: str) -> None:
        raise AssertionError

    def has_passed(self, customer: str, token: str) -> bool:
        return True


def test_late_usage_is_on_the_upcoming_invoice_under_its_own_period(api: Api) -> None:
    api.clock.at = NOON
    path = api.new_customer()
    customer = path.rpartition("/")[2]
    api.use(customer, "chat.message", NOON)
    draft = api.get(f"{path}/invoices/upcoming")
    api.clock.at = datetime(2026, 4, 1, 2, tzinfo=UTC)
    replace(api.runtime.billing_run, barriers=PassedBarriers()).bill(customer, api.clock.at)
    [closed] = api.get(f"{path}/invoices")["data"]
    final = ("status", "number", "finalized_at", "hash", "closing")
    assert {k: v for k, v in closed.items() if k not in final} == {
        k: v for k, v in draft.items() if k not in final
    }
    api.use(customer, "chat.message", NOON + timedelta(hours=1))
    lines = api.get(f"{path}/invoices/upcoming")["lines"]
    assert [(line["type"], line["late"], line["amount"]) for line in lines] == [
        ("usage", True, "0.00"),
        ("overage", True, "0.02"),
    ]
    assert lines[0]["service_period"] == closed["period"]
