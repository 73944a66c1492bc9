"""What is kept of rewards and earnings, on the memory and on the real stores."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from shared.adapters.dynamodb.billing_store import DynamoBillingStore
from shared.adapters.dynamodb.earned_shares import DynamoShareStore
from shared.adapters.dynamodb.rewards import DynamoRewardStore
from shared.domain.earned_shares import Accrual, EarningEntry, Earnings, Payout
from shared.domain.errors import VersionConflictError
from shared.domain.rewards import RewardDay, RewardProgress
from shared.services.changes import Record, SaveRecord
from shared.services.rewards import RewardStore
from shared.services.share_store import Mark, ShareStore
from tests.contract.conftest import Engine
from tests.fakes.billing_store import MemoryBillingStore
from tests.fakes.rewards import MemoryRewardStore
from tests.fakes.shares import MemoryShareStore
from tests.support.builders import DAY, MARCH


def stores(engine: Engine) -> tuple[RewardStore, ShareStore]:
    """Both stores over the engine's billing table."""
    billing = engine.billing
    if isinstance(billing, MemoryBillingStore):
        return MemoryRewardStore(billing), MemoryShareStore(billing)
    assert isinstance(billing, DynamoBillingStore)
    at = (billing._client, billing._table)
    return DynamoRewardStore(*at), DynamoShareStore(*at)


def save(engine: Engine, *records: Record) -> None:
    engine.billing.commit([SaveRecord(record, 0) for record in records])


def entry(beneficiary: str, number: int, source: str = "fan") -> EarningEntry:
    at = MARCH + number * DAY
    numbers = (number, Decimal("1.5"), 10**8)
    return EarningEntry(
        beneficiary, "owners", source, "2026-03-01", *numbers, "sparks", "2026-03-15", at
    )


def test_progress_and_days_come_back_as_they_were_saved(engine: Engine) -> None:
    rewards, _ = stores(engine)
    customer, other = engine.customer(), engine.customer()
    progress = RewardProgress(customer, "five", MARCH, {"2026-03": Decimal("12.5")}, given=10**9)
    days = [RewardDay(customer, "five", f"2026-03-0{n}", {"07": Decimal(n)}) for n in (1, 2)]
    another = RewardProgress(customer, "ten", MARCH)
    save(engine, progress, *days, another, RewardProgress(other, "five", MARCH))
    stored = replace(progress, version=1)
    assert rewards.progress(customer, "five") == stored
    assert rewards.progress(customer, "none") is None
    assert list(rewards.all_progress(customer)) == [stored, replace(another, version=1)]
    asked = ["2026-03-02", "2026-03-03"]
    assert rewards.days(customer, "five", asked) == {"2026-03-02": replace(days[1], version=1)}
    assert rewards.days(other, "five", asked) == {}


def test_a_record_is_saved_over_the_version_that_was_read_only(engine: Engine) -> None:
    rewards, _ = stores(engine)
    progress = RewardProgress(engine.customer(), "five", MARCH)
    save(engine, progress)
    more = replace(progress, given=5)
    for stale in (0, 2):
        with pytest.raises(VersionConflictError):
            engine.billing.commit([SaveRecord(more, stale)])
    engine.billing.commit([SaveRecord(more, 1)])
    assert rewards.progress(progress.customer, "five") == replace(more, version=2)


def test_a_mark_is_taken_away_only_if_the_day_did_not_change_again(engine: Engine) -> None:
    _, shares = stores(engine)
    customer = engine.customer()
    later, first = (Mark(customer, "owners", day, "1") for day in ("2026-03-02", "2026-03-01"))
    for mark in (later, first):
        shares.mark(mark)
    again = replace(first, token="2")
    shares.mark(again)
    shares.unmark(first)
    assert mine(shares, customer) == [again, later]
    shares.unmark(again)
    shares.unmark(again)
    assert mine(shares, customer) == [later]


def mine(shares: ShareStore, customer: str) -> list[Mark]:
    return [mark for mark in shares.marks() if mark.customer == customer]


def test_accruals_are_those_of_one_day_by_beneficiary(engine: Engine) -> None:
    _, shares = stores(engine)
    customer = engine.customer()
    day = "2026-03-01"
    found = [Accrual(customer, "owners", day, name, Decimal(2), 3) for name in ("a#b", "c")]
    save(engine, *found, Accrual(customer, "owners", "2026-03-02", "c"))
    save(engine, Accrual(customer, "others", day, "d"))
    stored = {accrual.beneficiary: replace(accrual, version=1) for accrual in found}
    assert shares.accruals(customer, "owners", day) == stored


def test_earnings_that_hold_something_are_listed_by_when_it_is_released(engine: Engine) -> None:
    _, shares = stores(engine)
    early, late, done = (engine.customer() for _ in range(3))
    save(
        engine,
        Earnings(late, "owners", "sparks", {"2026-03-20": 1, "2026-03-25": 2}, due=-4),
        Earnings(early, "owners", "sparks", {"2026-03-19": 1}, paid=7, payouts=1),
        Earnings(done, "owners", "sparks", due=3),
        Earnings(done, "more", "USD"),
    )
    listed = [e.beneficiary for e in shares.holding() if e.beneficiary in (early, late, done)]
    assert listed == [early, late]
    found = shares.earnings(late, "owners")
    assert found is not None
    assert (found.held, found.due, found.version) == ({"2026-03-20": 1, "2026-03-25": 2}, -4, 1)
    assert shares.earnings(late, "more") is None
    assert [e.rule for e in shares.all_earnings(done)] == ["more", "owners"]


def test_entries_come_newest_first_page_by_page(engine: Engine) -> None:
    _, shares = stores(engine)
    owner = engine.customer()
    entries = [entry(owner, number) for number in (1, 2, 3)]
    save(engine, *entries, entry(engine.customer(), 9))
    first = shares.entries(owner, 2, None)
    assert first.items == (entries[2], entries[1])
    second = shares.entries(owner, 2, first.cursor)
    assert second.items == (entries[0],)
    assert second.cursor is None or shares.entries(owner, 2, second.cursor).items == ()


def test_payouts_come_back_with_what_was_noted_of_them(engine: Engine) -> None:
    _, shares = stores(engine)
    owner = engine.customer()
    due = Payout("po_1", owner, "owners", "USD", 9 * 10**7, "transfer", "due", MARCH)
    save(
        engine, due, Payout("po_1", engine.customer(), "owners", "USD", 1, "credits", "paid", MARCH)
    )
    paid = replace(due, status="paid", reference="tr_1", paid_at=MARCH + timedelta(hours=1))
    engine.billing.commit([SaveRecord(paid, 1)])
    assert list(shares.payouts(owner)) == [replace(paid, version=2)]
