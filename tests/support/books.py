"""One customer's books in memory, kept as the services keep them in storage."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.domain.accounts import Account, ClosedPhase, Totals
from shared.domain.advancing import advance
from shared.domain.catalogue import Catalogue
from shared.domain.closing import Closing, break_expired, close_period
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import MeterlineError
from shared.domain.events import UsageEvent, measure
from shared.domain.folding import Fold, LateUsage, Terms
from shared.domain.opening import Opening, start_subscription
from shared.domain.placing import Claim
from shared.domain.records import Record

GRACE = timedelta(hours=1)


def a_record(event: UsageEvent, sequence: int, catalogue: Catalogue) -> Record:
    """The record with what the catalogue's meters read."""
    meters = catalogue.meters_of(event.type, event.catalogue_version)
    measurements = (measure(event, meter) for meter in meters)
    return Record(event, tuple(m for m in measurements if m is not None), sequence)


@dataclass
class Books:
    """What is stored of one customer, and the operations on it."""

    catalogue: Catalogue
    account: Account
    subscription: Subscription
    grants: dict[str, Grant]
    closed: dict[int, ClosedPhase] = field(default_factory=dict)
    late: list[LateUsage] = field(default_factory=list)
    rejected: list[tuple[Record, MeterlineError]] = field(default_factory=list)
    claimed: set[Claim] = field(default_factory=set)

    @staticmethod
    def open(catalogue: Catalogue, started_at: datetime, timezone: str = "UTC") -> "Books":
        """A new customer on the default plan."""
        customer = Customer("acme", created_at=started_at, timezone=timezone)
        opening, _ = start_subscription(customer, catalogue.default_plan(), started_at)
        account = replace(opening.account, version=1)
        grants = {grant.id: grant for grant in opening.grants}
        return Books(catalogue, account, replace(opening.subscription, version=1), grants)

    def held(self) -> dict[str, Grant]:
        """The grants that something is left of: all that the services read."""
        return {key: self.grants[key] for key in self.account.open_grants}

    def apply(self, records: Iterable[Record], shard: str = "shard-1", now_seconds: int = 0) -> int:
        """Folds one batch; the number of writes that the account took."""
        closed = tuple(self.closed.values())
        batch = list(records)
        # As the services read them: spent grants may take back what a reversal had drawn.
        reverses = any(record.event.reversed_key for record in batch)
        grants = self.grants if reverses else self.held()
        terms = Terms(self.catalogue, self.subscription, grants, closed, self.claimed)
        fold = Fold(shard, now_seconds, self.account, terms)
        fold.run(batch)
        for step in fold.steps:
            assert step.before.version == self.account.version
            assert step.account.version == self.account.version + 1
            if step.opening is not None:
                self._opened(step.opening)
            self.account = step.account
            self.late += step.late
            self.claimed.update(step.claims)
        self.rejected += fold.rejected
        return len(fold.steps)

    def open_next(self) -> None:
        """What the billing run does at a period's end."""
        held = tuple(self.held().values())
        opening = advance(self.account, self.subscription, self.catalogue, held)
        self._opened(opening)
        self.account = replace(opening.account, version=self.account.version + 1)

    def close(self, now: datetime) -> Closing:
        """What the billing run does when the grace is over."""
        closed = tuple(self.closed.values())
        closing = close_period(
            self.account, self.subscription, self.catalogue, closed, self.held(), now=now
        )
        self.account, self.subscription = closing.account, closing.subscription
        self.closed |= {c.phase.number: c for c in closing.closed}
        return closing

    def break_expired(self, now: datetime) -> None:
        after = break_expired(self.account, self.grants, now, GRACE)
        self.account = after or self.account

    def all_totals(self) -> list[tuple[str, int, Sequence[Totals]]]:
        """(plan, version, totals) of every phase there ever was, late usage included."""
        frozen = [(c.phase.plan, c.phase.plan_version, c.billed) for c in self.closed.values()]
        late = [
            (self.closed[n].phase.plan, self.closed[n].phase.plan_version, totals)
            for n, totals in self.account.late.items()
        ]
        opened = [(p.plan, p.plan_version, p.totals) for p in self.account.phases]
        return [*frozen, *late, *opened]

    def _opened(self, opening: Opening) -> None:
        self.grants |= {grant.id: grant for grant in opening.grants}
        version = self.subscription.version + 1
        self.subscription = replace(opening.subscription, version=version)
