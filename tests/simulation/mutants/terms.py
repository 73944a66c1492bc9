"""Planted bugs in what a period opens with, changes of plan, seats and fees."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain import carrying, closing, discounts, opening, subscriptions
from shared.domain.accounts import Account
from shared.domain.catalogue import Plan
from shared.domain.credits import Grant
from shared.domain.invoices import Invoice
from shared.domain.periods import Span
from shared.services import subscribing
from tests.simulation.mutants.planting import Patch, mutant


def _rolled(change: Callable[[Any, Any, Any], Any]) -> Patch:
    right = opening.roll_over

    def wrong(account: Any, grants: Any, span: Any, number: int) -> Any:
        return change(account, grants, lambda a, g: right(a, g, span, number))

    return opening, "roll_over", wrong


@mutant
def rollover_without_cap() -> Sequence[Patch]:
    def roll(account: Any, grants: Sequence[Grant], right: Any) -> Any:
        caps = {g.id: g.rollover_max for g in grants}
        uncapped = [replace(g, rollover_max=10**18 if caps[g.id] else 0) for g in grants]
        rolled, remaining = right(account, uncapped)
        cap = max(caps.values(), default=0)
        return tuple(replace(g, rollover_max=cap) for g in rolled), remaining

    return [_rolled(roll)]


@mutant
def rollover_makes_money() -> Sequence[Patch]:
    """What rolls over also stays with the grant it came from."""

    def roll(account: Any, grants: Any, right: Any) -> Any:
        return right(account, grants)[0], account.grants

    return [_rolled(roll)]


@mutant
def recurring_grant_counted_twice() -> Sequence[Patch]:
    given = opening.plan_grants

    def wrong(customer: str, plan: Any, span: Any, number: int) -> Any:
        grants = given(customer, plan, span, number)
        return tuple(replace(g, amount=2 * g.amount) if number > 1 else g for g in grants)

    return [(opening, "plan_grants", wrong)]


@mutant
def proration_a_second_off() -> Sequence[Patch]:
    share = Span.share

    def wrong(self: Span, nanos: int) -> int:
        if self.start == self.whole_start:
            return share(self, nanos)
        return share(replace(self, start=self.start - timedelta(seconds=1)), nanos)

    return [(Span, "share", wrong)]


@mutant
def periods_in_utc() -> Sequence[Patch]:
    right = opening.period_containing

    def wrong(interval: Any, mode: Any, anchor: Any, timezone: str, instant: Any) -> Any:
        return right(interval, mode, anchor, "UTC", instant)

    return [(opening, "period_containing", wrong)]


@mutant
def change_of_plan_cuts_off_usage() -> Sequence[Patch]:
    def wrong(now: Any, phase: Any) -> Any:
        return min(max(now, phase.start), phase.end)

    return [(subscriptions, "_not_before_usage", wrong)]


@mutant
def fee_charged_again_after_a_change() -> Sequence[Patch]:
    """The period's own invoice charges in advance what the change has charged."""
    right = closing.upcoming_fee

    def wrong(account: Account, *arguments: Any) -> Any:
        phases = tuple(replace(p, fee_invoiced=False) for p in account.phases)
        return right(replace(account, phases=phases), *arguments)

    return [(closing, "upcoming_fee", wrong)]


@mutant
def used_up_plan_gives_its_fee_back() -> Sequence[Patch]:
    return [(subscriptions, "_fee_of_unused", lambda _account, _purse, paid, *_: paid.fee_nanos)]


@mutant
def trial_starts_again() -> Sequence[Patch]:
    right = opening._trial_end

    def wrong(terms: Any, plan: Any, at: Any) -> Any:
        return right(replace(terms, trial_started_at=None), plan, at)

    return [(opening, "_trial_end", wrong)]


@mutant
def pause_is_billed() -> Sequence[Patch]:
    right = Plan.in_force
    return [(Plan, "in_force", lambda plan, _state, seats: right(plan, "active", seats))]


@mutant
def old_seats_not_credited() -> Sequence[Patch]:
    def wrong(account: Any, terms: Any, *, current: Any, quantity: int, now: Any) -> Any:
        one = replace(terms, quantity=1)
        return right(account, one, current=current, quantity=quantity, now=now)

    right = subscriptions.change_quantity
    return [(subscribing, "change_quantity", wrong)]


@mutant
def credit_left_over_is_lost() -> Sequence[Patch]:
    def wrong(invoice: Invoice, credit: int) -> tuple[Invoice, int]:
        return carrying.carry(invoice, credit)[0], 0

    return [(discounts, "carry", wrong)]
