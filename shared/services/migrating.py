"""Migrating: a plan's subscriptions move to its newest version, or a preview says what that does.

A call looks at a page of customers and moves each under an idempotency key of its own, so calls can
be repeated and taken up where one stopped, and nobody is moved twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.domain.catalogue import Plan
from shared.domain.closing import upcoming_fee
from shared.domain.customers import Subscription
from shared.domain.errors import (
    ConflictError,
    InvalidError,
    MeterlineError,
    Problem,
    UnavailableError,
)
from shared.domain.segments import Segment
from shared.domain.subscriptions import Target, When
from shared.services.changes import Change, PutInvoice
from shared.services.idempotency import (
    Decision,
    IdempotencyKeyReusedError,
    MoneyWrite,
    commit_once,
)
from shared.services.segments import customers_page
from shared.services.standing import Books, Standing
from shared.services.subscribing import SubscriptionOrder, audited, carry_out

State = Literal["moved", "scheduled"]


class ChangeScheduledError(ConflictError):
    """Something else is scheduled for the subscription, which a migration would undo."""

    code = "change-scheduled"


@dataclass(frozen=True, slots=True)
class Migration:
    """Which of a plan's subscriptions move to its newest version, and when.

    No `from_versions` are all older ones, no `segment` is all customers.
    """

    plan: str
    at: When | datetime
    from_versions: tuple[int, ...] = ()
    segment: Segment | None = None

    def concerns(self, terms: Subscription, newest: Plan) -> bool:
        """Whether the subscription is, or is going to be, on a version to be left."""
        now, then = (terms.plan, terms.plan_version), (terms.next_plan, terms.next_plan_version)
        if then == (newest.key, newest.version) and self.at == "period_end":
            return False
        return any(self._leaves(*either, newest) for either in (now, then))

    def _leaves(self, key: str | None, version: int | None, newest: Plan) -> bool:
        if key != self.plan or version is None or version >= newest.version:
            return False
        return not self.from_versions or version in self.from_versions


@dataclass(frozen=True, slots=True)
class Move:
    """One customer's move: how it stands before and after, and the invoice at once, if any."""

    before: Standing
    after: Standing
    invoice: PutInvoice | None

    @property
    def state(self) -> State:
        """Whether the new version is in force at once."""
        return "scheduled" if self.after.subscription.scheduled else "moved"

    @property
    def next_fees(self) -> tuple[int, int]:
        """What the next period's fee comes to without and with the move, in nanos."""
        return _next_fee(self.before), _next_fee(self.after)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A customer that stays as it is, and why."""

    customer: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class MigrationPage:
    """What became of a page of customers: the answers about those that move, and the refusals."""

    newest: Plan
    moves: tuple[str, ...]
    refused: tuple[Refusal, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Migrating:
    """Carries a migration out page by page; `render` makes the answer about one customer.

    Without a `write` it is a preview, and nothing changes; with one, its customer is filled in.
    """

    books: Books
    migration: Migration
    render: Callable[[Move], str]
    write: MoneyWrite | None = None

    def page(self, limit: int, cursor: str | None) -> MigrationPage:
        """Looks at up to `limit` customers.

        Raises: NotFoundError for an unknown plan; InvalidError for unknown versions;
        IdempotencyKeyReusedError.
        """
        newest = self._newest()
        found = customers_page(self.books.store, self.migration.segment, limit, cursor)
        moves: list[str] = []
        refused: list[Refusal] = []
        for customer in found.items:
            try:
                moves += self._moved(customer.key, newest)
            except IdempotencyKeyReusedError:
                raise
            except (ConflictError, InvalidError, UnavailableError) as error:
                refused.append(Refusal(customer.key, _reason(error), str(error)))
        return MigrationPage(newest, tuple(moves), tuple(refused), found.cursor)

    def _newest(self) -> Plan:
        newest = self.books.catalogue.newest().latest_plan(self.migration.plan)
        for index, version in enumerate(self.migration.from_versions):
            if version >= newest.version:
                raise InvalidError(
                    "Only older versions are left.",
                    [Problem(f"/from_versions/{index}", "not-an-older-version")],
                )
        return newest

    def _moved(self, customer: str, newest: Plan) -> Iterator[str]:
        """The answer about a customer that the migration concerns."""
        terms = self.books.store.subscription(customer)
        if terms is None or newest.key not in (terms.plan, terms.next_plan):
            return
        concerned = self.migration.concerns(terms, newest)
        if self.write is None:
            if concerned:
                yield self.render(self._move(self.books.standing(customer).caught_up())[0])
            return
        own = replace(self.write, customer=customer)
        if concerned or self.books.store.idempotent_answer(customer, own.key):
            yield commit_once(self.books.store, own, lambda: self._decision(own)).answer

    def _decision(self, write: MoneyWrite) -> Decision:
        before = self.books.open_standing(write.customer)
        move, changes = self._move(before)
        if changes:
            changes.append(audited(self.books, write, self._order, before, move.after))
        return Decision(changes, self.render(move))

    @property
    def _order(self) -> SubscriptionOrder:
        return SubscriptionOrder("change", self.migration.plan, self.migration.at)

    def _move(self, before: Standing) -> tuple[Move, list[Change]]:
        """Raises: ConflictError, InvalidError."""
        terms, newest = before.subscription, before.catalogue.latest_plan(before.plan.key)
        moved = replace(Target.current(terms, before.plan), plan=newest)
        if terms.scheduled and Target.scheduled(terms, before.next_plan) != moved:
            raise ChangeScheduledError("Another change is scheduled, which this one would undo.")
        changes, after = carry_out(self.books, before, self._order)
        invoice = next((c for c in changes if isinstance(c, PutInvoice)), None)
        return Move(before, after, invoice), changes


def _reason(error: MeterlineError) -> str:
    """What of the change is refused; each customer's own clock decides what is in the past."""
    problems = error.problems if isinstance(error, InvalidError) else ()
    return problems[0].code if problems else error.code


def _next_fee(standing: Standing) -> int:
    account = standing.account
    period = account.current.period
    fee = upcoming_fee(account, period, standing.subscription, standing.catalogue)
    return fee.nanos if fee else 0
