"""Refilling: included credits that bring a balance to their amount instead of adding to it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain.catalogue import Plan
from shared.domain.credits import Grant, Purse


def refilled(plan: Plan, given: Sequence[Grant], purse: Purse, at: datetime) -> tuple[Grant, ...]:
    """What of the plan's grants is given where the purse holds some of them already.

    Of credits that refill, as much as plans gave before and is left at the instant is not given.
    """
    units = _refilled_units(plan)
    lacking = (
        replace(g, amount=g.amount - _left_of_plans(purse, g.unit, at)) if g.unit in units else g
        for g in given
    )
    return tuple(grant for grant in lacking if grant.amount > 0)


def unused_of(
    plan: Plan, given: Sequence[Grant], purse: Purse, at: datetime
) -> Iterator[tuple[Grant, int]]:
    """Each of the plan's whole grants with what is unused of it, in nanos.

    Of credits that refill it is what plans gave and is left, whichever grant that stands in.
    """
    units = _refilled_units(plan)
    for grant in given:
        if grant.unit in units:
            yield grant, min(grant.amount, _left_of_plans(purse, grant.unit, at))
        else:
            yield grant, purse.remaining.get(grant.unit, {}).get(grant.id, 0)


def _refilled_units(plan: Plan) -> set[str]:
    return {item.unit for item in plan.credits if item.refill}


def _left_of_plans(purse: Purse, unit: str, at: datetime) -> int:
    left = purse.remaining.get(unit, {})
    own = (g for g in purse.grants if g.source == "plan" and g.active_at(at))
    return sum(left.get(grant.id, 0) for grant in own)
