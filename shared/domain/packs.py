"""Packs: an add-on bought once is live at once, and invoiced at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from shared.domain.accounts import Account, allowance_unit
from shared.domain.catalogue import AddOn, Catalogue
from shared.domain.credits import Grant
from shared.domain.granting import add_grant
from shared.domain.invoices import Invoice, Line, invoice_id
from shared.domain.money import EXACT, from_nanos, to_nanos
from shared.domain.periods import parse_days

BASIS_PLACES = Decimal("0.000000000001")


@dataclass(frozen=True, slots=True)
class Purchase:
    """The account with the packs' grants, and their invoice; None for packs that cost nothing."""

    account: Account
    grants: tuple[Grant, ...]
    invoice: Invoice | None


def buy_pack(
    account: Account,
    add_on: AddOn,
    quantity: int,
    reference: str,
    *,
    catalogue: Catalogue,
    others: tuple[Grant, ...],
    now: datetime,
) -> Purchase:
    """Buys so many packs: they cover usage from now on. `reference` names the purchase.

    Raises: ConflictError when too many grants are open.
    """
    grants = tuple(
        Grant(
            id=f"{reference}-{index}",
            customer=account.customer,
            unit=unit,
            amount=nanos * quantity,
            source="add_on",
            effective_at=now,
            created_at=now,
            expires_at=_expiry(add_on, account, now),
            cost_basis=basis,
            cost_currency=add_on.currency if basis else None,
        )
        for index, (unit, nanos, basis) in enumerate(_contents(add_on))
    )
    after = account
    for grant in grants:
        after = add_grant(after, grant, now, catalogue, (*others, *grants))
    invoice = _invoice(account, add_on, quantity, reference, now) if add_on.price_nanos else None
    return Purchase(after, grants, invoice)


def _contents(add_on: AddOn) -> list[tuple[str, int, Decimal | None]]:
    """What one pack holds: unit, nanos, and the money paid per unit where it holds one thing."""
    held = [(allowance_unit(a.meter), to_nanos(a.quantity)) for a in add_on.allowances]
    held += [(c.unit, c.amount_nanos) for c in add_on.credits]
    if len(held) > 1 or not add_on.price_nanos:
        return [(unit, nanos, None) for unit, nanos in held]
    [(unit, nanos)] = held
    basis = EXACT.divide(from_nanos(add_on.price_nanos), from_nanos(nanos))
    return [(unit, nanos, basis.quantize(BASIS_PLACES, ROUND_HALF_UP, EXACT))]


def _expiry(add_on: AddOn, account: Account, now: datetime) -> datetime | None:
    if add_on.expires == "never":
        return None
    if add_on.expires == "period_end":
        return account.current.end
    return now + timedelta(days=parse_days(add_on.expires))


def _invoice(
    account: Account, add_on: AddOn, quantity: int, reference: str, now: datetime
) -> Invoice:
    phase = account.current
    nanos = add_on.price_nanos * quantity
    line = Line(
        kind="add_on",
        description=f"{add_on.name} × {quantity}",
        amount=nanos,
        start=now,
        end=_expiry(add_on, account, now) or phase.end,
        plan=phase.plan,
        plan_version=phase.plan_version,
        unit=add_on.currency,
        unit_amount=nanos,
    )
    return Invoice(
        id=invoice_id(account.customer, "add_on", reference),
        customer=account.customer,
        kind="add_on",
        period=phase.period,
        start=now,
        end=line.end,
        currency=add_on.currency,
        lines=(line,),
    )
