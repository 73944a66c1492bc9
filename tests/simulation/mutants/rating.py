"""Planted bugs in what usage costs."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

from shared.domain import closing, folding, pricing, rating
from tests.simulation.mutants.planting import Patch, mutant


@mutant
def rounded_per_record() -> Sequence[Patch]:
    """Each record's price is rounded to a hundredth by itself."""
    charge = rating._charge_difference

    def wrong(rate: Any, totals: Any, at: Any, purse: Any) -> Any:
        charged = charge(rate, totals, at, purse)
        due = charged.totals.amount - totals.amount
        lost = due - due // 10**7 * 10**7
        short = min(lost, charged.totals.overage)
        amount, overage = charged.totals.amount - short, charged.totals.overage - short
        return replace(charged, totals=replace(charged.totals, amount=amount, overage=overage))

    return [(rating, "_charge_difference", wrong)]


@mutant
def first_bound_exclusive() -> Sequence[Patch]:
    """A quantity that equals a bound already pays the next tier's flat fee."""
    graduated = pricing.graduated

    def wrong(tiers: Any, quantity: Decimal) -> Any:
        bounds = {tier.up_to for tier in tiers}
        return graduated(
            tiers, quantity + Decimal("0.000000001") if quantity in bounds else quantity
        )

    return [(pricing, "graduated", wrong)]


@mutant
def last_matching_rate_wins() -> Sequence[Patch]:
    def wrong(plan: Any, measurement: Any) -> int | None:
        found = None
        for index, rate in enumerate(plan.rate_cards):
            if rate.matches(measurement.meter, measurement.dimensions):
                found = index
        return found

    return [(folding, "rate_card_index", wrong)]


@mutant
def allowance_not_taken_off() -> Sequence[Patch]:
    price = rating.price_nanos

    def wrong(rate_price: Any, usage: Any) -> int:
        more = replace(usage, quantity=usage.quantity + 1) if usage.quantity else usage
        return price(rate_price, more)

    return [(rating, "price_nanos", wrong)]


@mutant
def falling_price_charged_at_once() -> Sequence[Patch]:
    """A volume price is charged as usage comes, not when its period closes."""
    return [(rating, "can_fall", lambda price, *, averaged: False)]


@mutant
def falling_price_never_charged() -> Sequence[Patch]:
    """Closing leaves volume prices as usage left them."""
    return [(closing, "can_fall", lambda price, *, averaged: False)]


@mutant
def average_priced_as_a_sum() -> Sequence[Patch]:
    """What an average costs is computed from the sum of the events."""
    return [(rating, "mean", lambda value, count: value)]


@mutant
def single_events_rounded_together() -> Sequence[Patch]:
    """A price by event counts the events' cost in hundredths."""
    cost = rating.event_nanos

    def wrong(*arguments: Any) -> int:
        nanos: int = cost(*arguments) // 10**7 * 10**7
        return nanos

    return [(rating, "event_nanos", wrong)]
