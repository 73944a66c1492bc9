"""How a customer stands: everything that a decision about its money is made from.

The current period may have ended before anything opened the next one. Reads then look at the
account as if it had been opened; writes open it first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared.domain.accounts import MAX_OPEN_PHASES, Account
from shared.domain.advancing import advance
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.credits import Grant
from shared.domain.customers import Customer, Subscription
from shared.domain.errors import NotFoundError, UnavailableError
from shared.domain.ledger import EntryKind, entry_between
from shared.domain.opening import Opening, next_plan
from shared.domain.reservations import Ended
from shared.services.changes import Change, PutLedgerEntry, SaveAccount, SaveSubscription
from shared.services.clock import customer_now
from shared.services.lapsing import lapse_changes, lapsed
from shared.services.opening import opening_changes, with_due
from shared.services.store import BillingStore, CatalogueSource, Clock


@dataclass(frozen=True, slots=True)
class Standing:
    """One customer at one moment of its clock. `grants` are those with something left.

    `lapsed`: what the end of reservations whose time is over comes to, while none has ended them.
    """

    customer: Customer
    account: Account
    subscription: Subscription
    grants: Mapping[str, Grant]
    catalogue: Catalogue
    now: datetime
    lapsed: Ended | None = None

    @property
    def plan(self) -> Plan:
        """The plan version in force, as published."""
        phase = self.account.current
        return self.catalogue.plan(phase.plan, phase.plan_version)

    @property
    def next_plan(self) -> Plan:
        """The plan version that the next period opens on."""
        return next_plan(self.subscription, self.catalogue)

    def opened(self, opening: Opening) -> "Standing":
        """The standing after the opening is stored."""
        terms = opening.subscription
        return replace(
            self,
            account=replace(opening.account, version=self.account.version + 1),
            subscription=replace(terms, version=self.subscription.version + 1),
            grants={**self.grants, **{grant.id: grant for grant in opening.grants}},
        )

    def caught_up(self) -> "Standing":
        """The standing as if all that fell due up to now had been done."""
        standing = self.without_lapsed()
        while opening := standing._due_opening():
            standing = standing.opened(opening)
        return standing

    def without_lapsed(self) -> "Standing":
        """The standing after the reservations whose time is over have ended."""
        return replace(self, account=self.lapsed.account, lapsed=None) if self.lapsed else self

    def _due_opening(self) -> Opening | None:
        """What is due at the boundary, if that is reached and there is room for a phase."""
        full = len(self.account.phases) >= MAX_OPEN_PHASES
        if full or self.now < self.account.boundary:
            return None
        held = tuple(self.grants.values())
        return advance(self.account, self.subscription, self.catalogue, held)


@dataclass(frozen=True, slots=True)
class Books:
    """The company's books and the clocks: what every use case on a customer's money works with.

    `grace` is how long a period stays open for late usage after its end.
    """

    store: BillingStore
    catalogue: CatalogueSource
    clock: Clock
    grace: timedelta

    def customer(self, key: str) -> Customer:
        """The profile.

        Raises: NotFoundError.
        """
        customer = self.store.customer(key)
        if customer is None:
            raise NotFoundError("No such customer.")
        return customer

    def now(self, customer: Customer) -> datetime:
        """The present on the customer's clock."""
        return customer_now(self.store, self.clock, customer)

    def standing(self, key: str) -> Standing:
        """The standing as stored.

        Raises: NotFoundError, UnavailableError.
        """
        customer = self.customer(key)
        account, subscription = self.store.account(key), self.store.subscription(key)
        if account is None or subscription is None:
            raise UnavailableError("the customer has no account yet")
        now = self.now(customer)
        return Standing(
            customer=customer,
            account=account,
            subscription=subscription,
            grants=self.store.grants(key, account.open_grants),
            # Read last: it then holds every plan version that the account names.
            catalogue=self.catalogue.newest(),
            now=now,
            lapsed=lapsed(self.store, account, now),
        )

    def open_standing(self, key: str) -> Standing:
        """The standing after all that fell due up to now has been done in storage.

        Raises: NotFoundError, UnavailableError, VersionConflictError when another was faster.
        """
        standing = self.standing(key)
        if standing.lapsed:
            self.store.commit(lapse_changes(standing.account, standing.lapsed, standing.now))
            standing = standing.without_lapsed()
        while opening := standing._due_opening():
            held = standing.grants.values()
            self.store.commit(
                opening_changes(
                    self.store, standing.account, opening, held, self.grace, now=standing.now
                )
            )
            standing = standing.opened(opening)
        return standing

    def posting(
        self,
        before: Standing,
        account: Account,
        grants: Mapping[str, Grant],
        kind: EntryKind,
        cause: Mapping[str, str],
        *,
        terms: Subscription | None = None,
    ) -> list[Change]:
        """The changes that post a new version of the account with its ledger entry.

        `grants` are those it holds now. The terms (`terms`, if they change) are saved only where
        they or their due time move, so that two writers meet on one item.
        """
        changes: list[Change] = [
            SaveAccount(account, before.account.version),
            PutLedgerEntry(entry_between(before.account, account, before.now, kind, cause)),
        ]
        subscription = with_due(terms or before.subscription, account, grants.values(), self.grace)
        if subscription != before.subscription:
            changes.append(SaveSubscription(subscription))
        return changes
