"""Topping up: what a plan gives where less than it promises is left to roll over."""

from collections.abc import Sequence

from shared.domain.catalogue import Plan
from shared.domain.credits import Grant
from shared.domain.periods import Span


def topped_up(
    customer: str, ended: Plan, rolled: Sequence[Grant], span: Span, number: int
) -> tuple[Grant, ...]:
    """What has rolled over into the phase, and what it lacks of the least that `ended` passes on.

    `ended` is what was in force of the plan of the phase before. The difference is issued as a
    grant of its own, so that what rolled over stays money that was there before.
    """
    left = {grant.unit: grant.amount for grant in rolled}
    given = [
        Grant(
            id=f"p{number}-m{index}",
            customer=customer,
            unit=item.unit,
            amount=item.rollover_min_nanos - left.get(item.unit, 0),
            source="plan",
            effective_at=span.start,
            created_at=span.start,
            expires_at=span.end,
            rollover_max=item.rollover_max_nanos,
        )
        for index, item in enumerate(ended.credits)
    ]
    return (*rolled, *(grant for grant in given if grant.amount > 0))
