"""A busy customer's months: read by the hour once, and then as they were rolled up."""

from datetime import timedelta
from typing import Any

import pytest

from functions.follow_usage import handler
from local.emulator import Aws
from shared.adapters.dynamodb.billing_items import usage_hour_item
from tests.integration.api import Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, HOUR, MARCH
from tests.support.capacity import consumed
from tests.support.usage import QUARTER, models, put_hours

WHOLE_MARCH = "from=2026-03-01T00:00:00Z&to=2026-04-01T00:00:00Z"
BERLIN = "from=2026-02-28T23:00:00Z&to=2026-03-31T22:00:00Z&timezone=Europe/Berlin"
GROUPS = models(12)
NOW = APRIL - timedelta(hours=6)


@pytest.fixture
def api(aws: Aws, tables: Tables, monkeypatch: pytest.MonkeyPatch) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    made.clock.at = NOW
    monkeypatch.setattr("functions.follow_usage.runtime", lambda: made.runtime)
    return made


@pytest.fixture
def customer(api: Api) -> str:
    """Usage in every hour of March up to now, of twelve models."""
    key = api.new_customer().rpartition("/")[2]
    hours = (MARCH + number * HOUR for number in range((NOW - MARCH) // HOUR))
    table = api.runtime.settings.billing_table
    put_hours(api.runtime.dynamodb, table, key, hours, GROUPS)
    return key


def ask(api: Api, customer: str, query: str) -> tuple[list[Any], list[str]]:
    """The rows, and the requests that they took, but for those of the catalogue's version."""
    api.runtime.catalogue.newest()
    with consumed(api.runtime.dynamodb) as used:
        rows = api.get("/v1/usage", query=f"meter=tokens&customer={customer}&{query}")["data"]
    return rows, [each for each in used.requests if each != "GetItem"]


def test_a_busy_month_is_two_requests_from_the_second_question_on(api: Api, customer: str) -> None:
    rows, requests = ask(api, customer, WHOLE_MARCH)
    total = 4 * QUARTER.value * len(GROUPS) * ((NOW - MARCH) // HOUR)
    assert [row["value"] for row in rows] == [str(total).rstrip("0").rstrip(".")]
    assert requests.count("Query") > 1
    ask(api, customer, BERLIN)  # It begins a day before.
    for query in (WHOLE_MARCH, f"{BERLIN}&window=day&group_by=model", f"{WHOLE_MARCH}&window=hour"):
        assert ask(api, customer, query)[1] == ["BatchGetItem", "Query"]
    assert ask(api, customer, WHOLE_MARCH)[0] == rows


def test_copies_answer_by_the_hour_and_by_the_quarter_in_every_zone(
    api: Api, customer: str
) -> None:
    queries = [
        f"{WHOLE_MARCH}&window=hour&group_by=model&filter[model]=model-3",
        f"{BERLIN}&window=day&group_by=model",
        "from=2026-03-02T05:45:00Z&to=2026-03-20T18:15:00Z&window=day&timezone=Asia/Kathmandu",
    ]
    before = [ask(api, customer, query)[0] for query in queries]
    ask(api, customer, WHOLE_MARCH)
    assert [ask(api, customer, query)[0] for query in queries] == before


def test_late_usage_is_in_the_answer_when_the_stream_has_told_of_it(
    api: Api, customer: str
) -> None:
    ask(api, customer, WHOLE_MARCH)
    before = ask(api, customer, f"{WHOLE_MARCH}&window=day")[0]
    late = MARCH + timedelta(days=4, hours=3)
    api.use(customer, "ai.completion", late, tokens=5, model="model-3")
    hours = api.runtime.store.usage_between("tokens", customer, late, late + HOUR)
    images = [{"NewImage": usage_hour_item(hour), "SequenceNumber": "1"} for hour in hours]
    handler({"Records": [{"dynamodb": image} for image in images]}, None)
    after, requests = ask(api, customer, f"{WHOLE_MARCH}&window=day")
    assert requests == ["BatchGetItem", "Query", "Query", "UpdateItem"]
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    [(old, new)] = changed
    assert old["start"] == "2026-03-05T00:00:00Z"
    assert float(new["value"]) - float(old["value"]) == 5
    assert ask(api, customer, f"{WHOLE_MARCH}&window=day") == (after, ["BatchGetItem", "Query"])


def test_an_unknown_customer_and_bounds_without_any_time_are_refused(api: Api) -> None:
    nobody = api.call("GET", "/v1/usage", query=f"meter=tokens&customer=nobody&{WHOLE_MARCH}")
    assert (nobody.status, nobody.json["detail"]) == (404, "No such customer.")
    key = api.new_customer().rpartition("/")[2]
    for bounds in (
        "from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z",
        "from=0001-01-01T00:00:00Z&to=2026-03-01T00:00:00Z",
        "from=2026-03-01T00:00:00Z&to=9999-12-31T00:00:00Z",
        "to=0001-01-02T00:00:00Z",
    ):
        answer = api.call("GET", "/v1/usage", query=f"meter=tokens&customer={key}&{bounds}")
        assert answer.status == 422, answer.text
