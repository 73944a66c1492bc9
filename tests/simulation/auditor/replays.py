"""What events do to totals and grants, one after the other, as the documents say."""

from collections.abc import Mapping
from datetime import datetime
from fractions import Fraction

from tests.simulation.auditor.arithmetic import NANO, half_away
from tests.simulation.auditor.evidence import Event, Plain, Usage
from tests.simulation.auditor.order import NEVER, place_in_order
from tests.simulation.auditor.picture import PhasePicture
from tests.simulation.auditor.prices import event_nanos, price_nanos, waits_for_the_end

Card = tuple[int, int]  # a phase's number, and the place of a rate card in its plan
Totals = dict[Card, Plain]
Held = Mapping[str, Mapping[str, int]]  # unit -> grant -> what is left of it
Outcome = tuple[dict[Card, tuple[Fraction, int, int, int]], Held]
MONEY = ("amount", "drawn", "overage")


class Replay:
    """Totals and what is left of `grants`, from a version on. `now` are the totals of the next
    version: of greatest and distinct values, what an event added is taken from there.
    """

    def __init__(self, grants: dict[str, Plain], held: Held, was: Totals, now: Totals) -> None:
        self._grants = grants
        self._held = {unit: dict(left) for unit, left in held.items()}
        self._was, self._now = was, now
        self._totals: Totals = {}

    def take(self, phase: PhasePicture, event: Event, valid_since: datetime | None) -> None:
        """Takes an event; a reversal gives back to grants that were `valid_since` then."""
        at = max(event.occurred_at, phase.start)
        for usage in event.usages:
            index = phase.card_of(usage)
            if index is not None:
                totals, card = self._of(phase, index), phase.cards[index]
                totals["count"] += usage.sign
                single = [(usage.quantity, usage.sign)]
                totals["event_amounts"] += event_nanos(card["price"], single)
                added = self._added((phase.number, index), usage)
                self._cover(card, totals, added, at, valid_since)
                self._rate(card, totals, at, valid_since)

    def lower(
        self, phase: PhasePicture, index: int, reversal: Event, valid_since: datetime | None
    ) -> None:
        """Takes a card's value down to what is left beside what a reversal took back."""
        at, card = max(reversal.occurred_at, phase.start), phase.cards[index]
        self._cover(card, self._of(phase, index), self._fall(phase, index), at, valid_since)
        self._rate(card, self._of(phase, index), at, valid_since)

    def _of(self, phase: PhasePicture, index: int) -> Plain:
        place = phase.number, index
        return self._totals.setdefault(place, dict(self._was[place]))

    def _fall(self, phase: PhasePicture, index: int) -> Fraction:
        place = phase.number, index
        return Fraction(self._now[place]["value"]) - Fraction(self._was[place]["value"])

    @property
    def outcome(self) -> Outcome:
        """What the cards that the events touched came to, and what is left of grants."""
        return _money(self._totals), _open(self._held)

    def found(self, held: Held) -> Outcome:
        """What they came to in the account."""
        return _money({card: self._now[card] for card in self._totals}), _open(held)

    def before(self, held: Held) -> Outcome:
        """What they were."""
        return _money({card: self._was[card] for card in self._totals}), _open(held)

    def _added(self, place: Card, usage: Usage) -> Fraction:
        """What the usage adds to the value of its card."""
        if usage.aggregation not in ("max", "unique_count"):
            return usage.sign * usage.quantity
        if usage.sign < 0:
            return Fraction(0)  # What is left counts: that is found out in a step of its own.
        return Fraction(self._now[place]["value"]) - Fraction(self._was[place]["value"])

    def _cover(
        self, card: Plain, totals: Plain, added: Fraction, at: datetime, since: datetime | None
    ) -> None:
        """Allowances take what comes; of what goes, they get back what was not rated."""
        unit = f"meter:{card['meter']}"
        value, covered = Fraction(totals["value"]), Fraction(totals["covered"])
        if since is None:
            free = added - max(Fraction(0), covered - value)
            moved = self._draw(unit, half_away(free * NANO), card["meter"], at)
        else:
            back = min(-added - max(Fraction(0), value - covered), covered)
            moved = -self._give_back(unit, half_away(back * NANO), card["meter"], at, since)
        totals |= {"value": value + added, "covered": covered + Fraction(moved, NANO)}

    def _rate(self, card: Plain, totals: Plain, at: datetime, since: datetime | None) -> None:
        """The price moves overage and draws; one that can fall waits for its period's end."""
        price = card["price"]
        if price is None or waits_for_the_end(card):
            return
        rated = Fraction(totals["value"]) - Fraction(totals["covered"])
        amount = price_nanos(price, rated, totals["count"], totals["event_amounts"])
        due, overage = amount - totals["amount"], totals["overage"]
        if since is None:
            # What corrections left to be credited is filled up first.
            drawn = self._draw(card["unit"], due + min(0, overage), card["meter"], at)
        else:
            back = min(-due - max(0, overage), totals["drawn"])
            drawn = -self._give_back(card["unit"], back, card["meter"], at, since)
        totals["amount"] = amount
        totals["drawn"] += drawn
        totals["overage"] += due - drawn

    def _draw(self, unit: str, nanos: int, meter: str, at: datetime) -> int:
        """Takes up to so much, in the declared order."""
        left, taken = self._held.get(unit, {}), 0
        for grant in sorted(self._able(unit, meter, at), key=place_in_order):
            part = max(0, min(nanos - taken, left.get(grant["id"], 0)))
            if part:
                left[grant["id"]] -= part
                taken += part
        return taken

    def _give_back(self, unit: str, nanos: int, meter: str, at: datetime, since: datetime) -> int:
        """Gives back up to so much to those drawn last, never more than they were granted."""
        left, given = self._held.setdefault(unit, {}), 0
        for grant in sorted(self._able(unit, meter, at), key=place_in_order, reverse=True):
            if since < (grant["expires_at"] or NEVER):
                held = left.get(grant["id"], 0)
                part = max(0, min(nanos - given, grant["amount"] - held))
                left[grant["id"]] = held + part
                given += part
        return given

    def _able(self, unit: str, meter: str, at: datetime) -> list[Plain]:
        """The grants that usage of the meter at the time may draw."""
        return [
            grant
            for grant in self._grants.values()
            if grant["unit"] == unit
            and grant["effective_at"] <= at < (grant["expires_at"] or NEVER)
            and (not grant["meters"] or meter in grant["meters"])
        ]


def _money(totals: Totals) -> dict[Card, tuple[Fraction, int, int, int]]:
    return {
        card: (Fraction(t["covered"]), t["amount"], t["drawn"], t["overage"])
        for card, t in totals.items()
    }


def _open(held: Held) -> Held:
    """What is left of grants that have something left."""
    kept = {unit: {key: n for key, n in left.items() if n} for unit, left in held.items()}
    return {unit: left for unit, left in kept.items() if left}
