"""Billing runs: what is due is done once, however often and however concurrently they fire."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest

from functions import bill_customer
from local.emulator import Aws
from shared.services.billing_run import due_token
from tests.integration.conftest import Tables
from tests.support.builders import APRIL, DAY, HOUR, MARCH, MAY, units, usage
from tests.support.faults import WRITES, counted, killed_at_write
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

JUNE = datetime(2026, 6, 1, tzinfo=MAY.tzinfo)


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish_defaults()
        yield running


def start(meterline: Stack, *customers: str) -> None:
    """A customer with ten messages of seven tokens each in March."""
    for customer in customers:
        events = [usage(customer, n, MARCH + n * HOUR) for n in range(10)]
        meterline.apply([usage_record(e, n) for n, e in enumerate(events, 1)])


def drained(meterline: Stack, customer: str, *moments: datetime) -> None:
    """The stream has delivered everything from before these moments."""
    for moment in moments:
        meterline.runtime.barriers.mark_passed(customer, due_token(moment))


def invoices(meterline: Stack, customer: str, kind: str = "period") -> list[dict[str, Any]]:
    items = meterline.runtime.store.invoices(customer, 1000, None).items
    return [dict(item) for item in reversed(items) if item["kind"] == kind]


def numbers_of(meterline: Stack) -> list[int]:
    """The numbers of all finalized invoices in order."""
    store = meterline.runtime.store
    customers = [customer.key for customer in store.customers(1000, None).items]
    documents = [d for key in customers for d in store.invoices(key, 1000, None).items]
    return sorted(int(str(document["number"]).removeprefix("INV-")) for document in documents)


def orders(*customers: str, as_of: datetime) -> dict[str, Any]:
    """Queue messages, as the start of a billing run sends them."""
    bodies = ({"customer": customer, "as_of": as_of.isoformat()} for customer in customers)
    return {"Records": [{"messageId": str(n), "body": json.dumps(b)} for n, b in enumerate(bodies)]}


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_run_that_fires_several_times_bills_once(meterline: Stack, times: int) -> None:
    customer = f"fired{times}"
    start(meterline, customer)
    drained(meterline, customer, APRIL + HOUR)
    for _ in range(times):
        answer = bill_customer.handler(orders(customer, as_of=APRIL + HOUR), None)
        assert answer == {"batchItemFailures": []}
    [invoice] = invoices(meterline, customer)
    kinds = [(line["type"], line.get("meter"), line["amount"]) for line in invoice["lines"]]
    # 70 tokens at 0.01 and the first tier's 1.00; the fee of April. The allowance was prorated by
    # the two seconds that March had begun, so a hair of the tenth message is not included.
    assert kinds == [
        ("usage", "tokens", "1.70"),
        ("usage", "messages", "0.00"),
        ("fee", None, "20.00"),
    ]
    assert invoice["total"] == "21.70"
    kept = meterline.runtime.store.closed_phases(customer, 10)
    assert [closed.phase.number for closed in kept] == [1]


def test_a_run_that_did_not_fire_is_caught_up_by_the_next(meterline: Stack) -> None:
    start(meterline, "missed")
    drained(meterline, "missed", APRIL + HOUR, MAY + HOUR)
    run = meterline.runtime.billing_run
    steps = run.bill("missed", MAY + HOUR)
    assert steps == ["opened", "closed", "broke", "opened", "closed", "broke"]
    first, second = invoices(meterline, "missed")
    assert (first["total"], second["total"]) == ("21.70", "21.00")
    # The second period was not used: the first tier's flat fee and May's plan fee.
    assert [line["amount"] for line in second["lines"]] == ["1.00", "20.00"]
    terms = meterline.runtime.store.subscription("missed")
    assert terms is not None
    assert terms.due_at == JUNE


def test_due_customers_are_found_by_the_schedules_own_time(meterline: Stack) -> None:
    start(meterline, "listed")
    store = meterline.runtime.store
    assert "listed" in store.due_customers(APRIL)
    assert "listed" not in store.due_customers(APRIL - HOUR)
    drained(meterline, "listed", APRIL + HOUR)
    meterline.runtime.billing_run.bill("listed", APRIL + HOUR)
    assert "listed" not in store.due_customers(APRIL + DAY)


def test_numbers_are_unique_and_without_gaps_when_all_close_at_once(meterline: Stack) -> None:
    customers = [f"crowd{n}" for n in range(10)]
    start(meterline, *customers)
    for customer in customers:
        drained(meterline, customer, APRIL + HOUR)
    twice = [customer for customer in customers for _ in range(2)]
    left = orders(*twice, as_of=APRIL + HOUR)["Records"]
    with ThreadPoolExecutor(8) as pool:
        while left:
            answers = list(pool.map(lambda m: bill_customer.handler({"Records": [m]}, None), left))
            failed = {f["itemIdentifier"] for a in answers for f in a["batchItemFailures"]}
            left = [message for message in left if message["messageId"] in failed]
    assert [len(invoices(meterline, customer)) for customer in customers] == [1] * 10
    numbers = numbers_of(meterline)
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_closes_while_the_stream_is_behind(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump = meterline.pump()
    pump.run()
    event = usage("behind", 1, MARCH + HOUR)
    meterline.store(event)
    pump.run()
    meterline.store(usage("behind", 2, MARCH + 2 * HOUR))
    impatient = replace(meterline.runtime.billing_run, sleep=lambda _: None)
    monkeypatch.setitem(meterline.runtime.__dict__, "billing_run", impatient)
    answer = bill_customer.handler(orders("behind", as_of=APRIL + HOUR), None)
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0"}]}
    assert invoices(meterline, "behind") == []
    pump.run()
    assert bill_customer.handler(orders("behind", as_of=APRIL + HOUR), None) == {
        "batchItemFailures": []
    }
    [invoice] = invoices(meterline, "behind")
    assert invoice["lines"][0]["events"]["count"] == 2


def test_late_usage_is_billed_next_under_its_own_service_period(meterline: Stack) -> None:
    start(meterline, "late")
    drained(meterline, "late", APRIL + HOUR, MAY + HOUR)
    run = meterline.runtime.billing_run
    run.bill("late", APRIL + HOUR)
    [first] = invoices(meterline, "late")
    sixty = {"tokens": Decimal(60), "model": "small"}
    records = [usage_record(usage("late", n, MARCH + DAY, sixty), n) for n in (20, 21)]
    meterline.apply(records[:1])
    meterline.apply(records)
    run.bill("late", MAY + HOUR)
    unchanged, second = invoices(meterline, "late")
    assert unchanged == first
    late = [line for line in second["lines"] if line["late"]]
    assert {line["service_period"]["end"] for line in late} == {"2026-04-01T00:00:00Z"}
    # 70 tokens before: 30 more at 0.01, then 90 at 0.002 and the second tier's 0.50.
    tokens, messages = late
    assert (tokens["meter"], tokens["amount"], tokens["quantity"]) == ("tokens", "0.98", "120")
    assert (messages["meter"], messages["amount"]) == ("messages", "0.02")
    assert tokens["events"]["count"] == 2
    meterline.apply([usage_record(usage("late", 22, MARCH + DAY, sixty), 22)])
    drained(meterline, "late", JUNE + HOUR)
    run.bill("late", JUNE + HOUR)
    third = invoices(meterline, "late")[-1]
    assert [x["amount"] for x in third["lines"] if x["late"]] == ["0.12", "0.01"]


def test_what_credits_covered_and_what_not_stands_on_the_invoice(meterline: Stack) -> None:
    """150 GB at 0.5 sparks: 50 were given, the other 25 cost 0.05 each."""
    gigabytes = {"gb": Decimal(150)}
    meterline.apply([usage_record(usage("stored", 1, MARCH, gigabytes, type="disk"), 1)])
    drained(meterline, "stored", APRIL + HOUR)
    meterline.runtime.billing_run.bill("stored", APRIL + HOUR)
    [invoice] = invoices(meterline, "stored")
    lines = {line["type"]: line for line in invoice["lines"] if line.get("meter") == "storage"}
    drawn = -Decimal(lines["credits_applied"]["unit_amount"])
    overage = Decimal(lines["overage"]["unit_amount"])
    assert drawn + overage == Decimal(lines["usage"]["unit_amount"]) == 75
    assert int(drawn * 10**9) == units(50) * 2678398 // 2678400  # March less two seconds
    assert lines["overage"]["amount"] == "1.25"
    assert lines["overage"]["unit_value"] == "0.05"


def test_killed_at_any_write_a_run_is_finished_by_the_next(meterline: Stack) -> None:
    client = meterline.runtime.dynamodb
    run = meterline.runtime.billing_run
    start(meterline, "whole")
    drained(meterline, "whole", APRIL + HOUR)
    with counted(client) as sent:
        run.bill("whole", APRIL + HOUR)
    writes = len([operation for operation in sent if operation in WRITES])
    assert writes >= 3  # opening, closing, breakage
    [wanted] = invoices(meterline, "whole")
    for index in range(writes):
        for committed in (False, True):
            customer = f"killed{index}{committed}"
            start(meterline, customer)
            drained(meterline, customer, APRIL + HOUR)
            with killed_at_write(client, index, committed=committed):
                run.bill(customer, APRIL + HOUR)
            run.bill(customer, APRIL + HOUR)
            [invoice] = invoices(meterline, customer)
            assert invoice["lines"] == wanted["lines"]
            account = meterline.runtime.store.account(customer)
            reference = meterline.runtime.store.account("whole")
            assert account is not None
            assert reference is not None
            assert (account.phases, account.grants) == (reference.phases, reference.grants)
    numbers = numbers_of(meterline)
    assert numbers == list(range(1, len(numbers) + 1))
