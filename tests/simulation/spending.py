"""What customers do with their balances: packs bought, parts reserved, settled and released."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from shared.domain.accounts import Account
from shared.domain.events import event_key
from shared.domain.folding import RESERVATION
from shared.domain.money import from_nanos, to_nanos
from shared.domain.reservations import Reservation
from shared.services.buying import BoughtPack, buy_add_on
from shared.services.ingest import Submission
from shared.services.reservations import (
    ReservationOrder,
    release_reservation,
    reserve_balance,
    settle_reservation,
    settle_with_event,
)
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.people import Wish


@dataclass
class Spending:
    """Makes up what to want; `usage` is an event of a customer, `take` has it stored."""

    rng: random.Random
    store: MemoryBillingStore  # what they can see on a page: it decides nothing
    units: list[str]
    add_ons: Sequence[str]
    usage: Callable[[str], Submission]
    take: Callable[[Submission], None]

    def draw(self, customer: str) -> Wish:
        """Something to want."""
        made = sorted(self.store.reservations_of.get(customer, {}).items())
        still = [each for _, each in made if each.status == "open"]
        known = still if still and self.rng.random() < 0.8 else [each for _, each in made]
        kinds = ["pack", "reserve", "reserve", "reserve"]
        kinds += ["settle", "settle", "settle by event", "release"] if known else []
        match self.rng.choice(kinds):
            case "pack":
                return self._pack()
            case "reserve":
                return self._reserve(customer)
            case "settle":
                return self._settle(self.rng.choice(known))
            case "settle by event":
                return self._settle_by_event(self.rng.choice(known))
            case _:
                return _release(self.rng.choice(known))

    def _pack(self) -> Wish:
        key, quantity = self.rng.choice(self.add_ons), self.rng.choice((1, 1, 2, 5))
        about = {"add_on": key, "quantity": quantity}
        return Wish("pack", lambda b, w: buy_add_on(b, w, key, quantity, _pack_text), about)

    def _reserve(self, customer: str) -> Wish:
        account = self.store.accounts.get(customer)
        units = sorted(account.grants) if account else []
        unit = self.rng.choice(units if units and self.rng.random() < 0.9 else self.units)
        amount = self._amount(account, unit)
        meter = self.rng.choice((None, None, "tokens", "letters"))
        if unit.startswith("meter:"):
            meter = None
        ttl = self.rng.choice((60, 3600, 20000, 86400))
        order = ReservationOrder(unit, amount, meter, ttl)
        about = {"unit": unit, "nanos": to_nanos(amount), "meter": meter}
        return Wish("reserve", lambda b, w: reserve_balance(b, w, order, _text), about)

    def _amount(self, account: Account | None, unit: str) -> Decimal:
        """Some of what is there, all of it, or anything."""
        held = account.remaining(unit) if account else 0
        parts = [nanos for nanos in (held // 7, held // 2, held) if nanos]
        return from_nanos(self.rng.choice([10**9, *parts]))

    def _settle(self, held: Reservation) -> Wish:
        nanos = self.rng.choice((0, held.amount // 3, held.amount, held.amount * 2))
        amount, about = from_nanos(nanos), {"reservation": held.id, "drawn": nanos}
        return Wish("settle", lambda b, w: settle_reservation(b, w, held.id, amount, _text), about)

    def _settle_by_event(self, held: Reservation) -> Wish:
        usage = self.usage(held.customer)
        usage = replace(usage, extensions={**usage.extensions, RESERVATION: held.id})
        key = event_key(usage.source, usage.id)
        return Wish(
            "settle by event",
            lambda books, write: settle_with_event(
                books, write, held.id, key, take=lambda: self.take(usage), render=_text
            ),
        )


def _release(held: Reservation) -> Wish:
    about = {"reservation": held.id}
    return Wish("release", lambda b, w: release_reservation(b, w, held.id, _text), about)


def _text(held: Reservation) -> str:
    return json.dumps({"id": held.id, "status": held.status, "drawn": held.drawn})


def _pack_text(bought: BoughtPack) -> str:
    grants = [held.grant.id for held in bought.grants]
    version, invoice = bought.add_on.version, bought.invoice
    return json.dumps({"version": version, "grants": grants, "invoice": invoice})
