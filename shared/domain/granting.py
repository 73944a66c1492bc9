"""What people do to credits: grant and void."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from shared.domain.accounts import MAX_OPEN_GRANTS_PER_UNIT, Account
from shared.domain.catalogue import Catalogue
from shared.domain.credits import Grant, Purse
from shared.domain.errors import ConflictError, InvalidError, Problem
from shared.domain.rating import cover_overage


def period_start(account: Account) -> datetime:
    """The start of the account's current billing period."""
    return min(p.start for p in account.phases if p.period == account.current.period)


def add_grant(
    account: Account,
    grant: Grant,
    now: datetime,
    catalogue: Catalogue,
    others: Iterable[Grant] = (),
) -> Account:
    """The account with the grant. One that reaches back to the period's start covers its overage.

    `others` are the open grants; those of plans do not count against the bound.

    Raises: InvalidError for dates that cannot be; ConflictError when too many grants are open.
    """
    if grant.expires_at is not None and grant.expires_at <= now:
        problem = Problem("/expires_at", "in-the-past")
        raise InvalidError("The grant would have expired before it is made.", [problem])
    if grant.expires_at is not None and grant.expires_at <= grant.effective_at:
        problem = Problem("/expires_at", "not-after-effective-at")
        raise InvalidError("The grant would expire before it takes effect.", [problem])
    if grant.effective_at < now and grant.effective_at != period_start(account):
        problem = Problem("/effective_at", "in-the-past")
        words = "A grant takes effect now, later, or at the start of the current period."
        raise InvalidError(words, [problem])
    _check_room(grant, others)
    granted = _holding(account, grant, grant.amount)
    reaches_back = grant.effective_at == period_start(account)
    return _cover(granted, grant, catalogue) if reaches_back else granted


def _cover(account: Account, grant: Grant, catalogue: Catalogue) -> Account:
    """Draws the grant for the overage of the current period, in the order of its rate cards."""
    purse = Purse([grant], account.grants)
    phases = []
    for phase in account.phases:
        totals = list(phase.totals)
        plan = phase.plan_in(catalogue)
        # What was free stays free: credits that were bought later do not pay for it.
        if phase.period == account.current.period and plan.converts_to is None:
            for i, rate in enumerate(plan.rate_cards):
                at = max(phase.start, grant.effective_at)
                charge = cover_overage(rate, totals[i], at, purse)
                totals[i], purse = charge.totals, charge.purse
        phases.append(replace(phase, totals=tuple(totals)))
    return replace(account, phases=tuple(phases), grants=purse.remaining)


def void_grant(account: Account, grant: Grant, now: datetime) -> tuple[Account, Grant] | None:
    """The account without the grant's unused part, and the grant voided; None if it was already.

    Raises: ConflictError for an expired grant.
    """
    if grant.voided_at is not None:
        return None
    if grant.expires_at is not None and grant.expires_at <= now:
        raise ConflictError("the grant has expired")
    held: Mapping[str, int] = account.grants.get(grant.unit, {})
    left = {key: nanos for key, nanos in held.items() if key != grant.id}
    grants = {unit: open_ for unit, open_ in account.grants.items() if unit != grant.unit}
    if left:
        grants[grant.unit] = left
    voided = replace(account, version=account.version + 1, grants=grants)
    return voided, replace(grant, voided_at=now)


def enlarge_grant(
    account: Account, grant: Grant, nanos: int, others: Iterable[Grant]
) -> tuple[Account, Grant]:
    """The account and a grant that it was given before, with so much more of it.

    `others` are the open grants. One that is used up opens again.
    Raises: ConflictError when too many grants are open.
    """
    _check_room(grant, others)
    return _holding(account, grant, nanos), replace(grant, amount=grant.amount + nanos)


def _holding(account: Account, grant: Grant, nanos: int) -> Account:
    """The account's next version, with so much more left of the grant."""
    held = dict(account.grants.get(grant.unit, {}))
    held[grant.id] = held.get(grant.id, 0) + nanos
    return replace(
        account,
        version=account.version + 1,
        grants={**account.grants, grant.unit: held},
        validity={**account.validity, grant.id: grant.validity},
    )


def _check_room(grant: Grant, others: Iterable[Grant]) -> None:
    counted = [o for o in others if o.unit == grant.unit and o.source != "plan"]
    if len(counted) >= MAX_OPEN_GRANTS_PER_UNIT and grant.id not in (o.id for o in counted):
        raise ConflictError(f"{MAX_OPEN_GRANTS_PER_UNIT} grants of {grant.unit} are open already")
