"""One customer's phases, events and grants, put together from what is stored."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

from tests.simulation.auditor.arithmetic import CHECKSUM_MODULUS, calendar_start
from tests.simulation.auditor.evidence import (
    Dimensions,
    Event,
    Evidence,
    Plain,
    Usage,
    left_standing,
    read_event,
)

# Machines' clocks are up to ten minutes wrong: of who stores, and of who applies.
SKEW = timedelta(minutes=20)
METERING_ONLY: Plain = {
    "key": "metering-only",
    "version": 0,
    "currency": "USD",
    "interval": "month",
    "period": "calendar",
    "fee_nanos": 0,
    "allowances": [],
    "credits": [],
    "rates": [],
    "on_exhausted": "bill",
    "trial_days": 0,
    "bill_trial_usage": False,
}


@dataclass
class Tally:
    """Count, value by the meter's aggregation and checksum of usages, beyond those `before`."""

    before: list[Usage] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)

    def add(self, usage: Usage) -> None:
        self.usages.append(usage)

    @property
    def count(self) -> int:
        return sum(usage.sign for usage in self.usages)

    @property
    def checksum(self) -> int:
        return sum(usage.sign * usage.checksum for usage in self.usages) % CHECKSUM_MODULUS

    @property
    def quantities(self) -> list[tuple[Fraction, int]]:
        """What single events add, each with its sign."""
        return [(usage.quantity, usage.sign) for usage in self.usages]

    @property
    def corrected(self) -> bool:
        return any(usage.sign < 0 for usage in self.usages)

    @property
    def value(self) -> Fraction:
        return _value([*self.before, *self.usages]) - _value(self.before)

    def equals(self, totals: Plain) -> bool:
        same = (self.count, self.checksum) == (totals["count"], totals["checksum"])
        return same and self.value == Fraction(totals["value"])


def _value(usages: list[Usage]) -> Fraction:
    """What is billed of usages of one meter."""
    if usages and usages[0].aggregation == "max":
        return max([Fraction(0), *(usage.quantity for usage in left_standing(usages))])
    if usages and usages[0].aggregation == "unique_count":
        return Fraction(len({usage.value for usage in left_standing(usages)}))
    return sum((usage.sign * usage.quantity for usage in usages), Fraction(0))


@dataclass
class PhasePicture:
    """A phase. `frozen` are its totals at the close, None while it is open; `totals` those of all
    its usage, late usage included; `late` the late part that no invoice has yet.
    """

    stored: Plain
    plan: Plain
    cards: list[Plain]
    frozen: list[Plain] | None
    totals: list[Plain]
    late: list[Plain]
    invoice: str
    on_time: list[Event] = field(default_factory=list)
    late_events: dict[int, list[Event]] = field(default_factory=lambda: defaultdict(list))
    _taken_by: dict[tuple[str, Dimensions], int | None] = field(default_factory=dict)

    @property
    def number(self) -> int:
        return int(self.stored["number"])

    @property
    def start(self) -> datetime:
        start: datetime = self.stored["start"]
        return start

    @property
    def end(self) -> datetime:
        end: datetime = self.stored["end"]
        return end

    def card_of(self, usage: Usage) -> int | None:
        """The first rate card that matches takes the usage."""
        group = usage.meter, usage.dimensions
        if group not in self._taken_by:
            self._taken_by[group] = self._card_of(usage)
        return self._taken_by[group]

    def _card_of(self, usage: Usage) -> int | None:
        named = dict(usage.dimensions)
        for index, card in enumerate(self.cards):
            where = card["where"].items()
            if card["meter"] == usage.meter and all(named.get(k) == v for k, v in where):
                return index
        return None

    def tallies(self, events: Iterable[Event], before: Iterable[Event] = ()) -> list[Tally]:
        """What the events come to, by rate card, beyond those that were billed before them."""
        earlier = self._by_card(before)
        return [Tally(*both) for both in zip(earlier, self._by_card(events), strict=True)]

    def _by_card(self, events: Iterable[Event]) -> list[list[Usage]]:
        cards: list[list[Usage]] = [[] for _ in self.cards]
        for event in events:
            for usage in event.usages:
                index = self.card_of(usage)
                if index is not None:
                    cards[index].append(usage)
        return cards


def add_totals(a: Plain, b: Plain) -> Plain:
    added = {name: a[name] + b[name] for name in a}
    return {**added, "checksum": added["checksum"] % CHECKSUM_MODULUS}


class Picture:
    """Everything of one customer that the checks need."""

    def __init__(self, evidence: Evidence, customer: str, raw: list[Plain]) -> None:
        self.evidence = evidence
        self.customer = customer
        self.raw = raw
        self.stored = evidence.customers.get(customer, {})
        self.account: Plain | None = self.stored.get("account")
        self.versions = evidence.versions.get(customer, [])
        self.plans = {(p["key"], p["version"]): p for p in evidence.catalogue["plans"]}
        self.plans["metering-only", 0] = METERING_ONLY
        meters, newest = evidence.catalogue["meters"], evidence.catalogue["version"]
        self.averages = {m["key"] for m in meters if m["aggregation"] == "average"}
        read = {item["sk"]: read_event(item, meters, newest) for item in raw}
        self.unreadable = {key for key, event in read.items() if event is None}
        self.events = [event for event in read.values() if event is not None]
        self.quarantine = {q["key"]: q for q in self.stored.get("quarantine", [])}
        self.phases = self._phases() if self.account else []
        self.late_of = {(x["phase"], x["key"]): x["period"] for x in self.stored.get("late", [])}
        self._place()

    def lacks(self, event: Event, write: str) -> bool:
        """Whether quarantine kept the event from this write and no redrive made up for it."""
        kept = self.quarantine.get(event.key)
        if kept is None or kept["redriven"]:
            return False
        missing = kept["not_applied"]
        return write in missing or (write != "account" and "usage:*" in missing)

    def phase(self, number: int) -> PhasePicture | None:
        return next((p for p in self.phases if p.number == number), None)

    def group(self, period: int) -> list[PhasePicture]:
        """The phases of one billing period."""
        return [p for p in self.phases if p.stored["period"] == period]

    def whole_start(self, phase: PhasePicture) -> datetime:
        """The start of the whole period that the phase's fee and allowances are for."""
        if phase.stored["state"] == "trial":
            return phase.start
        if phase.plan["period"] == "calendar":
            zone = self.stored["subscription"]["timezone"]
            return calendar_start(phase.plan["interval"], phase.start, zone)
        return min(p.start for p in self.group(phase.stored["period"]))

    @cached_property
    def given_back(self) -> dict[str, datetime]:
        """The units whose grants corrections may have given to, each with when at the earliest."""
        found: dict[str, datetime] = {}
        for phase in self.phases:
            events = [*phase.on_time, *(e for late in phase.late_events.values() for e in late)]
            for event in events:
                for usage in event.usages:
                    index = phase.card_of(usage)
                    if usage.sign > 0 or index is None:
                        continue
                    for unit in (phase.cards[index]["unit"], f"meter:{usage.meter}"):
                        at = event.received_at - SKEW
                        found[unit] = min(at, found.get(unit, at))
        return found

    def _phases(self) -> list[PhasePicture]:
        assert self.account is not None
        late = self.account["late"]
        pictures = []
        for closed in self.stored["closed"]:
            stored = closed["phase"]
            waiting = late.get(stored["number"]) or []
            totals = closed["billed"]
            if waiting:
                totals = [add_totals(a, b) for a, b in zip(totals, waiting, strict=True)]
            pictures.append(self._picture(stored, stored["totals"], totals, waiting, closed))
        pictures += [
            self._picture(stored, None, stored["totals"], [], {"invoice": ""})
            for stored in self.account["phases"]
        ]
        return sorted(pictures, key=lambda p: p.number)

    def _picture(
        self,
        stored: Plain,
        frozen: list[Plain] | None,
        totals: list[Plain],
        late: list[Plain],
        closed: Plain,
    ) -> PhasePicture:
        published = self.plans[stored["plan"], stored["plan_version"]]
        plan = in_force(published, stored["state"], stored["quantity"])
        mine = [{**card, "averaged": card["meter"] in self.averages} for card in cards(plan)]
        return PhasePicture(stored, plan, mine, frozen, totals, late, closed["invoice"])

    def _place(self) -> None:
        """Puts each applied event into the phase that its own time picks."""
        for event in self.events:
            if not self.phases or self.lacks(event, "account"):
                continue
            started = [p for p in self.phases if p.start <= event.occurred_at]
            phase = started[-1] if started else self.phases[0]
            period = self.late_of.get((phase.number, event.key))
            if period is None:
                phase.on_time.append(event)
            else:
                phase.late_events[period].append(event)


def in_force(plan: Plain, state: str, seats: int) -> Plain:
    """What a plan comes to: all it gives and its fee for each seat, and no more in a pause or a
    trial than is promised there."""
    allowances = [{**a, "quantity": a["quantity"] * seats} for a in plan["allowances"]]
    credits_ = [{**c, "amount_nanos": c["amount_nanos"] * seats} for c in plan["credits"]]
    fee = plan["fee_nanos"] * seats if state == "active" else 0
    mine = {**plan, "fee_nanos": fee, "allowances": allowances, "credits": credits_}
    if state == "active" or (state == "trial" and plan["bill_trial_usage"]):
        return mine
    free = [{**card, "price": None} for card in cards(plan)]
    given = [] if state == "paused" else allowances
    return {**mine, "rates": free, "credits": [], "allowances": given}


def cards(plan: Plain) -> list[dict[str, Any]]:
    """A plan's rate cards: its rates, and one without a price for each meter that has an
    allowance and no rate for all its usage."""
    caught = {rate["meter"] for rate in plan["rates"] if not rate["where"]}
    bare = {"price": None, "unit": plan["currency"], "where": {}}
    free = dict.fromkeys(a["meter"] for a in plan["allowances"] if a["meter"] not in caught)
    return [*plan["rates"], *({**bare, "meter": meter} for meter in free)]
