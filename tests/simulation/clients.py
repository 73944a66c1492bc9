"""The senders of usage: requests that are delayed, repeated, reordered and sometimes changed."""

import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from shared.domain.errors import InvalidError, UnavailableError
from shared.domain.events import Value
from shared.domain.folding import RESERVATION
from shared.services.ingest import Ingest, Submission
from tests.simulation.faults import Crash, Storm
from tests.simulation.offers import MODELS

MAX_LATE = timedelta(days=34)
TYPES = ("chat", "chat", "chat", "chat", "mail", "mail", "disk", "ping")
QUANTITIES = ("1", "7", "12.5", "0.000000001", "3.141592653", "40", "0", "250.75")


@dataclass(eq=False)
class Letter:
    """One request: what it says, and when it may next be sent."""

    submissions: list[Submission]
    not_before: datetime
    answered: bool = False


@dataclass
class Clients:
    """All senders together. `acknowledged` is what they were told, event by event."""

    rng: random.Random
    storm: Storm
    seen: Counter[str]
    now_of: Callable[[str], datetime]  # the customer's present, which may be a test clock's
    reserved_by: Callable[[str], list[str]]  # the customer's open reservations
    outbox: list[Letter] = field(default_factory=list)
    sent: list[Letter] = field(default_factory=list)
    acknowledged: list[dict[str, Any]] = field(default_factory=list)
    _next_id: int = 0

    def write(self, now: datetime, customers: list[str]) -> None:
        """Puts a new request, or an old one again, into the outbox."""
        if self.sent and self.storm.strikes("duplicate", "request sent again"):
            self.outbox.append(self._again(self.rng.choice(self.sent), now))
            return
        count = self.rng.choice((1, 1, 2, 3, 5, 8, 12))
        events = [self.event(self.rng.choice(customers)) for _ in range(count)]
        delay = timedelta()
        if self.storm.strikes("delay", "request delayed"):
            delay = timedelta(seconds=self.rng.choice((30, 600, 4000, 90000)))
        self.outbox.append(Letter(events, now + delay))

    def send(self, now: datetime, ingest: Ingest) -> None:
        """Sends one letter; without a full answer it stays in the outbox."""
        ready = [letter for letter in self.outbox if letter.not_before <= now]
        if not ready:
            return
        letter = ready[0]
        if len(ready) > 1 and self.storm.strikes("reordering", "requests reordered"):
            letter = self.rng.choice(ready)
        try:
            result = ingest.take(letter.submissions)
        except InvalidError:
            self.seen["branch: request refused"] += 1
            if letter in self.outbox:
                self.outbox.remove(letter)
            return
        except (Crash, UnavailableError):
            self.seen["branch: request sent again after no answer"] += 1
            letter.submissions = [self._retimed(s) for s in letter.submissions]
            return
        for submission, outcome in zip(letter.submissions, result.outcomes, strict=True):
            self.seen[f"branch: event {outcome}"] += 1
            self.acknowledged.append(_told(submission, outcome))
        if "unknown" not in result.outcomes and letter in self.outbox:
            self.outbox.remove(letter)
            self.sent.append(letter)

    def event(self, customer: str) -> Submission:
        """A new event of the customer."""
        self._next_id += 1
        now = self.now_of(customer)
        at: datetime | None = now - timedelta(seconds=self.rng.randrange(120))
        if self.storm.strikes("late", "event late"):
            at = now - self.rng.random() * MAX_LATE
        elif self.storm.strikes("ahead", "event ahead of the clock"):
            at = now + timedelta(seconds=self.rng.randrange(300))
        elif self.rng.random() < 0.05:
            at = None
        event_type = self.rng.choice(TYPES)
        return Submission(
            pointer="",
            customer=customer,
            source=self.rng.choice(("app", "worker/ä")),
            id=str(self._next_id),
            type=event_type,
            occurred_at=at,
            data=self.data(event_type),
            extensions=self._extensions(customer),
        )

    def _extensions(self, customer: str) -> dict[str, str]:
        named = self.reserved_by(customer)
        if named and self.rng.random() < 0.3:
            self.seen["branch: event sent that names a reservation"] += 1
            return {RESERVATION: self.rng.choice(named)}
        return {"trace": "t"} if self.rng.random() < 0.1 else {}

    def data(self, event_type: str) -> dict[str, Value]:
        """The data of an event of the type."""
        quantity: Value = Decimal(self.rng.choice(QUANTITIES))
        if event_type == "disk":
            return {"gb": quantity}
        if event_type == "mail":
            return {"bytes": quantity, "region": self.rng.choice(("eu", "us"))}
        data: dict[str, Value] = {"model": self.rng.choice(MODELS)}
        if self.rng.random() < 0.5:
            data["region"] = self.rng.choice(("eu", "us"))
        if self.rng.random() < 0.9:
            data["tokens"] = str(quantity) if self.rng.random() < 0.1 else quantity
        return data

    def _again(self, letter: Letter, now: datetime) -> Letter:
        """The same events, perhaps in another order, with another time, or with other data."""
        events = [self._retimed(s) for s in letter.submissions]
        self.rng.shuffle(events)
        if self.rng.random() < 0.2:
            self.seen["fault: resent with other data"] += 1
            events[0] = replace(events[0], data={**events[0].data, "changed": True})
        return Letter(events, now)

    def _retimed(self, submission: Submission) -> Submission:
        """A client without the event's own time at hand stamps the resend anew."""
        if submission.occurred_at is None or self.rng.random() < 0.8:
            return submission
        self.seen["fault: resent with another time"] += 1
        shift = timedelta(seconds=self.rng.randrange(600))
        return replace(submission, occurred_at=submission.occurred_at - shift)


def _told(submission: Submission, outcome: str) -> dict[str, Any]:
    data = {
        name: format(value, "f") if isinstance(value, Decimal) else json.dumps(value)
        for name, value in submission.data.items()
    }
    return {
        "customer": submission.customer,
        "source": submission.source,
        "id": submission.id,
        "type": submission.type,
        "data": data,
        "outcome": outcome,
    }
