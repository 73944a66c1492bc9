"""What people want of a customer's terms and credits: plans, seats, pauses, grants and voids."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.services.granting import GrantOrder, HeldGrant, grant_credits, void_credits
from shared.services.standing import Standing
from shared.services.subscribing import SubscriptionOrder, change_subscription
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.people import Wish


@dataclass
class Wishes:
    """Makes them up."""

    rng: random.Random
    store: MemoryBillingStore  # what they can see on a page: it decides nothing
    units: list[str]
    plans: Sequence[str]

    def draw(self, now: datetime, customer: str) -> Wish:
        """Something to want at the customer's present."""
        grants = sorted(self.store.grants_of.get(customer, {}))
        kinds = [
            "grant",
            "grant",
            "grant",
            "change",
            "cancel",
            "seats",
            "pause",
            "resume",
            *(["void"] if grants else []),
        ]
        match self.rng.choice(kinds):
            case "grant":
                order = self._grant(now, customer)
                return Wish("grant", lambda b, w: grant_credits(b, w, order, _grant_text))
            case "void":
                chosen = self.rng.choice(grants)
                return Wish("void", lambda b, w: void_credits(b, w, chosen, _grant_text))
            case "change":
                moment: Any = self.rng.choice((None, None, "now", "period_end"))
                change = SubscriptionOrder("change", self.rng.choice(self.plans), moment)
                return _terms("change", change)
            case "seats":
                when: Any = self.rng.choice((None, "now", "period_end"))
                seats = SubscriptionOrder("change", None, when, self.rng.choice((1, 2, 3, 7)))
                return _terms("seats", seats)
            case "pause" | "resume" as action:
                late: Any = self.rng.choice((None, None, "period_end"))
                return _terms(action, SubscriptionOrder(action, None, late))
            case _:
                soon: Any = self.rng.choice((None, None, "now"))
                return _terms("cancel", SubscriptionOrder("cancel", None, soon))

    def _grant(self, now: datetime, customer: str) -> GrantOrder:
        account = self.store.accounts.get(customer)
        starts: list[datetime | None] = [None, None, now + timedelta(hours=self.rng.randrange(60))]
        if account is not None:
            period = account.current.period
            starts.append(min(p.start for p in account.phases if p.period == period))
        effective_at = self.rng.choice(starts)
        length = timedelta(seconds=self.rng.choice((1800, 20000, 200000, 2000000)))
        ends = (None, max(effective_at or now, now) + length)
        return GrantOrder(
            unit=self.rng.choice(self.units),
            amount=Decimal(self.rng.choice((1, 2, 10, 50))),
            source=self.rng.choice(("purchase", "promotion", "reward")),
            priority=self.rng.choice((1, 100, 100)),
            effective_at=effective_at,
            expires_at=self.rng.choice(ends),
            cost_basis=self.rng.choice((None, Decimal("0.04"))),
            meters=self.rng.choice(((), (), ("tokens",), ("calls", "storage"))),
        )


def _terms(kind: str, order: SubscriptionOrder) -> Wish:
    return Wish(kind, lambda books, write: change_subscription(books, write, order, _plan_text))


def _grant_text(held: HeldGrant) -> str:
    return json.dumps({"id": held.grant.id, "remaining": held.remaining, "status": held.status})


def _plan_text(standing: Standing) -> str:
    return json.dumps({"plan": standing.plan.key, "version": standing.plan.version})
