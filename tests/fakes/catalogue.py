"""The catalogue in memory."""

from collections.abc import Callable
from typing import Any

from shared.domain.catalogue import AddOn, Catalogue, CreditUnit, Meter, Plan
from shared.domain.costs import MeterCosts
from shared.domain.coupons import Coupon
from shared.domain.earning_rules import EarningRule
from shared.domain.errors import VersionConflictError
from shared.domain.publishing import Publication
from shared.domain.reward_rules import RewardRule
from shared.services.changes import PutAudit


class MemoryCatalogueStore:
    """See CatalogueStore; `overtake` runs once, before the next publication."""

    def __init__(self) -> None:
        self.catalogue = Catalogue()
        self.audits: list[PutAudit] = []
        self.overtake: Callable[[], object] | None = None

    def head_version(self) -> int:
        return self.catalogue.version

    def load(self) -> Catalogue:
        return self.catalogue

    def publish(self, read_version: int, publication: Publication, audit: PutAudit) -> None:
        if self.overtake:
            overtake, self.overtake = self.overtake, None
            overtake()
        if read_version != self.catalogue.version:
            raise VersionConflictError
        self.audits.append(audit)
        entry, old = publication.after, self.catalogue
        meters, plans, units = dict(old.meters), dict(old.plans), dict(old.units)
        add_ons, costs = dict(old.add_ons), dict(old.costs)
        rewards, earnings = dict(old.reward_rules), dict(old.earning_rules)
        coupons: dict[str, Any] = dict(old.coupons)
        match entry:
            case Meter():
                meters[entry.key] = entry
            case Plan() | AddOn() | Coupon():
                versions: dict[str, Any] = {Plan: plans, AddOn: add_ons}.get(type(entry), coupons)
                versions[entry.key] = (*versions.get(entry.key, ()), entry)
            case CreditUnit():
                units[entry.key] = entry
            case MeterCosts():
                dated = {each.effective_from: each for each in costs.get(entry.key, ())}
                dated[entry.effective_from] = entry
                costs[entry.key] = tuple(dated[at] for at in sorted(dated))
            case RewardRule():
                rewards[entry.key] = entry
            case EarningRule():
                earnings[entry.key] = entry
        rules = (rewards, earnings)
        self.catalogue = Catalogue(
            old.version + 1, meters, plans, units, add_ons, costs, *rules, coupons=coupons
        )
