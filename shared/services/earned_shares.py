"""What customers earn by the usage of others: accruing closed days, releasing and paying.

A change of usage marks its day. Once the day is over on the customer's clock, it is counted from
its usage hours and compared with what was accrued of it: doing that again changes nothing.
"""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial

from shared.domain.customers import Customer
from shared.domain.days import DAY, days_touched, floor_day
from shared.domain.earned_shares import (
    Accrual,
    Earnings,
    Payout,
    accrue,
    attributed,
    payable,
    payout_grant,
)
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import (
    ConflictError,
    MeterlineError,
    UnavailableError,
    VersionConflictError,
)
from shared.domain.events import canonical_json
from shared.domain.money import MINOR_PLACES
from shared.domain.rewards import DAY_KEY
from shared.services.changes import Change, SaveRecord
from shared.services.ingest import MAX_LATENESS
from shared.services.recount_span import recount_span
from shared.services.rewards import first_not_voided, grant_changes
from shared.services.share_store import Mark, ShareStore
from shared.services.standing import Books

MAX_ATTEMPTS = 12
MAX_NAME_BYTES = 900  # as of a customer's key
ACTOR = "earnings"


@dataclass(slots=True)
class Settled:
    """What a run came to. `nobody`: days with usage that no beneficiary can be told of.

    `later` is left for a later run: days that are not over, and what there was no time for.
    """

    accrued: int = 0
    paid: int = 0
    nobody: int = 0
    unclaimed: int = 0
    waiting: int = 0
    failed: int = 0
    later: int = 0


@dataclass(frozen=True, slots=True)
class EarnedShares:
    """Accrues, releases and pays what customers earn; `settle` is safe to repeat."""

    books: Books
    records: ShareStore

    def changed(self, customer: str, meter: str, hours: Mapping[datetime, str]) -> None:
        """Marks the days of usage that changed, by what named the change."""
        rules = self.books.catalogue.newest().earning_rules.values()
        for rule in rules:
            if rule.meter == meter:
                lasting = {hour: token for hour, token in hours.items() if hour < rule.until}
                days = {hour.strftime(DAY_KEY): token for hour, token in lasting.items()}
                for day, token in days.items():
                    self.records.mark(Mark(customer, rule.key, day, token))

    def settle(self, out_of_time: Callable[[], bool]) -> Settled:
        """Accrues every closed day that changed, then releases and pays what is due.

        What fails is counted, and done by the next run, as is what there was no time for.
        """
        done = Settled()
        accruals = [partial(self._accrue, mark, done) for mark in self.records.marks()]
        self._run(accruals, done, out_of_time)
        releases = [partial(self._release, held, done) for held in self.records.holding()]
        self._run(releases, done, out_of_time)
        return done

    def settle_clock(
        self, clock_id: str, since: datetime, out_of_time: Callable[[], bool]
    ) -> Settled:
        """The same for a test clock that stood at `since`: a day accrues at the time it was over.

        Usage hours tell which days there are, as marks may not be there yet. What fails, and what
        there is no time for, is left to `settle`.
        """
        done = Settled()
        now, members = self.books.store.clock(clock_id), self.books.store.clock_members(clock_id)
        if now is None:
            return done
        passed = (since, now)
        rules = self.books.catalogue.newest().earning_rules.values()
        accruals = [
            partial(self._accrue_passed, rule, key, passed, done)
            for rule in rules
            for key in members
        ]
        self._run(accruals, done, out_of_time)
        earnings = [held for key in members for held in self.records.all_earnings(key)]
        self._run([partial(self._release, held, done) for held in earnings], done, out_of_time)
        return done

    def recount(
        self,
        key: str,
        start: datetime | None,
        end: datetime | None,
        out_of_time: Callable[[], bool],
    ) -> Settled:
        """Counts the days anew that [start, end) touches of a customer's usage, under every rule.

        What differs from what was accrued is posted: safe to repeat. Days that are not over, and
        those that there is no time for, are marked for `settle`. See recount_span for what None
        stands for.

        Raises: NotFoundError, InvalidError, UnavailableError.
        """
        customer = self.books.customer(key)
        now = self.books.now(customer)
        first, last = recount_span(now, start, end)
        done = Settled()
        for rule in self.books.catalogue.newest().earning_rules.values():
            for day in days_touched(first, last):
                if out_of_time() or not self._accrue_day(rule, customer, day, now, done):
                    token = "recount-" + secrets.token_hex(8)
                    self.records.mark(Mark(key, rule.key, day.strftime(DAY_KEY), token))
                    done.later += 1
        return done

    def _run(
        self, steps: Sequence[Callable[[], None]], done: Settled, out_of_time: Callable[[], bool]
    ) -> None:
        for number, step in enumerate(steps):
            if out_of_time():
                done.later += len(steps) - number
                return
            try:
                step()
            except MeterlineError:
                done.failed += 1

    def _accrue(self, mark: Mark, done: Settled) -> None:
        rule = self.books.catalogue.newest().earning_rules.get(mark.rule)
        customer = self.books.store.customer(mark.customer)
        start = datetime.fromisoformat(mark.day).replace(tzinfo=UTC)
        if rule and customer:
            now = self.books.now(customer)
            if not self._accrue_day(rule, customer, start, now, done):
                done.later += 1
                return
        self.records.unmark(mark)

    def _accrue_passed(
        self, rule: EarningRule, key: str, passed: tuple[datetime, datetime], done: Settled
    ) -> None:
        """Accrues the days with usage that were over between two times of a customer's clock.

        Those before are counted anew, as late as their usage may still come or be corrected.
        """
        since, now = passed
        customer, lasts = self.books.customer(key), DAY + self.books.grace
        first = floor_day(since - lasts - MAX_LATENESS)
        hours = self.books.store.usage_between(rule.meter, key, first, now)
        for day in sorted({floor_day(hour.key.hour) for hour in hours}):
            if day + lasts <= now:
                self._accrue_day(rule, customer, day, max(since, day + lasts), done)

    def _accrue_day(
        self, rule: EarningRule, customer: Customer, start: datetime, now: datetime, done: Settled
    ) -> bool:
        """Posts what a count of the day differs by from what was accrued; False: it is not over."""
        on_test_clock = customer.test_clock is not None
        if on_test_clock and rule.archived_at is not None:
            # When that was, only the machine's clock tells: what was accrued until then stays.
            return True
        if now < start + DAY + self.books.grace:
            return False
        hours = self.books.store.usage_between(rule.meter, customer.key, start, start + DAY)
        found = attributed(rule, hours, rule.since(on_test_clock=on_test_clock))
        day = start.strftime(DAY_KEY)
        known = self.records.accruals(customer.key, rule.key, day)
        lost = found.nobody != 0
        for name in sorted({*found.by_beneficiary, *known}):
            if not self._may_earn(customer, name):
                lost = True
                continue
            quantity = found.by_beneficiary.get(name, Decimal(0))
            before = Accrual(customer.key, rule.key, day, name)
            done.accrued += self._post(rule, known.get(name, before), quantity, now)
        done.nobody += lost
        return True

    def _may_earn(self, source: Customer, name: str) -> bool:
        """Whether both live by the same clock: trials on test clocks earn nobody real money."""
        if len(name.encode()) > MAX_NAME_BYTES:
            return False
        beneficiary = self.books.store.customer(name)
        if beneficiary is None:
            return source.test_clock is None
        return beneficiary.test_clock == source.test_clock

    def _post(self, rule: EarningRule, before: Accrual, quantity: Decimal, now: datetime) -> int:
        """Posts what a recount differs by, if it does; how many entries that made."""
        accrued = accrue(rule, before, quantity, now)
        if accrued is None:
            return 0
        after, entry = accrued
        for _ in range(MAX_ATTEMPTS):
            stored = self.records.earnings(entry.beneficiary, rule.key)
            held = stored or Earnings(entry.beneficiary, rule.key, rule.unit)
            changes: list[Change] = [
                SaveRecord(after, before.version),
                SaveRecord(entry, 0),
                SaveRecord(held.with_entry(entry), held.version),
            ]
            try:
                self.books.store.commit(changes)
            except VersionConflictError:
                continue
            return 1
        raise UnavailableError("lost too many races")

    def _release(self, listed: Earnings, done: Settled) -> None:
        """Releases what is no longer held, and pays what is due of it then."""
        earnings = self.records.earnings(listed.beneficiary, listed.rule)
        customer = self.books.store.customer(listed.beneficiary)
        rule = self.books.catalogue.newest().earning_rules.get(listed.rule)
        if earnings is None or rule is None:
            return
        if customer is None:
            done.unclaimed += 1
            return
        now = self.books.now(customer)
        after = earnings.released(now.strftime(DAY_KEY))
        nanos = payable(after.due, self._places(rule.unit))
        if after == earnings and not nanos:
            return
        paid: list[Change] = []
        if nanos:
            try:
                paid = self._pay(rule, earnings, nanos, now)
            except VersionConflictError:
                raise
            except ConflictError:
                # So many grants are open that it waits, as it was held, for another run.
                done.waiting += 1
                return
            after = replace(
                after, due=after.due - nanos, paid=after.paid + nanos, payouts=after.payouts + 1
            )
        self.books.store.commit([SaveRecord(after, earnings.version), *paid])
        done.paid += bool(paid)

    def _places(self, unit: str) -> int:
        credit_unit = self.books.catalogue.newest().units.get(unit)
        return credit_unit.decimals if credit_unit else MINOR_PLACES[unit]

    def _pay(
        self, rule: EarningRule, earnings: Earnings, nanos: int, now: datetime
    ) -> list[Change]:
        identity = canonical_json([earnings.beneficiary, rule.key, earnings.payouts + 1])
        payout = Payout(
            id="po_" + hashlib.sha256(identity.encode()).hexdigest()[:24],
            beneficiary=earnings.beneficiary,
            rule=rule.key,
            unit=rule.unit,
            nanos=nanos,
            payable=rule.payable,
            status="due",
            at=now,
        )
        if rule.payable == "transfer":
            return [SaveRecord(payout, 0)]
        before = self.books.open_standing(earnings.beneficiary)
        numbered = partial(payout_grant, rule, earnings.beneficiary, nanos, before.now)
        grant, stored = first_not_voided(self.books, numbered)
        cause = {"earning_rule": rule.key, "payout": payout.id}
        granted = grant_changes(self.books, before, stored, grant, cause, actor=ACTOR)
        done = replace(payout, status="paid", grant=grant.id, paid_at=now)
        return [SaveRecord(done, 0), *granted]
