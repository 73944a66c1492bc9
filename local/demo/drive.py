"""Drives the demo through the public API: sign-ups, events over many connections, time."""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from cli.client import ApiError, Client, path
from local.demo.scenario import Customer, Event, Round, Stage, time_text
from local.demo.tally import CREDIT

CONNECTIONS = 8
ADVANCE_TIMEOUT_SECONDS = 120
Counts = dict[str, int]


@dataclass(slots=True)
class Driver:
    """Acts as the AI app's backend: one key signs customers up, another one sends events."""

    admin: Client
    ingest: Client
    counts: Counts = field(default_factory=lambda: {"accepted": 0, "duplicates": 0, "unmetered": 0})

    def create_clock(self, now: datetime) -> str:
        """A test clock that stands at `now`."""
        clock: str = self.admin.call("POST", "/v1/test-clocks", body={"now": time_text(now)})["id"]
        return clock

    def advance(self, clock: str, to: datetime) -> None:
        """Moves the clock; returns when all that fell due has run and everything is drained.

        Raises: ApiError.
        """
        where = path("/v1/test-clocks/{clock}/advance", clock=clock)
        deadline = time.monotonic() + ADVANCE_TIMEOUT_SECONDS
        while True:
            try:
                self.admin.call("POST", where, body={"to": time_text(to)})
            except ApiError as error:
                # It says that it has more to do than one request has time for.
                if error.status != 503 or time.monotonic() > deadline:
                    raise
            else:
                return

    def sign_up(self, clock: str, customers: Iterable[Customer]) -> None:
        """Makes the customers on the clock, on their plans and with the credits they buy."""
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(lambda customer: self._sign_up(clock, customer), customers))

    def _sign_up(self, clock: str, customer: Customer) -> None:
        base = path("/v1/customers/{key}", key=customer.key)
        profile = {
            "name": customer.name,
            "email": f"billing@{customer.name.lower().replace(' ', '-')}.example",
            "currency": "USD",
            "timezone": "UTC",
            "test_clock": clock,
        }
        self.admin.call("PUT", base, body=profile)
        if customer.plan != "free":
            change = {"action": "change", "plan": customer.plan, "at": "now"}
            self._post(f"{base}/subscription", change, "start")
        if purchase := customer.purchase:
            grant = {
                "unit": CREDIT,
                "amount": purchase.amount,
                "priority": purchase.priority,
                "cost_basis": purchase.cost_basis,
                "source": "purchase",
            }
            self._post(f"{base}/grants", grant, "purchase")

    def _post(self, where: str, body: object, key: str) -> None:
        self.admin.call("POST", where, body=body, headers={"Idempotency-Key": key})

    def send(self, stage: Stage) -> Counts:
        """Sends the stage's rounds, the batches of a round all at once; what came of them."""
        counts = dict.fromkeys(self.counts, 0)
        with ThreadPoolExecutor(CONNECTIONS) as pool:
            for batches in stage.rounds:
                for answer in pool.map(self._send_batch, batches):
                    counts = {name: n + answer[name] for name, n in counts.items()}
        self.counts = {name: n + counts[name] for name, n in self.counts.items()}
        return counts

    def _send_batch(self, batch: list[Event]) -> Counts:
        body = f"[{','.join(event.json() for event in batch)}]"
        answer: Counts = self.ingest.call("POST", "/v1/events", body=body.encode())
        return answer

    def is_refused(self, changed: Event) -> bool:
        """Whether an event under the identity of a sent one, with other data, is a conflict."""
        try:
            self._send_batch([changed])
        except ApiError as error:
            return error.status == 409
        return False


def sent(rounds: Iterable[Round]) -> int:
    """How many events the rounds hold, resends included."""
    return sum(len(batch) for batches in rounds for batch in batches)
