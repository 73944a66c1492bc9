"""Moving a plan's subscriptions to its newest version, over HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest

from local.emulator import Aws
from tests.integration.api import Api, per_unit, publish_catalogue
from tests.integration.conftest import Tables

TEAM = {"name": "Team", "currency": "USD", "interval": "month", "period": "calendar"}
OLD = {**TEAM, "fee": "31.00", "allowances": [{"meter": "tokens", "quantity": "100"}]}
NEW = {**TEAM, "fee": "62.00", "allowances": [{"meter": "tokens", "quantity": "500"}]}
RATES = [{"meter": "tokens", "price": per_unit("0.001")}]


@pytest.fixture
def api(aws: Aws, tables: Tables) -> Api:
    """A system of the test's own, in the middle of March."""
    made = Api(aws, tables)
    publish_catalogue(made)
    made.clock.at = datetime(2026, 3, 1, tzinfo=UTC)
    return made


@pytest.fixture
def plan(api: Api, request: pytest.FixtureRequest) -> str:
    """The path of a plan of the test's own; tests of a module share the tables."""
    path = f"/v1/plans/team-{abs(hash(request.node.name)) % 10**9}"
    api.put(path, {**OLD, "rates": RATES})
    return path


def subscribers(api: Api, plan: str, count: int) -> list[str]:
    made = [api.new_customer() for _ in range(count)]
    for customer in made:
        change(api, customer, plan.rpartition("/")[2], "k0")
    return made


def change(api: Api, customer: str, plan: str, key: str, **more: object) -> Any:
    order = {"action": "change", "plan": plan, **more}
    return api.post(f"{customer}/subscription", order, key)


def migrate(api: Api, plan: str, key: str, **body: object) -> list[Any]:
    """Every page of a migration."""
    pages, query = [], "limit=3"
    while query:
        reply = api.call("POST", f"{plan}/migrations", body, key=key, query=query)
        assert reply.status == 200, reply.text
        pages.append(reply.json)
        cursor = reply.json["next_cursor"]
        query = f"limit=3&cursor={cursor}" if cursor else ""
    return pages


def moves(pages: list[Any]) -> list[Any]:
    return [move for page in pages for move in page["data"]]


def test_a_preview_tells_the_effect_on_each_and_changes_nothing(api: Api, plan: str) -> None:
    customers = subscribers(api, plan, 2)
    api.put(plan, {**NEW, "rates": RATES})
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    found = moves(migrate(api, plan, "p", preview=True, at="now"))
    assert [move["customer"] for move in found] == [c.rpartition("/")[2] for c in customers]
    assert found[0] == {
        "customer": customers[0].rpartition("/")[2],
        "from_version": 1,
        "state": "moved",
        "at": "2026-03-22T00:00:00Z",
        "currency": "USD",
        "invoice": {"credited": "10", "charged": "20", "total": "10"},
        "next_fee": {"before": "31", "after": "62"},
        "included": [{"unit": "meter:tokens", "before": "100", "after": "500"}],
    }
    later = moves(migrate(api, plan, "p", preview=True))
    assert (later[0]["state"], later[0]["at"]) == ("scheduled", "2026-04-01T00:00:00Z")
    assert (later[0]["invoice"], later[0]["next_fee"]["after"]) == (None, "62")
    shown = api.get(f"{customers[0]}/subscription")
    assert (shown["plan_version"], shown["next_change"]) == (1, None)


def test_what_was_previewed_is_what_is_done_and_once(api: Api, plan: str) -> None:
    customers = subscribers(api, plan, 7)
    api.put(plan, {**NEW, "rates": RATES})
    api.clock.at = datetime(2026, 3, 22, tzinfo=UTC)
    preview = migrate(api, plan, "k", preview=True, at="now")
    done = migrate(api, plan, "k", at="now")
    assert moves(done) == moves(preview)
    assert sum(page["counts"]["moved"] for page in done) == 7
    # A repeat is answered the same, another call finds nobody left: each was moved once.
    assert migrate(api, plan, "k", at="now") == done
    assert moves(migrate(api, plan, "again", at="now")) == []
    for customer in customers:
        [newest, _] = api.get(f"{customer}/invoices")["data"]
        assert (newest["kind"], newest["total"]) == ("change", "10.00")
        assert api.get(f"{customer}/subscription")["plan_version"] == 2


def test_at_the_renewal_each_is_scheduled_once(api: Api, plan: str) -> None:
    [customer] = subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    assert [move["state"] for move in moves(migrate(api, plan, "k"))] == ["scheduled"]
    assert moves(migrate(api, plan, "again")) == []
    assert api.get(f"{customer}/subscription")["next_change"]["plan_version"] == 2
    api.clock.at = datetime(2026, 4, 2, tzinfo=UTC)
    assert api.get(f"{customer}/subscription")["plan_version"] == 2


def test_only_the_versions_and_the_segment_named(api: Api, plan: str) -> None:
    first, second = subscribers(api, plan, 2)
    api.put(plan, {**OLD, "fee": "40.00", "rates": RATES})
    [third] = subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    api.put(second, {"traits": {"cohort": plan}})
    api.put("/v1/segments/cohort", {"name": "Cohort", "filter": {"cohort": [plan]}})
    assert [
        move["customer"] for move in moves(migrate(api, plan, "p", preview=True, segment="cohort"))
    ] == [second.rpartition("/")[2]]
    moved = moves(migrate(api, plan, "k", from_versions=[2]))
    assert [(m["customer"], m["from_version"]) for m in moved] == [(third.rpartition("/")[2], 2)]
    assert api.get(f"{first}/subscription")["next_change"] is None


def test_scheduled_seats_on_the_newest_version_are_not_undone(api: Api, plan: str) -> None:
    [customer] = subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    change(api, customer, plan.rpartition("/")[2], "k1", quantity=3, at="period_end")
    pages = migrate(api, plan, "k", at="now")
    assert moves(pages) == []
    assert [each["code"] for page in pages for each in page["refused"]] == ["change-scheduled"]
    assert api.get(f"{customer}/subscription")["next_change"]["quantity"] == 3


def test_who_cannot_move_stays_and_is_named_with_the_reason(api: Api, plan: str) -> None:
    leaving, staying = subscribers(api, plan, 2)
    api.post(f"{leaving}/subscription", {"action": "cancel"}, "k1")
    api.put(plan, {**NEW, "rates": RATES})
    pages = migrate(api, plan, "k")
    assert [move["customer"] for move in moves(pages)] == [staying.rpartition("/")[2]]
    [refused] = [each for page in pages for each in page["refused"]]
    assert (refused["customer"], refused["code"]) == (
        leaving.rpartition("/")[2],
        "change-scheduled",
    )
    assert sum(page["counts"]["refused"] for page in pages) == 1
    assert api.get(f"{leaving}/subscription")["next_change"]["plan"] == "free"


def test_a_scheduled_move_can_be_made_at_once(api: Api, plan: str) -> None:
    [customer] = subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    migrate(api, plan, "k1")
    assert [move["state"] for move in moves(migrate(api, plan, "k2", at="now"))] == ["moved"]
    assert api.get(f"{customer}/subscription")["next_change"] is None


def test_an_instant_that_is_past_for_a_customer_is_refused_as_such(api: Api, plan: str) -> None:
    subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    pages = migrate(api, plan, "k", at="2020-01-01T00:00:00Z")
    [refused] = [each for page in pages for each in page["refused"]]
    assert refused["code"] == "not-in-the-future"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"from_versions": [1, 2]}, "/from_versions/1", "not-an-older-version"),
        ({"from_versions": [0]}, "/from_versions/0", "greater-than-equal"),
        ({"segment": "nobody"}, "/segment", "unknown-segment"),
        ({"at": "tomorrow"}, "/at", "not-rfc3339"),
        ({"to": 2}, "/to", "unknown-member"),
    ],
)
def test_a_migration_that_breaks_a_rule_is_refused(
    api: Api, plan: str, body: dict[str, object], pointer: str, code: str
) -> None:
    api.put(plan, {**NEW, "rates": RATES})
    refused = api.call("POST", f"{plan}/migrations", body, key="k")
    assert (refused.status, refused.json["errors"]) == (422, [{"pointer": pointer, "code": code}])


def test_a_key_of_another_migration_and_an_unknown_plan(api: Api, plan: str) -> None:
    subscribers(api, plan, 1)
    api.put(plan, {**NEW, "rates": RATES})
    migrate(api, plan, "k")
    reused = api.call("POST", f"{plan}/migrations", {"at": "now"}, key="k", query="limit=100")
    assert (reused.status, reused.json["code"]) == (409, "idempotency-key-reused")
    assert api.call("POST", f"{plan}/migrations", {}).json["code"] == "idempotency-key-required"
    assert api.call("POST", "/v1/plans/nothing/migrations", {}, key="k").status == 404
