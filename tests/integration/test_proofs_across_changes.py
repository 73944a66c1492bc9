"""Every line stays provable across changes of plan, archived meters and usage that comes late."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from cli.exported_events import read_event
from local.emulator import Aws
from shared.domain.events import UsageEvent
from shared.domain.verification import verify
from shared.services.billing_run import due_token
from shared.services.setting_aside import StreamRecord
from shared.wire.plans import PlanBody
from shared.wire.strict_json import loads
from tests.integration.api import NOON, SHARD, Api, publish_catalogue
from tests.integration.conftest import Tables

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
_SEQUENCE = itertools.count(1)


@pytest.fixture(scope="module")
def api(aws: Aws, tables: Tables) -> Api:
    made = Api(aws, tables)
    publish_catalogue(made)
    return made


def use(api: Api, customer: str, at: datetime, tokens: int = 700) -> None:
    """One message and its completion, stored and aggregated."""
    name = customer.removeprefix("/v1/customers/")
    catalogue = api.runtime.catalogue.newest().version
    for kind, data in (("chat.message", {}), ("ai.completion", {"tokens": Decimal(tokens)})):
        number = next(_SEQUENCE)
        event = UsageEvent(name, "test", str(number), kind, at, api.clock.at, catalogue, data, {})
        assert api.runtime.event_store.insert([event]) == ["stored"]
        api.runtime.aggregator.apply(SHARD, [StreamRecord(number, name, event.key, event)])


def bill(api: Api, customer: str, month: int) -> Any:
    """The invoice of the month before."""
    name = customer.removeprefix("/v1/customers/")
    api.clock.at = datetime(2026, month, 1, 1, tzinfo=UTC)
    for due in (datetime(2026, month, 1, tzinfo=UTC), api.clock.at):
        api.runtime.barriers.mark_passed(name, due_token(due))
    api.runtime.billing_run.bill(name, api.clock.at)
    return api.get(f"{customer}/invoices")["data"][0]


def archive_tokens(api: Api) -> None:
    """No plan's newest version may use a meter that is archived; subscriptions keep theirs."""
    for plan in api.get("/v1/plans")["data"]:
        body = {name: plan[name] for name in PlanBody.model_fields if name in plan}
        for rated in ("rates", "allowances"):
            body[rated] = [each for each in body[rated] if each["meter"] != "tokens"]
        api.put(f"/v1/plans/{plan['key']}", body)
    assert api.call("POST", "/v1/meters/tokens/archive").status == 200


def assert_proven(api: Api, customer: str, invoice: Any) -> int:
    """Online, line by line, and offline; the number of events behind all lines."""
    counted = 0
    for line in invoice["lines"]:
        if line["type"] == "usage":
            page = api.get(f"/v1/invoices/{invoice['id']}/lines/{line['n']}/events")
            assert (page["state"], page["recounted"]) == ("proven", line["events"]), line
            counted += len(page["data"])
    name = customer.removeprefix("/v1/customers/")
    query = f"customer={name}&from=2026-01-20T00:00:00Z&to=2026-07-01T00:00:00Z&limit=1000"
    listed: Any = loads(api.call("GET", "/v1/events", query=query, scopes="read").text.encode())
    assert verify(invoice, [read_event(event) for event in listed["data"]]) == ()
    return counted


def test_every_event_is_behind_one_line_of_one_invoice(api: Api) -> None:
    api.clock.at = MARCH
    customer = api.new_customer()
    api.clock.at = NOON
    for at in (MARCH - MINUTE, MARCH, NOON - MINUTE, NOON + 3 * MINUTE):
        use(api, customer, at)
    change = {"action": "change", "plan": "pro"}
    first = api.post(f"{customer}/subscription", change, "k1")["phase"]
    # Usage a little ahead of the clock stays in the phase that it was counted in.
    for at in (NOON - MINUTE, NOON + MINUTE, NOON + 4 * MINUTE, NOON + 5 * MINUTE):
        use(api, customer, at)
    api.clock.at = NOON + 10 * MINUTE
    api.post(f"{customer}/subscription", {**change, "plan": "max"}, "k2")
    use(api, customer, NOON + 11 * MINUTE)
    march = bill(api, customer, 4)
    assert {line.get("phase") for line in march["lines"]} == {1, 2, 3, None}
    assert assert_proven(api, customer, march) == 2 * 9, first
    # A meter that is archived meanwhile counts what was accepted before, late or not.
    for at in (MARCH, NOON + 4 * MINUTE, NOON + 11 * MINUTE):
        use(api, customer, at)
    use(api, customer, api.clock.at)
    archive_tokens(api)
    use(api, customer, NOON)
    april = bill(api, customer, 5)
    assert {line.get("phase") for line in april["lines"]} == {1, 2, 3, 4, None}
    assert assert_proven(api, customer, april) == 2 * 4 + 1
    assert assert_proven(api, customer, march) == 2 * 9
    use(api, customer, NOON)
    may = bill(api, customer, 6)
    assert assert_proven(api, customer, may) == 1
