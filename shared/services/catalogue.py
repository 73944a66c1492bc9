"""Publishing into the catalogue, and keeping a copy of it at hand."""

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from typing import Protocol

from shared.domain.catalogue import AddOn, Catalogue, CreditUnit, Meter, Plan
from shared.domain.costs import MeterCosts
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import UnavailableError, VersionConflictError
from shared.domain.publishing import (
    Publication,
    archive_meter,
    publish_add_on,
    publish_meter,
    publish_plan,
    publish_unit,
)
from shared.domain.publishing_costs import publish_costs
from shared.domain.publishing_coupons import publish_coupon
from shared.domain.publishing_rules import (
    archive_earning_rule,
    archive_reward_rule,
    publish_earning_rule,
    publish_reward_rule,
)
from shared.domain.reward_rules import RewardRule
from shared.services.changes import PutAudit

# People publish rarely: whoever loses this many races in a row is told to try again.
MAX_ATTEMPTS = 16
FRESH_SECONDS = 1.0


class CatalogueStore(Protocol):
    """Where the catalogue is kept. Reads are consistent."""

    def head_version(self) -> int:
        """The newest catalogue version, 0 while nothing is published."""

    def load(self) -> Catalogue:
        """The whole catalogue; what it holds is never older than its version says."""

    def publish(self, read_version: int, publication: Publication, audit: PutAudit) -> None:
        """Makes the publication and its audit entry the next version, all or nothing.

        Raises: VersionConflictError if `read_version` is not the newest; UnavailableError.
        """


class CatalogueService:
    """Decides each publication on the newest catalogue, anew whenever another came first.

    Publishing what is there already changes nothing, so every method is safe to repeat. `now` is
    the machine's time, `actor` the caller's principal.
    """

    def __init__(
        self, store: CatalogueStore, provided: Callable[[Catalogue], None] = lambda _: None
    ) -> None:
        self._store = store
        self._provided = provided

    def provided(self, condition: Callable[[Catalogue], None]) -> "CatalogueService":
        """The service that publishes only where the condition does not raise.

        It is asked about the catalogue that the publication is decided on.
        """
        return CatalogueService(self._store, condition)

    def catalogue(self) -> Catalogue:
        """The newest catalogue."""
        return self._store.load()

    def put_meter(self, meter: Meter, actor: str, now: datetime) -> Meter:
        """The stored meter.

        Raises: MeterImmutableError.
        """
        catalogue = self._publish(lambda read: publish_meter(read, meter), actor, now)
        return catalogue.meters[meter.key]

    def archive_meter(self, key: str, actor: str, now: datetime) -> Meter:
        """The archived meter.

        Raises: NotFoundError; MeterInUseError.
        """
        catalogue = self._publish(lambda read: archive_meter(read, key), actor, now)
        return catalogue.meters[key]

    def put_plan(self, plan: Plan, actor: str, now: datetime) -> Plan:
        """The plan's newest version; that of the argument does not matter.

        Raises: InvalidError, DefaultExistsError.
        """
        catalogue = self._publish(lambda read: publish_plan(read, plan), actor, now)
        return catalogue.latest_plan(plan.key)

    def put_unit(self, unit: CreditUnit, actor: str, now: datetime) -> CreditUnit:
        """The stored credit unit.

        Raises: UnitImmutableError.
        """
        catalogue = self._publish(lambda read: publish_unit(read, unit, now), actor, now)
        return catalogue.units[unit.key]

    def put_add_on(self, add_on: AddOn, actor: str, now: datetime) -> AddOn:
        """The add-on's newest version; that of the argument does not matter.

        Raises: InvalidError.
        """
        catalogue = self._publish(lambda read: publish_add_on(read, add_on), actor, now)
        return catalogue.add_ons[add_on.key][-1]

    def put_coupon(self, coupon: Coupon, actor: str, now: datetime) -> Coupon:
        """The coupon's newest version; that of the argument does not matter.

        Raises: InvalidError.
        """
        catalogue = self._publish(lambda read: publish_coupon(read, coupon), actor, now)
        return catalogue.coupons[coupon.key][-1]

    def put_costs(self, costs: MeterCosts, actor: str, now: datetime) -> MeterCosts:
        """The stored costs, in the place of those of the same date.

        Raises: NotFoundError for an unknown meter; InvalidError.
        """
        self._publish(lambda read: publish_costs(read, costs), actor, now)
        return costs

    def put_reward_rule(self, rule: RewardRule, actor: str, now: datetime) -> RewardRule:
        """The stored rule; one that is new is made now.

        Raises: RuleImmutableError, InvalidError.
        """
        made = replace(rule, created_at=now)
        catalogue = self._publish(lambda read: publish_reward_rule(read, made), actor, now)
        return catalogue.reward_rules[rule.key]

    def archive_reward_rule(self, key: str, actor: str, now: datetime) -> RewardRule:
        """The archived rule. Raises: NotFoundError."""
        catalogue = self._publish(lambda read: archive_reward_rule(read, key, now), actor, now)
        return catalogue.reward_rules[key]

    def put_earning_rule(self, rule: EarningRule, actor: str, now: datetime) -> EarningRule:
        """The stored rule; one that is new is made now.

        Raises: RuleImmutableError, InvalidError.
        """
        made = replace(rule, created_at=now)
        catalogue = self._publish(lambda read: publish_earning_rule(read, made), actor, now)
        return catalogue.earning_rules[rule.key]

    def archive_earning_rule(self, key: str, actor: str, now: datetime) -> EarningRule:
        """The archived rule. Raises: NotFoundError."""
        catalogue = self._publish(lambda read: archive_earning_rule(read, key, now), actor, now)
        return catalogue.earning_rules[key]

    def _publish(
        self, decide: Callable[[Catalogue], Publication | None], actor: str, now: datetime
    ) -> Catalogue:
        """The catalogue that holds what was decided.

        A reply lost on the way back looks like a lost race; the next reading finds it published.
        """
        for _ in range(MAX_ATTEMPTS):
            catalogue = self._store.load()
            publication = decide(catalogue)
            if publication is None:
                return catalogue
            self._provided(catalogue)
            try:
                self._store.publish(catalogue.version, publication, _audit(publication, actor, now))
            except VersionConflictError:
                continue
        raise UnavailableError("the catalogue is being changed by others: send again")


def _audit(publication: Publication, actor: str, now: datetime) -> PutAudit:
    before, after = publication.before, publication.after
    return PutAudit(
        at=now,
        actor=actor,
        action=publication.action,
        subject=after.key,
        before=asdict(before) if before else {},
        after=asdict(after),
    )


class CachedCatalogue:
    """One container's copy of the catalogue, read again only when it is too old."""

    def __init__(
        self, store: CatalogueStore, monotonic_seconds: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._monotonic_seconds = monotonic_seconds
        self._catalogue: Catalogue | None = None
        self._checked_at_seconds = 0.0

    def fresh(self) -> Catalogue:
        """The catalogue as it was at most a second ago."""
        age_seconds = self._monotonic_seconds() - self._checked_at_seconds
        if self._catalogue is not None and age_seconds < FRESH_SECONDS:
            return self._catalogue
        return self.newest()

    def newest(self) -> Catalogue:
        """The catalogue with everything that was published before the call."""
        now = self._monotonic_seconds()
        held = self._catalogue
        if held is None or self._store.head_version() > held.version:
            held = self._store.load()
        self._catalogue, self._checked_at_seconds = held, now
        return held

    def at_least(self, version: int) -> Catalogue:
        """The catalogue at this version or a newer one.

        Raises: UnavailableError if there is no such version to be read.
        """
        if self._catalogue is None or self._catalogue.version < version:
            self._catalogue = self._store.load()
        if self._catalogue.version < version:
            raise UnavailableError(f"catalogue version {version} is not there")
        return self._catalogue
