"""People and programs that want something done, and repeat themselves until they are answered."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from shared.domain.errors import MeterlineError, UnavailableError
from shared.services.idempotency import MoneyWrite
from shared.services.managing_customers import Profile, put_customer
from shared.services.standing import Books
from shared.services.store import StoredAnswer
from tests.simulation.faults import Crash

Operation = Callable[[Books, MoneyWrite], StoredAnswer]


@dataclass(frozen=True)
class Wish:
    """Something to want of a customer's; `about` says what, as plain data."""

    kind: str
    operation: Operation
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(eq=False)
class Order:
    """One wish sent under one key, and what they were told; times are the customer's."""

    wish: Wish
    write: MoneyWrite
    asked_at: datetime
    answer: str | None = None
    answered_at: datetime | None = None


@dataclass
class People:
    """All of them together. `orders` are those not answered yet."""

    rng: random.Random
    seen: Counter[str]
    now_of: Callable[[str], datetime]  # the customer's present
    orders: list[Order] = field(default_factory=list)
    answered: list[Order] = field(default_factory=list)
    contradictions: list[str] = field(default_factory=list)
    _next: int = 0

    def want(self, customer: str, wish: Wish) -> None:
        """Somebody wants something done."""
        self._next += 1
        write = MoneyWrite(customer, "tests", f"key-{self._next}", f"{wish.kind}-{self._next}")
        self.orders.append(Order(wish, write, self.now_of(customer)))

    def insist(self, books: Books) -> None:
        """Sends an order that is not answered, or now and then one that is."""
        again = self.answered and self.rng.random() < 0.1
        if not again and not self.orders:
            return
        order = self.rng.choice(self.answered if again else self.orders)
        kind = order.wish.kind
        try:
            answer = order.wish.operation(books, order.write)
        except (Crash, UnavailableError):
            self.seen["branch: order sent again after no answer"] += 1
            return
        except MeterlineError as error:
            self.seen["branch: order refused"] += 1
            self.seen[f"branch: {kind} refused, {error.code}"] += 1
            if order in self.orders:
                self.orders.remove(order)
            return
        if order.answer is not None:
            self.seen["branch: order answered as before"] += 1
            if order.answer != answer.answer:
                self.contradictions.append(f"{kind} {order.write.key}")
        order.answer, order.answered_at = answer.answer, self.now_of(order.write.customer)
        if order not in self.answered:
            self.seen[f"branch: {kind} done"] += 1
            self.answered.append(order)
        # Sent twice at once, it may have been refused once: what was in time for it was over.
        if order in self.orders:
            self.orders.remove(order)

    def introduce(self, books: Books, customer: str, timezone: str, clock: str | None) -> None:
        """Puts a customer's profile."""
        profile = Profile(None, None, None, timezone, {}, clock)
        put_customer(books, customer, profile, "tests", test_clocks=True)

    def told(self) -> Iterator[dict[str, Any]]:
        """Each answered order with its answer, as plain data."""
        for order in self.answered:
            yield {
                "kind": order.wish.kind,
                "customer": order.write.customer,
                "about": order.wish.about,
                "asked_at": order.asked_at,
                "answered_at": order.answered_at,
                "answer": json.loads(order.answer or "{}"),
            }
