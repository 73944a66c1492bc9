"""Reservations through the API: strict under concurrency, ended once, whatever ends them."""

import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from local.emulator import Aws
from shared.domain.events import event_key, utc_text
from shared.services.aggregate import StreamRecord
from tests.integration.api import NOON, SHARD, Api, Reply, publish_catalogue
from tests.integration.conftest import Tables

CALLERS = 64
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    api = Api(aws, tables)
    publish_catalogue(api)
    return api


@pytest.fixture(autouse=True)
def noon(api: Api) -> None:
    api.clock.at = NOON


def holding(api: Api, amount: str) -> str:
    """The path of a new customer that was granted so many sparks."""
    customer = api.new_customer()
    grant = {"unit": "sparks", "amount": amount, "source": "purchase"}
    api.post(f"{customer}/grants", grant, "grant")
    return customer


def reserve(api: Api, customer: str, amount: str, key: str, **more: object) -> Reply:
    body = {"unit": "sparks", "amount": amount, "ttl_seconds": 60, **more}
    return api.call("POST", f"{customer}/reservations", body, scopes="ingest", key=key)


def balance(api: Api, customer: str, unit: str = "sparks") -> tuple[str, str, str]:
    found = api.get(f"{customer}/balance", query=f"unit={unit}")
    return found["settled"], found["reserved"], found["available"]


def end(
    api: Api, customer: str, held: Any, how: str, body: object = None, *, key: str = ""
) -> Reply:
    place = f"{customer}/reservations/{held['id']}/{how}"
    return api.call("POST", place, body, scopes="ingest", key=key or f"{how}-{held['id']}")


def test_what_is_reserved_is_not_available(api: Api) -> None:
    customer = holding(api, "10")
    made = reserve(api, customer, "6", "a")
    assert made.status == 201
    assert made.json == {
        "id": made.json["id"],
        "unit": "sparks",
        "amount": "6",
        "meter": None,
        "status": "open",
        "drawn": "0",
        "created_at": "2026-03-10T12:00:00Z",
        "expires_at": "2026-03-10T12:01:00Z",
        "ended_at": None,
        "event": None,
    }
    assert balance(api, customer) == ("10", "6", "4")
    refused = reserve(api, customer, "5", "b")
    assert (refused.status, refused.json["code"]) == (402, "insufficient-balance")
    again = reserve(api, customer, "6", "a")
    assert (again.status, again.json) == (201, made.json)
    assert reserve(api, customer, "7", "a").json["code"] == "idempotency-key-reused"
    assert reserve(api, customer, "4", "b").status == 201
    assert balance(api, customer) == ("10", "10", "0")
    place = f"{customer}/reservations"
    assert api.get(f"{place}/{made.json['id']}") == made.json
    assert made.json in api.get(place)["data"]
    assert api.call("GET", f"{place}/rs_0").status == 404


@pytest.mark.parametrize(("used", "left"), [("2.5", "7.5"), ("6", "4"), ("8", "2"), ("0", "10")])
def test_settling_draws_what_was_used(api: Api, used: str, left: str) -> None:
    customer = holding(api, "10")
    held = reserve(api, customer, "6", "a").json
    settled = end(api, customer, held, "settle", {"amount": used})
    assert settled.status == 200
    assert (settled.json["status"], settled.json["drawn"]) == ("settled", used)
    assert balance(api, customer) == (left, "0", left)
    assert end(api, customer, held, "settle", {"amount": used}).json == settled.json
    for how, body in (("settle", {"amount": "1"}), ("release", None)):
        refused = end(api, customer, held, how, body, key="another")
        assert (refused.status, refused.json["code"]) == (409, "reservation-ended")
    entries = api.get(f"{customer}/ledger", query="limit=1000")["data"]
    assert [e["kind"] for e in entries[-2:]] == ["reserve", "settle"]
    assert entries[-1]["cause"]["reservation"] == held["id"]


def test_settling_never_takes_what_others_reserved(api: Api) -> None:
    customer = holding(api, "10")
    first, second = (reserve(api, customer, "4", key).json for key in "ab")
    refused = end(api, customer, first, "settle", {"amount": "6.5"})
    assert (refused.status, refused.json["code"]) == (402, "insufficient-balance")
    assert end(api, customer, first, "settle", {"amount": "6"}, key="less").status == 200
    assert balance(api, customer) == ("4", "4", "0")
    assert end(api, customer, second, "release").json["status"] == "released"
    assert end(api, customer, second, "release", key="again").json["status"] == "released"
    assert balance(api, customer) == ("4", "0", "4")


def test_its_time_ends_it_to_the_moment(api: Api) -> None:
    customer = holding(api, "10")
    held = reserve(api, customer, "10", "a").json
    api.clock.at = NOON + 60 * SECOND - timedelta(microseconds=1)
    assert balance(api, customer) == ("10", "10", "0")
    api.clock.at = NOON + 60 * SECOND
    assert balance(api, customer) == ("10", "0", "10")
    # Nobody has ended it, and whoever looks at it finds it ended.
    [listed] = api.get(f"{customer}/reservations")["data"]
    assert listed == api.get(f"{customer}/reservations/{held['id']}")
    assert (listed["status"], listed["ended_at"]) == ("expired", held["expires_at"])
    other = reserve(api, customer, "9", "b").json
    ended = api.get(f"{customer}/reservations/{held['id']}")
    assert (ended["status"], ended["ended_at"]) == ("expired", held["expires_at"])
    assert end(api, customer, held, "release").json["status"] == "expired"
    # Settled late it is an ordinary draw, of what is available.
    assert end(api, customer, held, "settle", {"amount": "2"}).status == 402
    late = end(api, customer, held, "settle", {"amount": "1"}, key="late")
    assert (late.status, late.json["status"]) == (200, "settled")
    assert balance(api, customer) == ("9", "9", "0")
    assert end(api, customer, other, "release").status == 200


def test_the_billing_run_ends_it_where_nobody_else_does(api: Api) -> None:
    customer = holding(api, "10")
    key = customer.rpartition("/")[2]
    for number in range(3):
        reserve(api, customer, "1", str(number), ttl_seconds=60 + number)
    kept = reserve(api, customer, "2", "kept", ttl_seconds=600).json
    store, until = api.runtime.store, NOON + 120 * SECOND
    assert key in set(store.due_customers(until))
    steps = api.runtime.billing_run.bill(key, until)
    assert set(steps) == {"lapsed"}
    account = store.account(key)
    assert account is not None
    assert (account.reserved, utc_text(account.reserved_until or NOON)) == (
        {"sparks": 2 * 10**9},
        kept["expires_at"].replace("Z", ".000000Z"),
    )
    assert api.runtime.billing_run.bill(key, until) == []
    assert key not in set(store.due_customers(until))


def test_callers_at_once_never_reserve_more_than_there_is(api: Api) -> None:
    customer = holding(api, "12")
    statuses: Counter[int] = Counter()
    ready = threading.Barrier(CALLERS)

    def call(number: int) -> None:
        ready.wait()
        while (status := reserve(api, customer, "1", f"at once {number}").status) == 503:
            statuses[status] += 1
        statuses[status] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses[201], statuses[402]) == (12, 52), statuses
    assert balance(api, customer) == ("12", "12", "0")
    held = api.get(f"{customer}/reservations", query="limit=1000")["data"]
    assert len(held) == 12


def test_an_event_that_names_it_draws_and_releases_together(api: Api) -> None:
    customer = holding(api, "10")
    held = reserve(api, customer, "6", "a", meter="messages").json
    key = customer.rpartition("/")[2]
    event = {"specversion": "1.0", "id": "e1", "source": "app", "type": "chat.message"}
    foreign = end(api, customer, held, "settle", {"event": {**event, "subject": "else"}})
    assert (foreign.status, foreign.json["errors"][0]["pointer"]) == (422, "/event/subject")
    body = {"event": {**event, "subject": key}}
    taken = end(api, customer, held, "settle", body)
    assert (taken.status, taken.json["status"]) == (200, "open")
    assert end(api, customer, held, "settle", body).json == taken.json
    stored = api.runtime.event_index.get(key, event_key("app", "e1"))
    assert stored is not None
    assert stored.extensions == {"reservation": held["id"]}
    record = StreamRecord(10**9, key, stored.key, stored)
    for _ in range(2):
        assert api.runtime.aggregator.apply(SHARD, [record]).error is None
    assert balance(api, customer) == ("9", "0", "9")
    ended = api.get(f"{customer}/reservations/{held['id']}")
    assert (ended["status"], ended["drawn"], ended["event"]) == ("settled", "1", stored.key)
    assert end(api, customer, held, "settle", body, key="once more").status == 200
    assert end(api, customer, held, "settle", {"amount": "1"}, key="both").status == 409


def test_allowances_and_restricted_grants(api: Api) -> None:
    customer = holding(api, "5")
    restricted = {"unit": "sparks", "amount": "3", "source": "reward", "meters": ["messages"]}
    api.post(f"{customer}/grants", restricted, "restricted")
    assert reserve(api, customer, "6", "any meter").status == 402
    held = reserve(api, customer, "6", "messages", meter="messages").json
    assert end(api, customer, held, "settle", {"amount": "6"}).json["drawn"] == "6"
    assert balance(api, customer) == ("2", "0", "2")
    left = balance(api, customer, "meter:tokens")[0]
    assert reserve(api, customer, left, "tokens", unit="meter:tokens").status == 201
    found = api.get(f"{customer}/entitlements/tokens")
    assert (found["limit"], found["remaining"]) == (left, "0")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"amount": "0"}, ("/amount", "out-of-range")),
        ({"amount": "-1"}, ("/amount", "out-of-range")),
        ({"unit": "doubloons"}, ("/unit", "unknown-unit")),
        ({"meter": "steps"}, ("/meter", "unknown-meter")),
        ({"unit": "meter:tokens", "meter": "messages"}, ("/meter", "not-of-unit")),
        ({"ttl_seconds": 0}, ("/ttl_seconds", "greater-than-equal")),
        ({"ttl_seconds": 86_401}, ("/ttl_seconds", "less-than-equal")),
        ({"balance": "5"}, ("/balance", "unknown-member")),
    ],
)
def test_bad_reservations(api: Api, change: dict[str, object], problem: tuple[str, str]) -> None:
    customer = holding(api, "10")
    body = {"unit": "sparks", "amount": "1", "ttl_seconds": 60, **change}
    refused = api.call("POST", f"{customer}/reservations", body, key="bad")
    found = [(p["pointer"], p["code"]) for p in refused.json["errors"]]
    assert (refused.status, found) == (422, [problem])
    assert balance(api, customer) == ("10", "0", "10")


def test_bad_settlements(api: Api) -> None:
    customer = holding(api, "10")
    held = reserve(api, customer, "1", "a").json
    for body in ({}, {"amount": "1", "event": {}}, {"amount": "-1"}):
        assert end(api, customer, held, "settle", body).status == 422
    assert end(api, customer, {"id": "rs_none"}, "settle", {"amount": "1"}).status == 404
    place = f"{customer}/reservations"
    body = {"unit": "sparks", "amount": "1", "ttl_seconds": 5}
    assert api.call("POST", place, body).status == 400
    assert api.call("POST", place, body, scopes="read", key="k").status == 403
    assert balance(api, customer) == ("10", "1", "9")
