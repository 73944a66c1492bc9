"""Replaying past phases under a plan: what their usage and their fees would have come to.

The phases keep their spans, states and seats; everything in them is computed as it was when it
happened: grants of the plan as a phase opens, usage charged in order of time, prices that can fall
at the end. Grants that are not the plan's are left out: who is compared under two plans has the
same of them under both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from shared.domain.accounts import Account, Phase, Totals
from shared.domain.catalogue import Catalogue, Plan
from shared.domain.closing import settled
from shared.domain.credits import Grant, Purse
from shared.domain.customers import Subscription
from shared.domain.invoices import Invoice, Line, phase_lines
from shared.domain.minimums import with_true_up
from shared.domain.money import round_to_minor
from shared.domain.opening import Beginning, open_phase, roll_over
from shared.domain.periods import Span, period_containing, prorate
from shared.domain.rating import charge_usage, counted_before, rate_card_index
from shared.domain.shares import Share
from shared.domain.topping_up import topped_up


@dataclass(frozen=True, slots=True)
class Past:
    """A phase as it was, and the rest of its billing period when it began.

    `cut_off`: its billing period ended with it, before the time that fees were for.
    """

    phase: Phase
    span: Span
    cut_off: bool = False


@dataclass(frozen=True, slots=True)
class Replayed:
    """A phase with the totals that it comes to; `fee` and the lines are in the plan's currency."""

    phase: Phase
    fee: int
    lines: tuple[Line, ...]

    @property
    def usage(self) -> int:
        """What usage comes to in money, less what the plan's credits paid for, in nanos."""
        return sum(line.amount for line in self.lines)


def past_phases(
    phases: Sequence[Phase], subscription: Subscription, catalogue: Catalogue
) -> list[Past]:
    """The phases, oldest first, each with its place in the whole period that fees are for."""
    found = []
    for phase in phases:
        mine = [other for other in phases if other.period == phase.period]
        start, end = mine[0].start, mine[-1].end
        plan = catalogue.plan(phase.plan, phase.plan_version)
        if phase.state != "trial":
            # A calendar period may have begun before the customer did.
            whole = period_containing(
                plan.interval, plan.period, subscription.anchor, subscription.timezone, phase.start
            )
            if plan.period == "anniversary" and whole != (start, end):
                # It ended because the next one began anew: only it tells from when it counted.
                whole = period_containing(
                    plan.interval, plan.period, start, subscription.timezone, start
                )
            if plan.period == "calendar" or whole.end >= end:
                start, end = whole
        cut_off = phase == mine[-1] and phase.end < end
        found.append(Past(phase, Span(phase.start, end, start), cut_off))
    return found


def under_one_plan(
    phases: Iterable[tuple[Past, Sequence[Share]]],
) -> list[tuple[Past, Sequence[Share]]]:
    """The phases as they would have been on one plan all the time, each with its usage.

    Where only the plan changed inside a billing period, there would have been one phase. One
    without length, as of who chose a plan at once, goes with the next. What a period gives that was
    cut off is by the second, as its fee is.
    """
    merged: list[tuple[Past, Sequence[Share]]] = []
    for past, shares in phases:
        if not merged or not _continues(merged[-1][0].phase, past.phase):
            merged.append((past, shares))
            continue
        before, earlier = merged.pop()
        longer = replace(
            past,
            phase=_joined(before.phase, past.phase),
            span=replace(past.span, start=before.span.start),
        )
        merged.append((longer, [*earlier, *shares]))
    return [(_as_long_as_it_was(past), shares) for past, shares in merged]


def _continues(before: Phase, after: Phase) -> bool:
    _, seats = before.seats[-1] if before.seats else (before.start, before.quantity)
    kept = (before.period, before.state, seats)
    return before.start == before.end or kept == (after.period, after.state, after.quantity)


def _joined(before: Phase, after: Phase) -> Phase:
    """Both as one phase, which began with the first one's seats if that had any length."""
    if before.start == before.end:
        return replace(after, start=before.start)
    seats = (*before.seats, *after.seats)
    return replace(after, start=before.start, quantity=before.quantity, seats=seats)


def _as_long_as_it_was(past: Past) -> Past:
    if not past.cut_off:
        return past
    span = replace(past.span, end=past.phase.end, whole_end=past.span.end)
    return replace(past, span=span)


@dataclass(slots=True)
class Replay:
    """One customer's phases under plans, oldest first."""

    subscription: Subscription
    catalogue: Catalogue
    _account: Account = field(init=False)
    _grants: dict[str, Grant] = field(default_factory=dict)
    _ran_out: bool = False  # whether the phase before ended with its period, and was not cut off

    def __post_init__(self) -> None:
        self._account = Account(self.subscription.customer)

    def phase(self, past: Past, plan: Plan, shares: Sequence[Share]) -> Replayed:
        """The phase under the published or drafted plan, which the catalogue must hold.

        Raises: RatingError.
        """
        was, span = past.phase, past.span
        terms = replace(self.subscription, quantity=was.quantity)
        number = self._next_number()
        rolled, left = roll_over(self._account, tuple(self._grants.values()), span, number)
        if self._ran_out:
            ended = self._account.current.plan_in(self.catalogue)
            rolled = topped_up(self._account.customer, ended, rolled, span, number)
        self._ran_out = was.end == span.end
        opening = open_phase(
            replace(self._account, grants=left),
            plan,
            Beginning(span, was.state, terms),
            was.period,
            grants=tuple(self._grants.values()),
            rolled=rolled,
        )
        self._grants |= {grant.id: grant for grant in opening.grants}
        phase = replace(opening.account.current, end=was.end)
        account = self._charged(opening.account, phase, shares)
        self._account = settled(account, self.catalogue, (), self._grants, was.period)
        over = self._account.current
        as_it_was = replace(over, number=was.number)
        lines = phase_lines(as_it_was, over.totals, self.catalogue)
        return Replayed(as_it_was, _fee(plan, past), tuple(lines))

    def _next_number(self) -> int:
        return self._account.current.number + 1 if self._account.phases else 1

    def _charged(self, account: Account, phase: Phase, shares: Sequence[Share]) -> Account:
        """The account with only this phase, and its usage charged."""
        plan = phase.plan_in(self.catalogue)
        purse = Purse(tuple(self._grants.values()), account.grants)
        totals = list(phase.totals)
        counted: set[tuple[int, str]] = set()
        for share in shares:
            measurement = share.measurement
            index = rate_card_index(plan, measurement)
            if index is None:
                continue
            if measurement.distinct is not None:
                if (index, measurement.distinct) in counted:
                    measurement = counted_before(measurement)
                counted.add((index, measurement.distinct or ""))
            at = _within(phase, share.at)
            charge = charge_usage(plan.rate_cards[index], totals[index], measurement, at, purse)
            totals[index], purse = charge.totals, charge.purse
        phase = replace(phase, totals=tuple(totals))
        return replace(account, phases=(phase,), grants=purse.remaining)


def true_ups(phases: Sequence[Replayed], subscription: Subscription, catalogue: Catalogue) -> int:
    """What the usage of each billing period falls short of its plan's minimum, in nanos."""
    missing = 0
    for period in dict.fromkeys(each.phase.period for each in phases):
        mine = [each for each in phases if each.phase.period == period]
        plan = mine[-1].phase.plan_in(catalogue)
        invoice = Invoice(
            id="",
            customer=subscription.customer,
            kind="period",
            period=period,
            start=mine[0].phase.start,
            end=mine[-1].phase.end,
            currency=plan.currency,
            lines=tuple(line for each in mine for line in each.lines),
        )
        account = Account(subscription.customer, phases=tuple(each.phase for each in mine))
        lines = with_true_up(invoice, account, subscription, catalogue).lines
        missing += sum(line.amount for line in lines if line.kind == "minimum")
    return missing


def same_usage(phase: Phase, actual: Sequence[Totals]) -> bool:
    """Whether the replayed phase counted exactly the usage that the actual totals did."""
    pairs = zip(phase.totals, actual, strict=True)
    return all((a.count, a.value, a.checksum) == (b.count, b.value, b.checksum) for a, b in pairs)


def with_draft(catalogue: Catalogue, draft: Plan) -> Catalogue:
    """The catalogue as if the draft were published."""
    plans: Mapping[str, tuple[Plan, ...]] = {**catalogue.plans, draft.key: (draft,)}
    return replace(catalogue, plans=plans)


def _within(phase: Phase, at: datetime) -> datetime:
    """Usage from before the first phase draws what that phase was given."""
    return max(at, phase.start)


def _fee(plan: Plan, past: Past) -> int:
    """The fee by the second, for as long as the phase was, rounded as invoices do.

    Where the number of seats changed, the old fee is credited for the rest and the new one charged.
    """
    phase = past.phase

    def rest(quantity: int, since: datetime) -> int:
        fee = plan.in_force(phase.state, quantity).fee_nanos
        lasts = int((phase.end - since).total_seconds())
        return round_to_minor(prorate(fee, lasts, past.span.whole_seconds), plan.currency)

    fee, seats = rest(phase.quantity, phase.start), phase.quantity
    for at, quantity in phase.seats:
        fee += rest(quantity, at) - rest(seats, at)
        seats = quantity
    return fee
