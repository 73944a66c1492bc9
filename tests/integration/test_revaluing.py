"""Corrections of what maxima, latest and distinct values are told from, on a real engine."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from cli.__main__ import main
from cli.client import Client
from functions import api
from local.emulator import Aws
from shared.domain.accounts import Account
from shared.domain.catalogue import Meter
from shared.domain.corrections import correct
from shared.domain.credits import Grant
from shared.domain.errors import UnavailableError
from shared.domain.events import Correction, UsageEvent, Value
from shared.domain.granting import add_grant
from shared.services import aggregate
from shared.services.changes import PutGrant, SaveAccount
from shared.services.reconcile import Pass
from tests.integration.conftest import Tables
from tests.integration.test_reconcile import At, Drained
from tests.integration.test_verify import InProcess
from tests.support.builders import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    PEAK,
    VISITORS,
    a_plan_with_visits,
    visit,
)
from tests.support.faults import killed_at_write
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record
from tests.unit.http.events import api_event

PEAK_CARD, VISITORS_CARD = "peak", "visitors"
LEAST = Meter("least-load", "visit", "min", "load")
LAST = Meter("last-load", "visit", "latest", "load")
UNRATED = Meter("shortest-nap", "nap", "min", "load")


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish(VISITORS, PEAK, LEAST, LAST, UNRATED)
        running.publish_defaults(a_plan_with_visits())
        running.runtime.__dict__["secret_keys"] = type(
            "Keys", (), {"key": staticmethod(lambda purpose: purpose.encode().ljust(32))}
        )
        yield running


@dataclass
class Books:
    """One customer's visits, delivered by hand, and what is kept of them."""

    meterline: Stack
    customer: str
    delivered: int = 0

    def came(self, number: int, at: datetime, who: str, load: int) -> UsageEvent:
        event = visit(self.customer, number, at, who, load)
        self.meterline.store(event)
        self.deliver(event)
        return event

    def deliver(self, *events: UsageEvent) -> Any:
        first = self.delivered + 1
        self.delivered += len(events)
        return self.redeliver(first, *events)

    def redeliver(self, first: int, *events: UsageEvent) -> Any:
        return self.meterline.apply([usage_record(e, n) for n, e in enumerate(events, first)])

    def correct(
        self, event: UsageEvent, data: Mapping[str, Value] | None
    ) -> tuple[UsageEvent, ...]:
        """Stores a correction as the service does, whatever the machine's clock says."""
        store = self.meterline.runtime.correction_store
        history = store.history(self.customer, event.key)
        assert history is not None
        now = self.meterline.runtime.clock.now()
        made = Correction(0, "reversal", "tests", max(now, MAY), event.received_at)
        entries = correct(history, data, made, now)
        store.commit(entries, ())
        return entries

    @property
    def account(self) -> Account:
        account = self.meterline.runtime.store.account(self.customer)
        assert account is not None
        return account

    def values(self, phase: int = 0) -> dict[str, Decimal]:
        """What the open phase counted."""
        cards = a_plan_with_visits().rate_cards
        totals = zip(cards, self.account.phases[phase].totals, strict=True)
        return {c.meter: t.value for c, t in totals if c.meter in (PEAK_CARD, VISITORS_CARD)}

    def kept(self, at: datetime) -> dict[str, Decimal | int]:
        """What the usage hour of each meter keeps."""
        store, found = self.meterline.runtime.store, dict[str, Decimal | int]()
        for meter in ("peak", "least-load", "last-load"):
            [hour] = store.usage_between(meter, self.customer, at, at + HOUR)
            marks = [quarter.mark.quantity for quarter in hour.quarters if quarter.mark]
            found[meter] = marks[0] if marks else -1
        seen = store.values_between("visitors", self.customer, at, at + HOUR)
        return {**found, "visitors": sum(1 for value in seen if value.quarters)}

    def bill(self, now: datetime) -> None:
        run = self.meterline.runtime.billing_run
        for moment in (APRIL + HOUR, MAY + HOUR, MAY + 31 * DAY + HOUR):
            token = f"due-{int(moment.timestamp())}"
            self.meterline.runtime.barriers.mark_passed(self.customer, token)
        run.bill(self.customer, now)

    def reconcile(self) -> Pass:
        """A pass when everything is old enough to be judged."""
        known = self.meterline.runtime.reconciler
        now = max(known.clock.now(), MAY) + 3 * DAY
        late = At(now)
        revalue = replace(self.meterline.runtime.revaluing, clock=late).revalue
        drained = replace(known, barriers=Drained(known.barriers), clock=late, revalue=revalue)
        return drained.reconcile(self.customer, again=True)


def test_what_is_left_counts_in_usage_and_account(meterline: Stack) -> None:
    books = Books(meterline, "left")
    books.came(1, MARCH, "ann", 4)
    top = books.came(2, MARCH, "bob", 9)
    books.came(3, MARCH + HOUR, "ann", 3)
    assert books.values() == {"peak": 9, "visitors": 2}
    assert books.kept(MARCH) == {"peak": 9, "least-load": 4, "last-load": 9, "visitors": 2}
    entries = books.correct(top, {"who": "cid", "load": Decimal(2)})
    for _ in range(2):
        assert books.redeliver(4, *entries)["batchItemFailures"] == []
        assert books.values() == {"peak": 4, "visitors": 2}
        assert books.kept(MARCH) == {"peak": 4, "least-load": 2, "last-load": 2, "visitors": 2}
    [cancel] = books.correct(top, None)
    books.redeliver(6, cancel)
    assert books.values() == {"peak": 4, "visitors": 1}
    assert books.kept(MARCH) == {"peak": 4, "least-load": 4, "last-load": 4, "visitors": 1}
    assert books.account.stale == {}
    rated = [t for t in books.account.current.totals if t.count == 2]
    assert [(t.amount, t.drawn + t.overage) for t in rated] == [(2 * 10**9,) * 2, (4 * 10**8,) * 2]
    books.delivered = 6
    books.came(4, MARCH + 2 * HOUR, "cid", 6)
    assert books.values() == {"peak": 6, "visitors": 2}, "a value that was gone counts again"
    assert books.reconcile() == Pass()


@pytest.mark.parametrize("committed", [False, True])
@pytest.mark.parametrize("write", range(4))
def test_killed_at_any_write_the_next_delivery_goes_on(
    meterline: Stack, write: int, committed: bool
) -> None:
    books = Books(meterline, f"killed-{write}-{committed}")
    books.came(1, MARCH, "ann", 4)
    top = books.came(2, MARCH, "bob", 9)
    [cancel] = books.correct(top, None)
    # The hours of four meters and the account; then what is left, in three hours and the account.
    with killed_at_write(meterline.runtime.dynamodb, 5 + write, committed=committed):
        books.redeliver(3, cancel)
    assert books.redeliver(3, cancel)["batchItemFailures"] == []
    assert books.values() == {"peak": 4, "visitors": 1}
    assert books.kept(MARCH) == {"peak": 4, "least-load": 4, "last-load": 4, "visitors": 1}
    assert books.reconcile() == Pass()


def test_a_reversal_that_comes_first_waits_for_its_event(
    meterline: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    books = Books(meterline, "overtaken")
    books.came(1, MARCH, "ann", 4)
    event = visit("overtaken", 2, MARCH, "bob", 9)
    meterline.store(event)
    [cancel] = books.correct(event, None)
    failed = books.redeliver(2, cancel)["batchItemFailures"]
    assert [each["itemIdentifier"] for each in failed] == ["2"], "worth waiting for"
    with pytest.raises(UnavailableError, match="to be counted first"):
        books.bill(APRIL + HOUR)
    monkeypatch.setattr(aggregate, "REVALUE_PATIENCE", -HOUR)
    assert books.redeliver(2, cancel)["batchItemFailures"] == [], "but not for ever"
    assert len(books.account.stale) == 1
    late = meterline.apply([usage_record(event, 1)], shard="shard-2")
    assert late["batchItemFailures"] == []
    assert (books.account.stale, books.values()) == ({}, {"peak": 4, "visitors": 1})
    assert books.reconcile() == Pass()


def test_a_lost_reversal_is_repaired_and_what_is_left_counted(meterline: Stack) -> None:
    books = Books(meterline, "lost")
    books.came(1, MARCH, "ann", 4)
    top = books.came(2, MARCH, "bob", 9)
    books.correct(top, None)
    result = books.reconcile()
    assert (result.repaired, result.findings) == (1, [])
    assert books.values() == {"peak": 4, "visitors": 1}
    assert books.kept(MARCH) == {"peak": 4, "least-load": 4, "last-load": 4, "visitors": 1}
    assert books.reconcile() == Pass()


def test_a_lost_reversal_that_no_rate_takes_is_counted_anew_too(meterline: Stack) -> None:
    books = Books(meterline, "naps")
    for number, load in ((1, 4), (2, 9)):
        nap = replace(visit("naps", number, MARCH, "ann", load), type="nap")
        meterline.store(nap)
        books.deliver(nap)
        if number == 1:
            books.correct(nap, None)
    result = books.reconcile()
    assert (result.repaired, result.findings) == (1, [])
    [hour] = meterline.runtime.store.usage_between("shortest-nap", "naps", MARCH, MARCH + HOUR)
    assert [quarter.mark.quantity for quarter in hour.quarters if quarter.mark] == [9]
    assert books.reconcile() == Pass()


def test_a_reversal_that_the_account_never_saw_is_counted_anew(meterline: Stack) -> None:
    books = Books(meterline, "unseen")
    naps = [
        replace(visit("unseen", number, MARCH, "ann", load), type="nap")
        for number, load in ((1, 4), (2, 9))
    ]
    for nap in naps:
        meterline.store(nap)
        books.deliver(nap)
    [cancel] = books.correct(naps[0], None)
    with killed_at_write(meterline.runtime.dynamodb, 1, committed=False):
        books.deliver(cancel)  # The hour has it; then the stream loses it.
    books.came(3, MARCH + HOUR, "ann", 1)
    assert books.reconcile().findings == []
    [hour] = meterline.runtime.store.usage_between("shortest-nap", "unseen", MARCH, MARCH + HOUR)
    assert [quarter.mark.quantity for quarter in hour.quarters if quarter.mark] == [9]
    assert books.reconcile() == Pass()


def test_an_event_repaired_after_its_reversal_brings_nothing_back(meterline: Stack) -> None:
    books = Books(meterline, "after")
    books.came(1, MARCH, "ann", 4)
    top = visit("after", 2, MARCH, "bob", 9)
    meterline.store(top)
    with killed_at_write(meterline.runtime.dynamodb, 4, committed=False):
        books.deliver(top)  # The hours have it, the account does not; then the stream loses it.
    books.deliver(*books.correct(top, None))
    result = books.reconcile()
    assert (result.repaired, result.findings) == (1, [])
    assert books.values() == {"peak": 4, "visitors": 1}
    assert books.kept(MARCH) == {"peak": 4, "least-load": 4, "last-load": 4, "visitors": 1}
    assert books.reconcile() == Pass()


def test_what_an_event_repaired_after_its_reversal_drew_goes_back_to_its_grant(
    meterline: Stack,
) -> None:
    books = Books(meterline, "drew")
    books.came(1, MARCH, "ann", 4)
    store, before = meterline.runtime.store, books.account
    terms = ("drew", "USD", 100 * 10**9, "promotion", MARCH)
    grant = Grant("gr_drew", *terms, created_at=MARCH)
    after = add_grant(before, grant, MARCH, meterline.runtime.catalogue.newest())
    store.commit([PutGrant(grant), SaveAccount(after, before.version)])
    top = visit("drew", 2, MARCH, "bob", 9)
    meterline.store(top)
    with killed_at_write(meterline.runtime.dynamodb, 4, committed=False):
        books.deliver(top)
    books.deliver(*books.correct(top, None))
    books.reconcile()
    assert books.values() == {"peak": 4, "visitors": 1}
    # Overage goes first: of what both drew, the price of what is left stays drawn.
    rated = [t for t in books.account.current.totals if t.value]
    assert [(t.drawn, t.overage) for t in rated] == [(2 * 10**9, 0), (4 * 10**8, 0)]
    assert books.account.grants["USD"]["gr_drew"] == 100 * 10**9 - sum(t.drawn for t in rated)


def test_a_quarter_that_must_wait_holds_up_no_other(meterline: Stack) -> None:
    books = Books(meterline, "waits")
    early = visit("waits", 1, MARCH, "ann", 20)
    meterline.store(early)
    books.deliver(*books.correct(early, None))  # The event itself is still on its way.
    books.came(2, MARCH + HOUR, "bob", 4)
    books.deliver(*books.correct(books.came(3, MARCH + HOUR, "cid", 9), None))
    assert books.values()["peak"] == 4
    assert list(books.account.stale) == [MARCH]
    books.deliver(early)
    assert books.values()["peak"] == 4
    assert not books.account.stale


@pytest.fixture(scope="module")
def billed(meterline: Stack) -> list[str]:
    """The ids of two invoices: one with a correction in its period, one with a late one."""
    books = Books(meterline, "billed")
    books.came(1, MARCH, "ann", 4)
    top = books.came(2, MARCH + DAY, "bob", 9)
    third = books.came(3, MARCH + 2 * DAY, "cid", 7)
    books.deliver(*books.correct(top, {"who": "ann", "load": Decimal(8)}))
    books.bill(APRIL + HOUR)
    books.deliver(
        *books.correct(top, None), *books.correct(third, {"who": "c", "load": Decimal(5)})
    )
    books.bill(MAY + HOUR)
    documents = reversed(meterline.runtime.store.invoices("billed", 100, None).items)
    return [str(d["id"]) for d in documents if d["kind"] == "period"]


def test_a_closed_period_credits_the_difference_on_the_next_invoice(
    meterline: Stack, billed: list[str]
) -> None:
    found = []
    for number, invoice in enumerate(billed, 1):
        document = meterline.runtime.store.invoice(invoice)
        assert document is not None
        for line in json.loads(json.dumps(document))["lines"]:
            if line["type"] != "usage" or line["meter"] not in ("peak", "visitors"):
                continue
            path = f"/v1/invoices/{invoice}/lines/{line['n']}/events"
            answer = api.handler(api_event("GET", path, scopes="read"), None)
            assert json.loads(answer["body"])["state"] == "proven", line
            events = line["events"]["count"]
            found.append((number, line["meter"], events, line["quantity"], line["amount"]))
    assert sorted(found) == [
        (1, "peak", 3, "8", "0.80"),
        (1, "visitors", 3, "2", "4.00"),
        (2, "peak", -1, "-3", "-0.30"),
        (2, "visitors", -1, "0", "0.00"),
    ]


def test_invoices_with_corrections_are_verified_offline(
    billed: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Client, "from_environment", lambda: InProcess("http://here", "key"))
    for invoice in billed:
        files = tmp_path / "invoice.json", tmp_path / "events.ndjson"
        commands = ["invoice", "export", invoice], ["events", "export", "--invoice", invoice]
        for file, command in zip(files, commands, strict=True):
            capsys.readouterr()
            assert main(command) == 0
            file.write_text(capsys.readouterr().out)
        verify = ["verify", *map(str, files)]
        assert main(verify) == 0
        lines = [json.loads(line) for line in files[1].read_text().splitlines()]
        tampered = [
            [{**each, "corrections": []} for each in lines],
            [
                {**e, "corrections": [{**c, "data": {"who": "ann", "load": 1}} for c in own]}
                if (own := e["corrections"]) and not own[0]["cancel"]
                else e
                for e in lines
            ],
        ]
        for wrong in tampered:
            files[1].write_text("\n".join(map(json.dumps, wrong)))
            capsys.readouterr()
            assert main(verify) == 1
            assert capsys.readouterr().out.startswith("NOT EQUAL")
