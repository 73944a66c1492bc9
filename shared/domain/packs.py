"""Packs: an add-on bought once is live at once, and invoiced at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.domain.accounts import Account
from shared.domain.catalogue import AddOn, Catalogue
from shared.domain.credits import Grant
from shared.domain.granting import add_grant
from shared.domain.invoices import Invoice, Line, invoice_id
from shared.domain.money import round_to_minor
from shared.domain.pack_contents import contents
from shared.domain.periods import Span, parse_days


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
    rest: Span | None = None,
) -> Purchase:
    """Buys so many packs: they cover usage from now on. `reference` names the purchase.

    Of a recurring add-on what it costs and gives is the share of the `rest` of the period.

    Raises: ConflictError when too many grants are open.
    """
    share = rest.share if rest else int
    given = tuple(
        Grant(
            id=f"{reference}-{index}",
            customer=account.customer,
            unit=unit,
            amount=share(nanos * quantity),
            source="add_on",
            effective_at=now,
            created_at=now,
            expires_at=_expiry(add_on, account, now),
            cost_basis=basis,
            cost_currency=add_on.currency if basis else None,
        )
        for index, (unit, nanos, basis) in enumerate(contents(add_on))
    )
    grants = tuple(grant for grant in given if grant.amount)
    after = account
    for grant in grants:
        after = add_grant(after, grant, now, catalogue, (*others, *grants))
    price = share(add_on.price_nanos * quantity)
    invoice = (
        _invoice(account, add_on, quantity, reference, nanos=price, now=now) if price else None
    )
    return Purchase(after, grants, invoice)


def _expiry(add_on: AddOn, account: Account, now: datetime) -> datetime | None:
    if add_on.expires == "never":
        return None
    if add_on.expires == "period_end":
        return account.current.end
    return now + timedelta(days=parse_days(add_on.expires))


def _invoice(
    account: Account, add_on: AddOn, quantity: int, reference: str, *, nanos: int, now: datetime
) -> Invoice:
    phase = account.current
    line = Line(
        kind="add_on",
        description=f"{add_on.name} × {quantity}",
        amount=round_to_minor(nanos, add_on.currency),
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
