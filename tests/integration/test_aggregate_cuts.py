"""Aggregation killed between any two of its writes, delivered again, cut anew: exact in the end."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from local.emulator import Aws
from local.streams.model import Event
from shared.domain.accounts import Account
from shared.domain.catalogue import Catalogue
from shared.domain.events import UsageEvent, measure
from shared.services.billing_run import due_token
from tests.integration.conftest import Tables
from tests.support.books import Books, a_record
from tests.support.builders import (
    APRIL,
    DAY,
    HOUR,
    MARCH,
    MAY,
    PEAK,
    VISITORS,
    a_plan_with_visits,
    usage,
    visit,
)
from tests.support.faults import WRITES, counted, killed_at_write, replies_lost
from tests.support.stack import Stack, stack
from tests.support.streams import usage_record

LATE = MARCH + 3 * DAY
CLOSED_AT = APRIL + HOUR
runs = itertools.count()


@pytest.fixture(scope="module")
def meterline(aws: Aws, tables: Tables) -> Iterator[Stack]:
    with stack(aws, tables.events_table, tables.billing_table) as running:
        running.publish(VISITORS, PEAK)
        running.publish_defaults(a_plan_with_visits())
        yield running


@pytest.fixture(scope="module")
def catalogue(meterline: Stack) -> Catalogue:
    return meterline.runtime.catalogue.newest()


@dataclass
class Scenario:
    """One batch for three customers.

    `new` is first seen in it; `old` has a closed period, gets a late event, crosses into a period
    that is not open yet, and sends one record that cannot be read; `busy` uses two meters in
    several hours under several dimension values. All of them have visits: some of the visitors
    come again, within the batch or since before it, and one comes late.
    """

    meterline: Stack
    catalogue: Catalogue

    def __post_init__(self) -> None:
        run = next(runs)
        self.new, self.old, self.busy = (f"{name}{run}" for name in ("new", "old", "busy"))
        self._settle(usage(self.old, "first", MARCH))
        self._settle(usage(self.busy, "first", MARCH))
        self._settle(self.regular())
        self._close(self.old)
        self.records = [usage_record(e, n) for n, e in enumerate(self.events(), start=10)]
        self.corrupt = self.records[4]
        self.corrupt["dynamodb"]["NewImage"]["data"]["S"] = "{not JSON"

    def regular(self) -> UsageEvent:
        """Who has been there before the batch."""
        return visit(self.old, "regular", MARCH, "ann", 5)

    def before(self, customer: str) -> list[UsageEvent]:
        """What was settled before the batch."""
        if customer == self.new:
            return []
        regular = [self.regular()] if customer == self.old else []
        return [usage(customer, "first", MARCH), *regular]

    def events(self) -> list[UsageEvent]:
        large = {"tokens": Decimal("12.5"), "model": "large"}
        return [
            usage(self.new, 1, MARCH + HOUR),
            usage(self.old, 2, APRIL + DAY),
            usage(self.busy, 3, MARCH + HOUR, large),
            usage(self.old, 4, LATE),
            usage(self.old, 5, APRIL + DAY),
            usage(self.busy, 6, MARCH + HOUR),
            usage(self.busy, 7, MARCH + 2 * HOUR, {"gb": Decimal("0.5")}, type="disk"),
            usage(self.old, 8, MAY),
            usage(self.new, 9, MARCH + HOUR, large),
            usage(self.old, 10, MAY + HOUR, large),
            usage(self.old, 11, LATE, large),
            visit(self.busy, 12, MARCH + HOUR, "ann", 3),
            visit(self.busy, 13, MARCH + 2 * HOUR, "bob", 9),
            visit(self.old, 14, LATE, "ann", 4),
            visit(self.new, 15, MARCH + HOUR, "ann", 2),
            visit(self.busy, 16, MARCH + HOUR, "bob", 4),
            visit(self.old, 17, APRIL + DAY, "ann", 1),
            visit(self.busy, 18, MARCH + HOUR, "ann", 8),
            visit(self.old, 19, LATE, "bob", 7),
        ]

    def readable(self) -> list[UsageEvent]:
        return [event for event in self.events() if event.id != "5"]

    @property
    def customers(self) -> tuple[str, str, str]:
        return self.new, self.old, self.busy

    def check(self) -> None:
        """Everything stored is what an undisturbed book-keeper has."""
        for customer in self.customers:
            account = self.meterline.runtime.store.account(customer)
            assert account is not None
            assert comparable(account) == comparable(self.expected(customer).account), customer
            assert self.hours(customer) == self.expected_hours(customer), customer
            assert self.visitors(customer) == self.expected_visitors(customer), customer
        [kept] = [
            record
            for record in self.meterline.runtime.store.quarantine(1000, None).items
            if record.customer == self.old
        ]
        assert (kept.reason, kept.not_applied) == ("unreadable", ("account", "usage:*"))

    def check_ledger(self) -> None:
        for customer in self.customers:
            entries = self.meterline.ledger(customer)
            assert entries[0].from_version == 0
            held: dict[str, dict[str, int]] = {}
            for before, entry in itertools.pairwise([None, *entries]):
                assert entry is not None
                assert before is None or before.to_version == entry.from_version
                for unit, changes in entry.changes.items():
                    for grant, nanos in changes.items():
                        left = held.setdefault(unit, {})
                        left[grant] = left.get(grant, 0) + nanos
                open_ = {u: {g: n for g, n in left.items() if n} for u, left in held.items()}
                assert {u: left for u, left in open_.items() if left} == entry.remaining
            account = self.meterline.runtime.store.account(customer)
            assert account is not None
            assert entries[-1].to_version == account.version
            assert entries[-1].remaining == account.grants

    def expected(self, customer: str) -> Books:
        mine = [event for event in self.readable() if event.customer == customer]
        began = mine[0].received_at if customer == self.new else MARCH + timedelta(seconds=2)
        books = Books.open(self.catalogue, began)
        for number, event in enumerate(self.before(customer), start=1):
            books.apply([a_record(event, number, self.catalogue)])
        if customer == self.old:
            books.open_next()
            books.close(CLOSED_AT)
            books.break_expired(CLOSED_AT)
        for number, event in enumerate(mine, start=10):
            books.apply([a_record(event, number, self.catalogue)])
        return books

    def hours(self, customer: str) -> dict[tuple[str, datetime, int, str], tuple[Any, ...]]:
        store = self.meterline.runtime.store
        return {
            (meter, hour.key.hour, index, str(hour.key.dimensions)): (q.count, q.value, q.checksum)
            for meter in self.catalogue.meters
            for hour in store.usage_between(meter, customer, MARCH - DAY, MAY + DAY)
            for index, q in enumerate(hour.quarters)
            if q.count
        }

    def expected_hours(self, customer: str) -> dict[tuple[str, datetime, int, str], Any]:
        tally: dict[tuple[str, datetime, int, str], Any] = {}
        mine = (event for event in self.readable() if event.customer == customer)
        for event in [*self.before(customer), *mine]:
            for meter in self.catalogue.meters_of(event.type, 5):
                found = measure(event, meter)
                assert found is not None
                names = str(tuple(sorted(found.dimensions.items())))
                key = (meter.key, event.occurred_at.replace(minute=0, second=0), 0, names)
                count, value, checksum = tally.get(key, (0, Decimal(0), 0))
                tally[key] = (
                    count + 1,
                    value + found.quantity,
                    (checksum + found.checksum) % 2**64,
                )
        return tally

    def visitors(self, customer: str) -> dict[datetime, list[frozenset[int]]]:
        """The quarters of the day that each of a day's visitors was seen in."""
        seen: dict[datetime, list[frozenset[int]]] = {}
        store = self.meterline.runtime.store
        for value in store.values_between("visitors", customer, MARCH - DAY, MAY + DAY):
            seen.setdefault(value.key.day, []).append(value.quarters)
        return {day: sorted(quarters, key=sorted) for day, quarters in seen.items()}

    def expected_visitors(self, customer: str) -> dict[datetime, list[frozenset[int]]]:
        seen: dict[datetime, dict[object, set[int]]] = {}
        for event in [*self.before(customer), *self.readable()]:
            if event.type == "visit" and event.customer == customer:
                day = event.occurred_at.replace(hour=0)
                quarters = seen.setdefault(day, {}).setdefault(event.data["who"], set())
                quarters.add(event.occurred_at.hour * 4)
        return {
            day: sorted((frozenset(quarters) for quarters in values.values()), key=sorted)
            for day, values in seen.items()
        }

    def _settle(self, event: UsageEvent) -> None:
        number = 2 if event.id == "regular" else 1
        assert self.meterline.apply([usage_record(event, number)])["batchItemFailures"] == []

    def _close(self, customer: str) -> None:
        self.meterline.runtime.barriers.mark_passed(customer, due_token(CLOSED_AT))
        steps = self.meterline.runtime.billing_run.bill(customer, CLOSED_AT)
        assert steps == ["opened", "closed", "broke"]


def comparable(account: Account) -> Account:
    """The account without what tells of its writing, not of its usage."""
    return Account("", phases=account.phases, late=account.late, grants=account.grants)


# A new customer; the quarantine; hour items of new (3), old (9) and busy (4); the account of new
# and busy once, of old before, at and after its opening.
PLANNED_WRITES = 1 + 1 + 3 + 9 + 4 + 1 + 1 + 3


@pytest.fixture
def scenario(meterline: Stack, catalogue: Catalogue) -> Callable[[], Scenario]:
    return lambda: Scenario(meterline, catalogue)


def whole(records: Sequence[Event]) -> list[Sequence[Event]]:
    return [records]


def halves(records: Sequence[Event]) -> list[Sequence[Event]]:
    middle = len(records) // 2
    return [records[:middle], records[middle:]]


def overlapping(records: Sequence[Event]) -> list[Sequence[Event]]:
    return [records[:4], records[2:9], records[:1], records[5:]]


def one_by_one(records: Sequence[Event]) -> list[Sequence[Event]]:
    return [records[n : n + 1] for n in range(len(records))]


def test_killed_at_any_write_and_delivered_again_it_is_exact(
    meterline: Stack, scenario: Callable[[], Scenario]
) -> None:
    client = meterline.runtime.dynamodb
    undisturbed = scenario()
    # What the events look like is noted once, so it must not be among the writes that are counted.
    meterline.runtime.event_types.note(undisturbed.readable())
    with counted(client) as sent:
        meterline.apply(undisturbed.records)
    undisturbed.check()
    writes = [operation for operation in sent if operation in WRITES]
    assert len(writes) >= PLANNED_WRITES, writes
    scenarios = [undisturbed]
    regroupings = itertools.cycle([whole, halves, whole, overlapping])
    for index, committed in itertools.product(range(len(writes)), (False, True)):
        case = scenario()
        with killed_at_write(client, index, committed=committed):
            meterline.apply(case.records)
        for records in next(regroupings)(case.records):
            answer = meterline.apply(list(records))
            assert answer == {"state": {"kept": 1}, "batchItemFailures": []}
        case.check()
        scenarios.append(case)
    meterline.pump().run()
    for case in scenarios:
        case.check_ledger()


@pytest.mark.parametrize("regroup", [halves, overlapping, one_by_one])
def test_grouping_and_repetition_do_not_matter(
    meterline: Stack, scenario: Callable[[], Scenario], regroup: Callable[..., Any]
) -> None:
    case = scenario()
    for _ in range(2):
        for records in regroup(case.records):
            assert meterline.apply(list(records))["batchItemFailures"] == []
    case.check()


@pytest.mark.parametrize("every", [2, 3])
def test_lost_replies_and_the_clients_own_retries_count_nothing_twice(
    meterline: Stack,
    scenario: Callable[[], Scenario],
    every: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = scenario()
    monkeypatch.setattr("time.sleep", lambda _: None)
    with replies_lost(meterline.runtime.dynamodb, lambda n: n % every == 0) as lost:
        for _ in range(8):
            if not meterline.apply(case.records)["batchItemFailures"]:
                break
    assert lost
    meterline.apply(case.records)
    case.check()
