"""Customers over HTTP."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from functions import ingest
from local.emulator import Aws
from shared.domain.errors import VersionConflictError
from shared.domain.events import utc_text
from shared.services.changes import UpdateCustomer
from tests.integration.api import Api, publish_catalogue
from tests.integration.conftest import Tables
from tests.unit.http.events import api_event

PROFILE = {
    "name": "Ada <Lovelace>",
    "email": "ada@example.com",
    "currency": "EUR",
    "timezone": "Europe/Berlin",
    "traits": {"segment": "research"},
}


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


def send(api: Api, customer: str, event_id: str) -> tuple[int, Any]:
    """Posts an event of the customer; gives the status and the answer."""
    sent = {"specversion": "1.0", "id": event_id, "source": "app", "type": "chat.message"}
    event = api_event("POST", "/v1/events", {**sent, "subject": customer, "data": {}})
    answer = ingest.router.serve(event, lambda: api.runtime)
    return answer["statusCode"], json.loads(answer["body"])


def test_a_customer_is_made_on_the_default_plan_from_now_on(api: Api) -> None:
    made = api.put("/v1/customers/ada", PROFILE)
    assert made == {
        "key": "ada",
        **PROFILE,
        "test_clock": None,
        "created_at": "2026-03-10T12:00:00Z",
        "archived_at": None,
    }
    assert api.get("/v1/customers/ada") == made
    subscription = api.get("/v1/customers/ada/subscription")
    assert (subscription["plan"], subscription["plan_version"]) == ("free", 1)
    # A calendar month in Berlin, which has changed to summer time by its end.
    assert subscription["period"] == {
        "start": "2026-03-10T12:00:00Z",
        "end": "2026-03-31T22:00:00Z",
    }


def test_a_profile_is_replaced_as_a_whole(api: Api) -> None:
    made = api.put("/v1/customers/grace", PROFILE)
    replaced = api.put("/v1/customers/grace", {"name": "Grace"})
    assert replaced == {
        **made,
        "name": "Grace",
        "email": None,
        "currency": None,
        "timezone": "UTC",
        "traits": {},
    }
    # The subscription keeps the zone that its periods are counted in.
    assert api.get("/v1/customers/grace/subscription")["timezone"] == "Europe/Berlin"


def test_an_archived_customer_sends_nothing_new_until_it_is_back(api: Api) -> None:
    path = "/v1/customers/retired"
    made = api.put(path, PROFILE)
    assert send(api, "retired", "1")[0] == 200
    archived = api.post(f"{path}/archive", None, "a1")
    assert archived == {**made, "archived_at": "2026-03-10T12:00:00Z"}
    assert send(api, "retired", "1") == (200, {"accepted": 0, "duplicates": 1, "unmetered": 0})
    status, refused = send(api, "retired", "2")
    assert (status, refused["errors"]) == (
        422,
        [{"pointer": "/subject", "code": "customer-archived"}],
    )
    # Neither a new profile nor archiving again changes since when it is.
    assert api.put(path, PROFILE) == archived
    assert api.post(f"{path}/archive", None, "a2") == archived
    assert api.post(f"{path}/unarchive", None, "u1") == made
    assert send(api, "retired", "2")[0] == 200
    assert api.post(f"{path}/archive", None, "a1") == archived  # as it was answered
    assert api.get(path) == made


def test_a_profile_that_was_read_before_archiving_does_not_undo_it(api: Api) -> None:
    api.put("/v1/customers/raced", PROFILE)
    read = api.runtime.books.customer("raced")
    api.post("/v1/customers/raced/archive", None, "a1")
    with pytest.raises(VersionConflictError):
        api.runtime.store.commit([UpdateCustomer(replace(read, name="Late"), read)])
    assert api.call("POST", "/v1/customers/nobody/archive", key="a1").status == 404


def test_keys_may_hold_any_script_and_stay_one_path_segment(api: Api) -> None:
    assert api.put("/v1/customers/m%C3%BCller%20%26%20co", {})["key"] == "müller & co"
    decomposed = api.call("PUT", "/v1/customers/mu%CC%88ller", {})
    assert (decomposed.status, decomposed.json["code"]) == (422, "validation")
    assert api.call("PUT", "/v1/customers/%00", {}).status == 422
    assert api.call("PUT", f"/v1/customers/{'k' * 257}", {}).status == 422
    assert api.call("PUT", "/v1/customers/..", {}).status == 404


def test_keys_fit_wherever_they_are_stored(api: Api) -> None:
    for key, status in ((225 * "\N{GRINNING FACE}", 200), (226 * "\N{GRINNING FACE}", 422)):
        assert api.call("PUT", f"/v1/customers/{quote(key)}", {}).status == status
        assert send(api, key, "1")[0] == status


def test_lists_page_to_the_end_and_refuse_forged_cursors(api: Api) -> None:
    for number in range(3):
        api.put(f"/v1/customers/page-{number}", {})
    found, query = [], "limit=2"
    while query:
        page = api.get("/v1/customers", query=query)
        assert len(page["data"]) <= 2
        found += [customer["key"] for customer in page["data"]]
        cursor = page["next_cursor"]
        query = f"limit=2&cursor={cursor}" if cursor else ""
    assert found == sorted(set(found))
    assert {"page-0", "page-1", "page-2"} <= set(found)
    forged = api.call("GET", "/v1/customers", query="cursor=Zm9yZ2Vk")
    assert (forged.status, forged.json["code"]) == (400, "invalid-cursor")


def test_a_customer_on_a_test_clock_is_made_in_its_present(api: Api) -> None:
    at = datetime(2031, 6, 1, 10, tzinfo=UTC)
    item = {"pk": "CLOCK#c1", "sk": "CLOCK", "now": utc_text(at)}
    api.runtime.dynamodb.put_item(
        TableName=api.runtime.settings.billing_table,
        Item={name: {"S": text} for name, text in item.items()},
    )
    made = api.put("/v1/customers/future", {"test_clock": "c1"})
    assert (made["test_clock"], made["created_at"]) == ("c1", "2031-06-01T10:00:00Z")
    assert api.put("/v1/customers/future", {"name": "F"})["test_clock"] == "c1"
    moved = api.call("PUT", "/v1/customers/future", {"test_clock": "c2"})
    assert (moved.status, moved.json["code"]) == (409, "conflict")


@pytest.mark.parametrize(
    ("profile", "pointer", "code"),
    [
        ({"test_clock": "nowhere"}, "/test_clock", "unknown-clock"),
        ({"timezone": "Europe/Atlantis"}, "/timezone", "unknown-timezone"),
        ({"timezone": "../../etc/passwd"}, "/timezone", "unknown-timezone"),
        ({"currency": "XXX"}, "/currency", "unknown-currency"),
        ({"email": "nobody"}, "/email", "not-an-email"),
        ({"traits": {"seats": 3}}, "/traits/seats", "string-type"),
        ({"traits": {str(n): "" for n in range(51)}}, "/traits", "too-long"),
        ({"balance": "1"}, "/balance", "unknown-member"),
    ],
)
def test_a_profile_that_breaks_a_rule_makes_nobody(
    api: Api, profile: dict[str, object], pointer: str, code: str
) -> None:
    refused = api.call("PUT", "/v1/customers/nobody", profile)
    assert refused.status == 422
    assert refused.json["errors"] == [{"pointer": pointer, "code": code}]
    assert api.call("GET", "/v1/customers/nobody").status == 404


def test_a_portal_token_does_not_see_what_operators_keep(api: Api) -> None:
    api.put("/v1/customers/seen", PROFILE)
    for path in ("", "/grants"):
        seen = api.call("GET", f"/v1/customers/seen{path}", scopes="portal", customer="seen")
        assert seen.status == 404
    own = api.call("GET", "/v1/customers/seen/subscription", scopes="portal", customer="seen")
    assert own.status == 200
    other = api.call("GET", "/v1/customers/ada/subscription", scopes="portal", customer="seen")
    assert other.status == 404


def test_a_stage_without_test_clocks_knows_none(api: Api) -> None:
    settings = api.runtime.settings
    api.runtime.settings = replace(settings, test_clocks=False)
    try:
        refused = api.call("PUT", "/v1/customers/real", {"test_clock": "c1"})
    finally:
        api.runtime.settings = settings
    assert refused.json["errors"] == [{"pointer": "/test_clock", "code": "unknown-clock"}]
