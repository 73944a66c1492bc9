"""V6: what usage costs is drawn from grants or overage, to the nano, in the declared order."""

from collections.abc import Iterator
from datetime import UTC, datetime
from fractions import Fraction

from tests.simulation.auditor.evidence import Finding, Plain
from tests.simulation.auditor.grants import Flows
from tests.simulation.auditor.order import NEVER, place_in_order
from tests.simulation.auditor.picture import PhasePicture, Picture
from tests.simulation.auditor.prices import (
    charged_quantity,
    event_nanos,
    price_nanos,
    waits_for_the_end,
)

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def usage_is_rated(picture: Picture) -> Iterator[Finding]:
    """V6: amount = price of what no allowance covered; draw-downs + overage = amount."""
    for phase in picture.phases:
        events = [*phase.on_time, *(e for late in phase.late_events.values() for e in late)]
        tallies = phase.tallies(events)
        for index, (card, totals) in enumerate(zip(phase.cards, phase.totals, strict=True)):
            name = f"{picture.customer} phase {phase.number} rate {index}"
            covered, value = Fraction(totals["covered"]), Fraction(totals["value"])
            if totals["event_amounts"] != event_nanos(card["price"], tallies[index].quantities):
                yield Finding("V6", f"{name}: single events come to {totals['event_amounts']}")
            late = phase.late[index] if phase.late else None
            waits = waits_for_the_end(card)
            amount = _amount(card, totals, late if waits else None)
            if waits and phase.frozen is None:
                amount = 0
            if totals["amount"] != amount:
                yield Finding("V6", f"{name}: rated {totals['amount']}, the price is {amount}")
            if totals["drawn"] + totals["overage"] != totals["amount"]:
                yield Finding("V6", f"{name}: drawn + overage is not what was rated")
            # What a correction gives back finds neither overage nor a grant at times.
            exact = waits or tallies[index].corrected
            below = totals["overage"] < 0 and not exact
            beyond = covered > value and not tallies[index].corrected
            if covered < 0 or beyond or totals["drawn"] < 0 or below:
                yield Finding("V6", f"{name}: out of bounds {totals}")


def _amount(card: Plain, totals: Plain, unbilled: Plain | None) -> int:
    """The price of the totals, less those that no invoice has yet."""
    price = card["price"]
    if price is None:
        return 0
    billed = totals
    if unbilled is not None:
        billed = {name: totals[name] - unbilled[name] for name in totals}
    value, covered = Fraction(billed["value"]), Fraction(billed["covered"])
    quantity = charged_quantity(card, value, covered, billed["count"])
    return price_nanos(price, quantity, billed["count"], billed["event_amounts"])


def credits_come_first(picture: Picture, flows: Flows) -> Iterator[Finding]:
    """V6: no overage, and nothing beyond an allowance, while a grant that was there throughout
    the phase has something left."""
    if picture.account is None:
        return
    ledger = picture.stored["ledger"]
    for phase in picture.phases:
        left = picture.account["grants"]
        yield from _uncovered(picture, flows, phase, phase.late or phase.totals, left)
        place = flows.closed.get(phase.stored["period"])
        if phase.frozen is not None and place is not None:
            remaining = ledger[place]["remaining"]
            yield from _uncovered(picture, flows, phase, phase.frozen, remaining)


def _uncovered(
    picture: Picture,
    flows: Flows,
    phase: PhasePicture,
    totals: list[Plain],
    remaining: dict[str, dict[str, int]],
) -> Iterator[Finding]:
    if phase.frozen is not None and totals is phase.totals:
        return  # Closed, and nothing came late: what stands now says nothing of then.
    opened = flows.opened.get(phase.number, -1)
    for card, total in zip(phase.cards, totals, strict=True):
        wants = []
        if total["overage"] > 0:
            wants.append(card["unit"])
        if total["value"] > total["covered"]:
            wants.append(f"meter:{card['meter']}")
        # What a correction gives back later finds usage that is rated already.
        for unit in set(wants) - set(picture.given_back):
            for key, nanos in remaining.get(unit, {}).items():
                grant, flow = picture.stored["grants"].get(key), flows.grants[key]
                if grant is None or nanos <= 0 or not 0 <= flow.issued_in <= opened:
                    continue
                throughout = grant["effective_at"] <= phase.start
                throughout &= (grant["expires_at"] or NEVER) >= phase.end
                covers = not grant["meters"] or card["meter"] in grant["meters"]
                if throughout and covers:
                    yield Finding(
                        "V6",
                        f"{picture.customer} phase {phase.number}: {card['meter']} went past "
                        f"grant {key}, of which {nanos} is left",
                    )


def order_is_kept(picture: Picture) -> Iterator[Finding]:
    """V6: nothing is drawn from a grant while one that comes first could have served."""
    grants, given_back = picture.stored.get("grants", {}), picture.given_back
    for entry in picture.stored.get("ledger", []):
        if entry["kind"] not in ("usage", "settle"):
            continue
        for unit, moved in entry["changes"].items():
            if unit in given_back and given_back[unit] <= entry["at"]:
                continue
            left = entry["remaining"].get(unit, {})
            for drawn in (grants[key] for key, n in moved.items() if n < 0 and key in grants):
                for key, nanos in left.items():
                    other = grants.get(key)
                    if other and nanos > 0 and _served_first(other, drawn):
                        yield Finding(
                            "V6",
                            f"{picture.customer}: entry {entry['to']} drew {drawn['id']} "
                            f"before {key}",
                        )


def _served_first(other: Plain, drawn: Plain) -> bool:
    """Whether the other comes first and could serve all that the drawn one can."""
    longer = other["effective_at"] <= drawn["effective_at"]
    longer &= (other["expires_at"] or NEVER) >= (drawn["expires_at"] or NEVER)
    wider = not other["meters"] or bool(
        drawn["meters"] and set(drawn["meters"]) <= set(other["meters"])
    )
    return longer and wider and place_in_order(other) < place_in_order(drawn)
