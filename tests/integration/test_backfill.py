"""Backfill: a new meter's history counted from raw events, each once, however often it is done."""

import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from functions import backfill
from local.emulator import Aws
from shared.adapters.backfill_queue import BackfillQueue, read_order
from shared.adapters.dynamodb.backfills import DynamoBackfillStore
from shared.domain.catalogue import Meter
from shared.domain.errors import InvalidError, NotFoundError, UnavailableError
from shared.domain.events import UsageEvent
from shared.domain.reconciliation import total_of
from shared.domain.usage_hours import HourKey, Quarter, UsageHour
from shared.services.backfill import WAIT_SECONDS, Backfills, MeterArchivedError, Order
from shared.services.backfilled_usage import BackfilledUsage
from shared.services.changes import PutBackfilledHour
from tests.integration.api import Api
from tests.integration.conftest import Tables
from tests.integration.test_reconcile import At, reconciler
from tests.support.builders import APRIL, DAY, HOUR, MARCH, usage
from tests.support.faults import WRITES, counted, killed_at_write
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

METERS = itertools.count(1)


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


@dataclass
class Queue:
    """Takes orders; `deliver` carries out what it holds, in any number of parts."""

    orders: list[Order] = field(default_factory=list)
    delays: list[int] = field(default_factory=list)

    def send(self, orders: Iterable[Order], delay_seconds: int = 0) -> int:
        new = list(orders)
        self.orders += new
        self.delays.append(delay_seconds)
        return len(new)

    def deliver(self, backfills: Backfills, *, in_parts: bool = False) -> int:
        done = 0
        while self.orders:
            order = self.orders.pop(0)
            backfills.carry_out(order, lambda: in_parts)
            if done % 5 == 0 and not in_parts:
                backfills.carry_out(replace(order), lambda: False)
                self.orders = list(dict.fromkeys(self.orders))
            done += 1
        return done


def of(meterline: Stack, queue: Queue) -> Backfills:
    known = meterline.runtime.backfills
    return replace(known, orders=queue, clock=At(APRIL))


def store(meterline: Stack, *events: UsageEvent, first: int = 1) -> None:
    meterline.store(*events)
    meterline.apply([usage_record(event, n) for n, event in enumerate(events, first)])


def new_meter(meterline: Stack, **changes: Any) -> Meter:
    """A meter of words by model, as of a new version of the catalogue."""
    since = meterline.runtime.catalogue.newest().version + 1
    meter = Meter(f"words{next(METERS)}", "chat", "sum", "tokens", ("model",), since=since)
    meterline.publish(replace(meter, **changes))
    return meterline.runtime.catalogue.newest().meters[meter.key]


def history(customer: str, hours: range, version: int = 5) -> list[UsageEvent]:
    return [
        usage(
            customer,
            f"{n}-{minute}",
            MARCH + n * HOUR + timedelta(minutes=minute),
            {"tokens": Decimal(n + minute), "model": "small" if minute else "large"},
            catalogue_version=version,
        )
        for n in hours
        for minute in (0, 20)
    ]


def counted_of(meterline: Stack, meter: Meter, customer: str, *, backfilled: bool) -> Quarter:
    hours = meterline.runtime.store.usage_between(meter.key, customer, MARCH - DAY, APRIL)
    mine = [hour for hour in hours if hour.key.backfilled is backfilled]
    return total_of(quarter for hour in mine for quarter in hour.quarters)


def recounted(events: Iterable[UsageEvent]) -> tuple[int, Decimal]:
    quantities = [Decimal(str(event.data["tokens"])) for event in events]
    return len(quantities), sum(quantities, Decimal(0))


def test_history_is_counted_beside_what_is_counted_live(meterline: Stack) -> None:
    old, other = history("ada", range(60)), history("bob", range(3))
    store(meterline, *old, *other, usage("ada", "disk", MARCH, {"gb": Decimal(1)}, type="disk"))
    meter = new_meter(meterline)
    live = history("ada", range(100, 105), meter.since)
    store(meterline, *live, first=1000)
    account = meterline.runtime.store.account("ada")
    queue = Queue()
    backfills = of(meterline, queue)
    ordered = backfills.request(meter.key, None, "key1")
    assert (ordered.run, ordered.finished, queue.delays) == (1, False, [WAIT_SECONDS])
    queue.deliver(backfills)
    kept = backfills.usage.progress.get(meter.key)
    assert kept is not None
    known = len(meterline.runtime.store.customers(1000, None).items)
    assert (kept.finished, kept.customers, kept.done) == (True, known, known)
    assert kept.events == len(old) + len(other)
    for customer, events in (("ada", old), ("bob", other)):
        found = counted_of(meterline, meter, customer, backfilled=True)
        assert (found.count, found.value) == recounted(events)
    lived = counted_of(meterline, meter, "ada", backfilled=False)
    assert (lived.count, lived.value) == recounted(live)
    assert meterline.runtime.store.account("ada") == account, "usage only, never money"
    assert reconciler(meterline, APRIL).reconcile("ada").findings == []


def test_answers_about_usage_hold_both(meterline: Stack, tables: Tables) -> None:
    old = history("both", range(2))
    store(meterline, *old)
    meter = new_meter(meterline)
    live = usage("both", "live", MARCH + HOUR, catalogue_version=meter.since)
    store(meterline, live, first=100)
    queue = Queue()
    backfills = of(meterline, queue)
    backfills.request(meter.key, None, "key1")
    queue.deliver(backfills)
    api = Api(meterline.aws, tables)
    span = "from=2026-03-01T00:00:00Z&to=2026-03-01T02:00:00Z"
    query = f"meter={meter.key}&customer=both&{span}&window=hour&group_by=model"
    rows = api.get("/v1/usage", query=query)["data"]
    found = [(row["start"][11:13], row["group"]["model"], row["value"]) for row in rows]
    # The live event falls into an hour and group that history has as well.
    assert found == [
        ("00", "large", "0"),
        ("00", "small", "20"),
        ("01", "large", "1"),
        ("01", "small", "28"),
    ]


def test_parts_repeats_and_runs_at_once_count_each_event_once(meterline: Stack) -> None:
    old = history("parts", range(12))
    store(meterline, *old)
    meter = new_meter(meterline)
    queue = Queue()
    backfills = of(meterline, queue)
    for _ in range(2):
        backfills.request(meter.key, None, "key1")
    queue.deliver(backfills, in_parts=True)
    found = counted_of(meterline, meter, "parts", backfilled=True)
    assert (found.count, found.value) == recounted(old)
    first = backfills.usage.progress.get(meter.key)
    assert first is not None
    assert (first.run, first.finished) == (1, True)
    assert first.events >= len(old)
    again = backfills.request(meter.key, None, "key1")
    assert (again.run, again.done, again.events) == (2, 0, 0)
    backfills.carry_out(Order(meter.key, 1, "parts", MARCH), lambda: False)
    assert backfills.usage.progress.get(meter.key) == again, "an order of an older run is over"
    queue.deliver(backfills)
    second = backfills.usage.progress.get(meter.key)
    assert second is not None
    assert (second.finished, second.events) == (True, first.events)
    assert counted_of(meterline, meter, "parts", backfilled=True) == found


@pytest.mark.parametrize("committed", [False, True])
def test_killed_at_any_write_and_delivered_again_it_is_exact(
    meterline: Stack, *, committed: bool
) -> None:
    customer = f"killed{committed}"
    old = history(customer, range(3))
    store(meterline, *old)
    probe = new_meter(meterline)
    client = meterline.runtime.dynamodb

    def carry_out(meter: Meter) -> None:
        backfills = of(meterline, Queue())
        backfills.request(meter.key, None, "key1")
        backfills.usage.progress.list_customers(meter.key, 1, 1)
        backfills.carry_out(Order(meter.key, 1, customer, MARCH), lambda: False)

    with counted(client) as sent:
        carry_out(probe)
    for index in range(sum(operation in WRITES for operation in sent)):
        meter = new_meter(meterline)
        with killed_at_write(client, index, committed=committed):
            carry_out(meter)
        carry_out(meter)
        found = counted_of(meterline, meter, customer, backfilled=True)
        assert (found.count, found.value) == recounted(old)
        backfills = of(meterline, Queue())
        kept = backfills.usage.progress.get(meter.key)
        assert kept is not None
        assert (kept.done, kept.events) in ((1, len(old)), (0, 0))


def test_the_start_is_on_a_full_hour_and_only_moves_back(meterline: Stack) -> None:
    old = history("start", range(6))
    store(meterline, *old)
    meter = new_meter(meterline)
    queue = Queue()
    backfills = of(meterline, queue)
    with pytest.raises(InvalidError):
        backfills.request(meter.key, MARCH + timedelta(minutes=15), "key1")
    for start, first in ((MARCH + 4 * HOUR, 4), (MARCH + 5 * HOUR, 4), (MARCH + 2 * HOUR, 2)):
        backfills.request(meter.key, start, "key1")
        queue.deliver(backfills)
        found = counted_of(meterline, meter, "start", backfilled=True)
        assert (found.count, found.value) == recounted(old[2 * first :])
    assert backfills.request(meter.key, None, "key1").start is None


def test_whoever_orders_second_at_the_same_time_is_told_to_ask_again(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    meter = new_meter(meterline)
    backfills = of(meterline, Queue())
    backfills.request(meter.key, None, "key1")
    monkeypatch.setattr(DynamoBackfillStore, "get", lambda *_: None)
    with pytest.raises(UnavailableError):
        backfills.request(meter.key, None, "key2")


def test_what_cannot_be_backfilled_is_refused(meterline: Stack) -> None:
    backfills = of(meterline, Queue())
    with pytest.raises(NotFoundError):
        backfills.request("never", None, "key1")
    archived = new_meter(meterline, archived_since=10**6)
    with pytest.raises(MeterArchivedError):
        backfills.request(archived.key, None, "key1")


def archive(meterline: Stack, meter: Meter) -> None:
    version = meterline.runtime.catalogue.newest().version
    meterline.publish(replace(meter, archived_since=version + 1))


def test_a_meter_archived_meanwhile_is_backfilled_no_further(
    meterline: Stack, tables: Tables
) -> None:
    old = history("stopped", range(5))
    store(meterline, *old)
    meter = new_meter(meterline)
    queue = Queue()
    backfills = of(meterline, queue)
    backfills.request(meter.key, None, "key1")
    backfills.usage.progress.list_customers(meter.key, 1, 1)
    order = Order(meter.key, 1, "stopped", MARCH)
    backfills.carry_out(order, lambda: True)
    [_, rest] = queue.orders
    archive(meterline, meter)
    for late in (*queue.orders, order):
        backfills.carry_out(late, lambda: False)
    assert queue.orders == [Order(meter.key, 1), rest], "nothing more is ordered"
    found = counted_of(meterline, meter, "stopped", backfilled=True)
    assert (found.count, found.value) == recounted(old[:2]), "the first hour, as a whole"
    shown = Api(meterline.aws, tables).get(f"/v1/meters/{meter.key}")["backfill"]
    assert (shown["state"], shown["done"], shown["customers"]) == ("stopped", 0, 1)
    assert shown in Api(meterline.aws, tables).get("/v1/backfills")["data"]
    with pytest.raises(MeterArchivedError):
        backfills.request(meter.key, None, "key1")
    # Reconciliation does not go on with it, and mends what it has.
    [kept] = [
        hour
        for hour in meterline.runtime.store.usage_between(meter.key, "stopped", MARCH, APRIL)
        if hour.key.backfilled and hour.key.dimensions == (("model", "small"),)
    ]
    meterline.runtime.store.commit([PutBackfilledHour(UsageHour(kept.key))])
    assert reconciler(meterline, APRIL).reconcile("stopped", again=True).findings == []
    assert counted_of(meterline, meter, "stopped", backfilled=True) == found


def test_archived_while_an_order_is_carried_out_it_stops_after_the_hour(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = history("midway", range(5))
    store(meterline, *old)
    meter = new_meter(meterline)
    queue = Queue()
    backfills = of(meterline, queue)
    backfills.request(meter.key, None, "key1")
    put = BackfilledUsage.put

    def put_and_archive(*arguments: Any) -> int:
        counted = put(*arguments)
        archive(meterline, meter)
        return counted

    monkeypatch.setattr(BackfilledUsage, "put", put_and_archive)
    backfills.carry_out(Order(meter.key, 1, "midway", MARCH), lambda: False)
    found = counted_of(meterline, meter, "midway", backfilled=True)
    assert (found.count, found.value) == recounted(old[:2])
    left = backfills.usage.progress.get(meter.key)
    assert left is not None
    assert (left.done, left.events) == (0, 0)


def test_reconciliation_adds_customers_that_nobody_knew_when_they_were_listed(
    meterline: Stack,
) -> None:
    old = history("unknown", range(4))
    meterline.store(*old)  # The stream is behind: nobody knows the customer.
    meter = new_meter(meterline)
    queue = Queue()
    backfills = of(meterline, queue)
    backfills.request(meter.key, None, "key1")
    queue.deliver(backfills)
    assert counted_of(meterline, meter, "unknown", backfilled=True).count == 0
    meterline.apply([usage_record(event, n) for n, event in enumerate(old, 1)])
    lost = UsageHour(HourKey("unknown", meter.key, MARCH, (), backfilled=True))
    meterline.runtime.store.commit([PutBackfilledHour(lost)])
    result = reconciler(meterline, APRIL).reconcile("unknown")
    assert result.findings == []
    assert result.repaired >= len(old), "and what the meters of other tests lacked"
    found = counted_of(meterline, meter, "unknown", backfilled=True)
    assert (found.count, found.value) == recounted(old)
    assert reconciler(meterline, APRIL).reconcile("unknown", again=True).repaired == 0


class Sqs:
    """A queue as SQS's client shows it."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def send_message_batch(self, **request: Any) -> dict[str, Any]:
        self.sent += request["Entries"]
        return {}


def test_over_http_and_through_the_queue(
    meterline: Stack, tables: Tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = history("http", range(2))
    store(meterline, *old)
    meter = new_meter(meterline)
    sqs = Sqs()
    queue: Any = BackfillQueue(sqs, "url")  # type: ignore[arg-type]
    backfills = replace(meterline.runtime.backfills, orders=queue)
    api = Api(meterline.aws, tables)
    for runtime in (api.runtime, meterline.runtime):
        monkeypatch.setitem(runtime.__dict__, "backfills", backfills)
    path = f"/v1/meters/{meter.key}"
    assert api.get(path)["backfill"] is None
    reply = api.call("POST", f"{path}/backfill", {"from": "2026-03-01T01:00:00Z"})
    assert (reply.status, reply.json["state"], reply.json["customers"]) == (202, "running", None)
    assert reply.json["from"] == "2026-03-01T01:00:00Z"
    [first] = sqs.sent
    assert first["DelaySeconds"] == WAIT_SECONDS
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 10**6)
    while sqs.sent:
        body = sqs.sent.pop(0)["MessageBody"]
        message = {"messageId": "m", "body": body}
        assert backfill.handler({"Records": [message]}, context) == {"batchItemFailures": []}
    shown = api.get(path)["backfill"]
    assert (shown["state"], shown["done"]) == ("finished", shown["customers"])
    assert shown["events"] >= 2
    assert counted_of(meterline, meter, "http", backfilled=True).count == 2
    assert shown in api.get("/v1/backfills")["data"]
    assert api.call("POST", f"{path}/backfill", {}, scopes="read").status == 403
    assert api.call("POST", "/v1/meters/never/backfill", {}).status == 404
    late = api.call("POST", f"{path}/backfill", {"from": "2026-03-01T01:10:00Z"})
    assert (late.status, late.json["errors"]) == (
        422,
        [{"pointer": "/from", "code": "within-an-hour"}],
    )


def test_a_part_that_cannot_be_written_is_counted_and_comes_back(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise UnavailableError("the stream is behind")

    monkeypatch.setattr(meterline.runtime.backfills.__class__, "carry_out", refuse)
    sqs = Sqs()
    BackfillQueue(sqs, "url").send([Order("m", 2)])  # type: ignore[arg-type]
    message = {"messageId": "m", "body": sqs.sent.pop(0)["MessageBody"]}
    context = SimpleNamespace(get_remaining_time_in_millis=lambda: 10**6)
    answer = backfill.handler({"Records": [message]}, context)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "m"}]}
    assert '"BackfillDelayed": 1' in capsys.readouterr().out


def test_orders_survive_the_queue() -> None:
    sqs = Sqs()
    at = datetime.fromisoformat("2026-03-01T05:00:00+00:00")
    orders = [Order("m", 2), Order("m", 2, "ada", at, None, 7), Order("m", 3, cursor="c")]
    BackfillQueue(sqs, "url").send(orders)  # type: ignore[arg-type]
    assert [read_order(json.loads(entry["MessageBody"])) for entry in sqs.sent] == orders


def test_distinct_values_and_marks_of_history_join_the_live_ones(
    meterline: Stack, tables: Tables
) -> None:
    store(meterline, *history("kinds", range(3)))
    since = meterline.runtime.catalogue.newest().version + 1
    number = next(METERS)
    models = Meter(f"models{number}", "chat", "unique_count", "model", since=since)
    most = Meter(f"most{number}", "chat", "max", "tokens", since=since + 1)
    meterline.publish(models, most)
    live = [
        usage(
            "kinds",
            f"live{n}",
            MARCH,
            {"tokens": Decimal(n), "model": model},
            catalogue_version=since + 1,
        )
        for n, model in enumerate(("small", "huge"))
    ]
    store(meterline, *live, first=500)
    queue = Queue()
    backfills = of(meterline, queue)
    for meter in (models, most):
        backfills.request(meter.key, None, "key1")
    queue.deliver(backfills)
    api = Api(meterline.aws, tables)
    span = "customer=kinds&from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z&window=total"
    found = [api.get("/v1/usage", query=f"meter={m.key}&{span}")["data"] for m in (models, most)]
    assert [rows[0]["value"] for rows in found] == ["3", "22"]
    seen = meterline.runtime.store.values_between(models.key, "kinds", MARCH, MARCH + DAY)
    assert len({each.key.value for each in seen}) == 3
    assert {each.key.backfilled for each in seen} == {False, True}
    assert reconciler(meterline, APRIL).reconcile("kinds").findings == []
