"""People who grant, void and change plans, and repeat themselves until they are answered."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.errors import MeterlineError, UnavailableError
from shared.services.granting import GrantOrder, HeldGrant, grant_credits, void_credits
from shared.services.idempotency import MoneyWrite
from shared.services.managing_customers import Profile, put_customer
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer
from shared.services.subscribing import SubscriptionOrder, change_subscription
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.faults import Crash

Operation = Callable[[Books, MoneyWrite], StoredAnswer]


@dataclass(eq=False)
class Order:
    """One money write that somebody wants done, and what they were told."""

    kind: str
    write: MoneyWrite
    operation: Operation
    answer: str | None = None


@dataclass
class People:
    """All of them together. `orders` are those not answered yet."""

    rng: random.Random
    seen: Counter[str]
    store: MemoryBillingStore  # what they can see on a page: it decides nothing
    units: list[str]
    plans: list[str]
    orders: list[Order] = field(default_factory=list)
    answered: list[Order] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    _next: int = 0

    def want(self, now: datetime, customer: str) -> None:
        """Makes up something to want."""
        self._next += 1
        kind, operation = self._operation(now, customer)
        write = MoneyWrite(customer, "tests", f"key-{self._next}", f"{kind}-{self._next}")
        self.orders.append(Order(kind, write, operation))

    def insist(self, books: Books) -> None:
        """Sends an order that is not answered, or now and then one that is."""
        again = self.answered and self.rng.random() < 0.1
        if not again and not self.orders:
            return
        order = self.rng.choice(self.answered if again else self.orders)
        try:
            answer = order.operation(books, order.write)
        except (Crash, UnavailableError):
            self.seen["branch: order sent again after no answer"] += 1
            return
        except MeterlineError:
            self.seen["branch: order refused"] += 1
            if order in self.orders:
                self.orders.remove(order)
            return
        if order.answer is not None:
            self.seen["branch: order answered as before"] += 1
            if order.answer != answer.answer:
                self.contradictions.append(f"{order.kind} {order.write.key}")
        order.answer = answer.answer
        if order in self.orders:
            self.seen[f"branch: {order.kind} done"] += 1
            self.orders.remove(order)
            self.answered.append(order)

    def introduce(self, books: Books, customer: str, timezone: str, clock: str | None) -> None:
        """Puts a customer's profile."""
        profile = Profile(None, None, None, timezone, {}, clock)
        put_customer(books, customer, profile, "tests", test_clocks=True)

    def told(self) -> Iterator[tuple[Order, dict[str, Any]]]:
        """Each answered order with its answer."""
        for order in self.answered:
            yield order, json.loads(order.answer or "{}")

    def _operation(self, now: datetime, customer: str) -> tuple[str, Operation]:
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
                return "grant", lambda books, write: grant_credits(books, write, order, _grant_text)
            case "void":
                chosen = self.rng.choice(grants)
                return "void", lambda b, write: void_credits(b, write, chosen, _grant_text)
            case "change":
                moment: Any = self.rng.choice((None, None, "now", "period_end"))
                change = SubscriptionOrder("change", self.rng.choice(self.plans), moment)
                return "change", lambda b, w: change_subscription(b, w, change, _plan_text)
            case "seats":
                when: Any = self.rng.choice((None, "now", "period_end"))
                seats = SubscriptionOrder("change", None, when, self.rng.choice((1, 2, 3, 7)))
                return "seats", lambda b, w: change_subscription(b, w, seats, _plan_text)
            case "pause" | "resume" as action:
                late: Any = self.rng.choice((None, None, "period_end"))
                rest = SubscriptionOrder(action, None, late)
                return action, lambda b, w: change_subscription(b, w, rest, _plan_text)
            case _:
                soon: Any = self.rng.choice((None, None, "now"))
                stop = SubscriptionOrder("cancel", None, soon)
                return "cancel", lambda b, w: change_subscription(b, w, stop, _plan_text)

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


def _grant_text(held: HeldGrant) -> str:
    return json.dumps({"id": held.grant.id, "remaining": held.remaining, "status": held.status})


def _plan_text(standing: Standing) -> str:
    return json.dumps({"plan": standing.plan.key, "version": standing.plan.version})
