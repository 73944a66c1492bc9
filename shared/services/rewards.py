"""Rewards: counting usage towards them, giving them, and telling how far a customer is.

Usage hours are read anew whenever one of them has changed, and compared with what was counted
before. So it does not matter how often, in which order or how late that is heard of: what is given
is what all usage comes to.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Protocol

from shared.domain.credits import Grant
from shared.domain.customers import Customer
from shared.domain.errors import ConflictError, UnavailableError, VersionConflictError
from shared.domain.granting import add_grant, enlarge_grant
from shared.domain.reward_rules import RewardRule
from shared.domain.rewards import (
    DAY_KEY,
    MONTH_KEY,
    RewardDay,
    RewardProgress,
    counted_in,
    recounted,
    reward_grant,
)
from shared.domain.usage_hours import UsageHour, floor_hour
from shared.services.changes import Change, PutAudit, PutGrant, SaveRecord
from shared.services.recount_span import recount_span
from shared.services.standing import Books, Standing

HOUR = timedelta(hours=1)
Span = tuple[datetime, datetime]  # the hours that begin from the first on and before the second
MAX_ATTEMPTS = 12
# Each may be of a day of its own, whose record takes a place of the transaction's hundred.
HOURS_TOGETHER = 60
ACTOR = "rewards"


class RewardStore(Protocol):
    """What is kept of rewards beside the account. Reads are consistent."""

    def progress(self, customer: str, rule: str) -> RewardProgress | None:
        """How far the customer is under the rule."""

    def all_progress(self, customer: str) -> Sequence[RewardProgress]:
        """The same under every rule that counted anything."""

    def days(self, customer: str, rule: str, days: Iterable[str]) -> Mapping[str, RewardDay]:
        """Those of the days of which anything was counted."""


@dataclass(frozen=True, slots=True)
class Given:
    """What counting came to: how many rewards were given, and how many must wait for room."""

    grants: int = 0
    waiting: int = 0

    def plus(self, other: "Given") -> "Given":
        """Both together."""
        return Given(self.grants + other.grants, self.waiting + other.waiting)


@dataclass(frozen=True, slots=True)
class Standings:
    """How far a customer is under a rule. `earned` is what is due for all usage, in nanos.

    `capped`: `every` more of usage would earn nothing now.
    """

    rule: RewardRule
    progress: RewardProgress
    earned: int
    capped: bool


@dataclass(frozen=True, slots=True)
class Rewards:
    """Counts usage under the reward rules of its meter."""

    books: Books
    records: RewardStore

    def count(self, customer: str, meter: str, hours: Iterable[datetime]) -> Given:
        """Counts these hours of a customer's usage anew, and gives what is due.

        Raises: UnavailableError.
        """
        given = Given()
        rules = self._rules(meter)
        known = self.books.store.customer(customer) if rules else None
        if known is None:
            return given
        wanted = [(hour, hour + HOUR) for hour in sorted(set(hours))]
        for rule in rules:
            for first in range(0, len(wanted), HOURS_TOGETHER):
                given = given.plus(self._count(rule, known, wanted[first : first + HOURS_TOGETHER]))
        return given

    def recount(self, key: str, start: datetime | None, end: datetime | None) -> Given:
        """Counts a customer's usage in [start, end) anew under every rule that is in force.

        What is missing is given, and what waited for room, if there is some: safe to repeat. See
        recount_span for what None stands for.

        Raises: NotFoundError, InvalidError, UnavailableError.
        """
        customer = self.books.customer(key)
        span = recount_span(self.books.now(customer), start, end)
        given = Given()
        for rule in self.books.catalogue.newest().reward_rules.values():
            if rule.archived_at is None:
                given = given.plus(self._count(rule, customer, [span]))
        return given

    def standings(self, key: str) -> list[Standings]:
        """How far the customer is under each rule that is in force or has counted its usage.

        Raises: NotFoundError.
        """
        customer = self.books.customer(key)
        now = self.books.now(customer)
        found = {progress.rule: progress for progress in self.records.all_progress(key)}
        rules = self.books.catalogue.newest().reward_rules
        return [
            _standing(rule, found.get(rule.key) or _nothing(rule, customer, now), now)
            for rule in rules.values()
            if rule.archived_at is None or rule.key in found
        ]

    def _rules(self, meter: str) -> list[RewardRule]:
        rules = self.books.catalogue.newest().reward_rules.values()
        return [rule for rule in rules if rule.meter == meter and rule.archived_at is None]

    def _count(self, rule: RewardRule, customer: Customer, spans: Sequence[Span]) -> Given:
        for _ in range(MAX_ATTEMPTS):
            try:
                return self._attempt(rule, customer, spans)
            except VersionConflictError:
                continue
        raise UnavailableError(f"gave up after {MAX_ATTEMPTS} lost races")

    def _attempt(self, rule: RewardRule, customer: Customer, spans: Sequence[Span]) -> Given:
        before = self.records.progress(customer.key, rule.key)
        if before is None:
            before = _nothing(rule, customer, self.books.now(customer))
            # Usage from before it was first heard of counts as well.
            spans = [(before.since, spans[-1][1])]
        counted: dict[datetime, Decimal] = {}
        for start, end in spans:
            counted |= self._counted(rule, before, start, end)
        keys = {hour.strftime(DAY_KEY) for hour in counted}
        days = self.records.days(customer.key, rule.key, keys)
        after, changed = recounted(before, days, counted)
        owed = rule.due(after.months) - after.given
        granted: list[Change] = []
        if owed > 0:
            try:
                granted = self._grant(rule, customer.key, owed)
                after = replace(after, given=after.given + owed)
            except VersionConflictError:
                raise
            except ConflictError:
                # So many grants are open that this one waits: for a recount, or the next usage.
                pass
        if changed or granted:
            saved = [SaveRecord(day, day.version) for day in changed]
            self.books.store.commit([SaveRecord(after, before.version), *saved, *granted])
        return Given(grants=int(bool(granted)), waiting=int(owed > 0 and not granted))

    def _counted(
        self, rule: RewardRule, progress: RewardProgress, start: datetime, end: datetime
    ) -> dict[datetime, Decimal]:
        """What the rule counts of each hour with usage that begins in [start, end)."""
        first = max(floor_hour(start), floor_hour(progress.since))
        if first >= end:
            return {}
        by_hour: dict[datetime, list[UsageHour]] = {}
        for item in self.books.store.usage_between(rule.meter, progress.customer, first, end):
            by_hour.setdefault(item.key.hour, []).append(item)
        return {hour: counted_in(rule, items, progress.since) for hour, items in by_hour.items()}

    def _grant(self, rule: RewardRule, customer: str, nanos: int) -> list[Change]:
        """The changes that give so much more, in the grant of its month of expiry.

        Raises: ConflictError if too many grants are open.
        """
        before = self.books.open_standing(customer)
        numbered = partial(reward_grant, rule, customer, nanos, before.now)
        grant, stored = first_not_voided(self.books, numbered)
        return grant_changes(self.books, before, stored, grant, {"rule": rule.key}, actor=ACTOR)


def first_not_voided(books: Books, numbered: Callable[[int], Grant]) -> tuple[Grant, Grant | None]:
    """The first of the numbered grants that was not voided, and what is stored under its id."""
    number = 0
    while True:
        grant = numbered(number)
        stored = books.store.grants(grant.customer, [grant.id]).get(grant.id)
        if stored is None or stored.voided_at is None:
            return grant, stored
        number += 1


def grant_changes(
    books: Books,
    before: Standing,
    stored: Grant | None,
    grant: Grant,
    cause: Mapping[str, str],
    *,
    actor: str,
) -> list[Change]:
    """The changes that put the grant, or add its amount to the one that is stored under its id.

    Raises: ConflictError if too many grants are open.
    """
    others = before.grants.values()
    if stored is None:
        account = add_grant(before.account, grant, before.now, before.catalogue, others)
    else:
        account, grant = enlarge_grant(before.account, stored, grant.amount, others)
    told = {"grant": grant.id, "source": grant.source, **cause}
    audit = PutAudit(
        at=books.clock.now(),
        actor=actor,
        action="grant.enlarge" if stored else "grant.create",
        subject=f"{grant.customer}/{grant.id}",
        before=asdict(stored) if stored else {},
        after=asdict(grant),
    )
    grants = {**before.grants, grant.id: grant}
    posted = books.posting(before, account, grants, "grant", told)
    return [*posted, PutGrant(grant), audit]


def _nothing(rule: RewardRule, customer: Customer, now: datetime) -> RewardProgress:
    since = rule.since(now, on_test_clock=customer.test_clock is not None)
    return RewardProgress(customer.key, rule.key, since)


def _standing(rule: RewardRule, progress: RewardProgress, now: datetime) -> Standings:
    months, month = progress.months, now.strftime(MONTH_KEY)
    earned = rule.due(months)
    with_more = {**months, month: months.get(month, Decimal(0)) + rule.every}
    return Standings(rule, progress, earned, capped=rule.due(with_more) <= earned)
