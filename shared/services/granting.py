"""Granting and voiding credits on a customer's account."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

from shared.domain.catalogue import Catalogue
from shared.domain.credits import Grant, GrantSource
from shared.domain.errors import InvalidError, NotFoundError, Problem
from shared.domain.events import canonical_json
from shared.domain.granting import add_grant, void_grant
from shared.domain.money import is_currency, to_nanos
from shared.services.changes import Change, PutAudit, PutGrant
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer

GrantStatus = Literal["scheduled", "active", "used_up", "expired", "voided"]


@dataclass(frozen=True, slots=True)
class GrantOrder:
    """A grant as it is asked for. `effective_at` None is now, `expires_at` None is never."""

    unit: str
    amount: Decimal
    source: GrantSource
    priority: int
    effective_at: datetime | None
    expires_at: datetime | None
    cost_basis: Decimal | None
    meters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HeldGrant:
    """A grant and what is left of it, in nanos."""

    grant: Grant
    remaining: int
    status: GrantStatus


Render = Callable[[HeldGrant], str]


def grant_credits(
    books: Books, write: MoneyWrite, order: GrantOrder, render: Render
) -> StoredAnswer:
    """Gives the customer the grant; `render` makes the answer.

    Raises: NotFoundError, InvalidError, ConflictError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        grant = _ordered_grant(before, write, order)
        account = add_grant(
            before.account, grant, before.now, before.catalogue, before.grants.values()
        )
        cause = {"grant": grant.id, "source": grant.source}
        grants = {**before.grants, grant.id: grant}
        changes = books.posting(before, account, grants, "grant", cause)
        changes += [PutGrant(grant), _audit(books, write, "grant.create", None, grant)]
        left = account.grants.get(grant.unit, {}).get(grant.id, 0)
        return Decision(changes, render(held_grant(grant, left, before.now)), 201)

    return commit_once(books.store, write, decide)


def void_credits(books: Books, write: MoneyWrite, grant_id: str, render: Render) -> StoredAnswer:
    """Takes back what is left of the grant; voiding it again changes nothing.

    Raises: NotFoundError, ConflictError for an expired grant, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        grant = books.store.grants(write.customer, [grant_id]).get(grant_id)
        if grant is None:
            raise NotFoundError("No such grant.")
        outcome = void_grant(before.account, grant, before.now)
        changes: list[Change] = []
        if outcome is not None:
            account, voided = outcome
            grants = {key: held for key, held in before.grants.items() if key != grant_id}
            changes = books.posting(before, account, grants, "void", {"grant": grant_id})
            changes += [PutGrant(voided), _audit(books, write, "grant.void", grant, voided)]
            grant = voided
        return Decision(changes, render(held_grant(grant, 0, before.now)))

    return commit_once(books.store, write, decide)


def list_grants(books: Books, key: str) -> Sequence[HeldGrant]:
    """Every grant of the customer, oldest first, spent and voided ones too.

    Raises: NotFoundError.
    """
    standing = books.standing(key)
    left = {grant: n for held in standing.account.grants.values() for grant, n in held.items()}
    grants = sorted(books.store.all_grants(key), key=lambda g: (g.created_at, g.id))
    return [held_grant(grant, left.get(grant.id, 0), standing.now) for grant in grants]


def held_grant(grant: Grant, remaining: int, now: datetime) -> HeldGrant:
    """The grant as it stands at the instant."""
    status: GrantStatus = "active"
    if grant.voided_at is not None:
        status = "voided"
    elif grant.expires_at is not None and grant.expires_at <= now:
        status = "expired"
    elif not remaining:
        status = "used_up"
    elif now < grant.effective_at:
        status = "scheduled"
    return HeldGrant(grant, remaining, status)


def _ordered_grant(standing: Standing, write: MoneyWrite, order: GrantOrder) -> Grant:
    problems = [*_amount_problems(standing.catalogue, order), *_meter_problems(standing, order)]
    if problems:
        raise InvalidError("The grant breaks a rule at each place listed.", problems)
    paid_in = order.unit if is_currency(order.unit) else standing.customer.currency
    return Grant(
        id=_grant_id(write),
        customer=write.customer,
        unit=order.unit,
        amount=to_nanos(order.amount),
        source=order.source,
        effective_at=order.effective_at or standing.now,
        created_at=standing.now,
        expires_at=order.expires_at,
        priority=order.priority,
        meters=order.meters,
        cost_basis=order.cost_basis,
        cost_currency=(paid_in or standing.plan.currency) if order.cost_basis else None,
    )


def _grant_id(write: MoneyWrite) -> str:
    """One id per key, so that a repeat can only ever make the same grant."""
    identity = canonical_json([write.customer, write.key])
    return "gr_" + hashlib.sha256(identity.encode()).hexdigest()[:24]


def _amount_problems(catalogue: Catalogue, order: GrantOrder) -> list[Problem]:
    if not is_currency(order.unit) and order.unit not in catalogue.units:
        return [Problem("/unit", "unknown-unit")]
    code = catalogue.amount_problem(order.unit, to_nanos(order.amount))
    return [Problem("/amount", code)] if code else []


def _meter_problems(standing: Standing, order: GrantOrder) -> list[Problem]:
    known = standing.catalogue.meters
    return [
        Problem(f"/meters/{i}", "unknown-meter")
        for i, meter in enumerate(order.meters)
        if meter not in known
    ]


def _audit(
    books: Books, write: MoneyWrite, action: str, before: Grant | None, after: Grant
) -> PutAudit:
    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=action,
        subject=f"{write.customer}/{after.id}",
        before=asdict(before) if before else {},
        after=asdict(after),
    )
