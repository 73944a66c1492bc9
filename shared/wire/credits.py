"""Grants, balances and the ledger on the wire."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from shared.domain.credits import Grant, GrantSource
from shared.domain.ledger import EntryKind, LedgerEntry
from shared.domain.money import from_nanos
from shared.services.balances import Balance
from shared.services.granting import GrantOrder, GrantStatus, HeldGrant
from shared.wire.common import (
    Bounds,
    DecimalText,
    Identifier,
    Items,
    PageQuery,
    QueryModel,
    Time,
    WireModel,
)
from shared.wire.prices import UnitPrice

MAX_METERS = 20

Amount = Annotated[Decimal, Bounds(places=9, lowest=Decimal("0.000000001"))]


class GrantBody(WireModel):
    """A grant of a currency or a credit unit. `effective_at` is now unless given.

    `cost_basis` is the money that was paid for one unit.
    """

    unit: Identifier
    amount: Amount
    source: Literal["purchase", "promotion", "reward", "plan"]
    priority: Annotated[int, Field(ge=0, le=255)] = 100
    effective_at: Time | None = None
    expires_at: Time | None = None
    cost_basis: UnitPrice | None = None
    meters: Annotated[Items[Identifier], Field(max_length=MAX_METERS)] = ()

    def to_order(self) -> GrantOrder:
        """What is asked for."""
        return GrantOrder(
            unit=self.unit,
            amount=self.amount,
            source=self.source,
            priority=self.priority,
            effective_at=self.effective_at,
            expires_at=self.expires_at,
            cost_basis=self.cost_basis,
            meters=self.meters,
        )


class GrantView(WireModel):
    """A grant and what is left of it."""

    id: str
    unit: str
    amount: DecimalText
    remaining: DecimalText
    status: GrantStatus
    source: GrantSource
    priority: int
    meters: list[str]
    effective_at: Time
    expires_at: Time | None
    voided_at: Time | None
    created_at: Time
    cost_basis: DecimalText | None
    cost_currency: str | None

    @classmethod
    def of(cls, held: HeldGrant) -> "GrantView":
        """The grant as it is shown."""
        grant = held.grant
        return cls(
            id=grant.id,
            unit=grant.unit,
            amount=from_nanos(grant.amount),
            remaining=from_nanos(held.remaining),
            status=held.status,
            source=grant.source,
            priority=grant.priority,
            meters=list(grant.meters),
            effective_at=grant.effective_at,
            expires_at=grant.expires_at,
            voided_at=grant.voided_at,
            created_at=grant.created_at,
            cost_basis=grant.cost_basis,
            cost_currency=grant.cost_currency,
        )


class BalanceQuery(QueryModel):
    """`unit`: a currency, a credit unit, or `meter:<key>` for what a meter's allowances hold."""

    unit: Identifier | None = None
    at: Time | None = None


class BalanceView(WireModel):
    """What a customer holds of a unit. `settled` is the sum of what the listed grants hold.

    The grants are in the order in which usage draws them. `available` is settled less reserved.
    """

    unit: str
    settled: DecimalText
    reserved: DecimalText
    available: DecimalText
    overage: DecimalText
    as_of: Time
    grants: list[GrantView]

    @classmethod
    def of(cls, balance: Balance) -> "BalanceView":
        """The balance as it is shown."""
        return cls(
            unit=balance.unit,
            settled=from_nanos(balance.settled),
            reserved=from_nanos(balance.reserved),
            available=from_nanos(balance.settled - balance.reserved),
            overage=from_nanos(balance.overage),
            as_of=balance.as_of,
            grants=[GrantView.of(held) for held in balance.grants],
        )


class BalancesView(WireModel):
    """The balances in every unit that the customer holds or that its plan charges."""

    data: list[BalanceView]


class LedgerQuery(PageQuery):
    """With `unit`, only entries that moved it."""

    unit: Identifier | None = None
    order: Literal["asc", "desc"] = "asc"


class LedgerChangeView(WireModel):
    """A signed posting on one grant, and the money that was paid per unit of it, if any was."""

    unit: str
    grant: str
    amount: DecimalText
    cost_basis: DecimalText | None
    cost_currency: str | None

    @classmethod
    def of(cls, unit: str, grant: str, nanos: int, granted: Grant | None) -> "LedgerChangeView":
        """The posting as it is shown."""
        return cls(
            unit=unit,
            grant=grant,
            amount=from_nanos(nanos),
            cost_basis=granted.cost_basis if granted else None,
            cost_currency=granted.cost_currency if granted else None,
        )


class LedgerEntryView(WireModel):
    """One step of the account, over its versions (from_version, version].

    `balance_after` is what all grants of the unit hold after it: of the unit asked for, else of
    each one that is held or was moved. `amount` is the entry's sum in the unit asked for. `at` of
    usage and repairs is when they were recorded, by the machine's clock; else the customer's time.
    """

    version: int
    from_version: int
    at: Time
    kind: EntryKind
    cause: dict[str, str]
    changes: list[LedgerChangeView]
    amount: DecimalText | None
    balance_after: DecimalText | dict[str, DecimalText]

    @classmethod
    def of(
        cls, entry: LedgerEntry, unit: str | None, grants: Mapping[str, Grant]
    ) -> "LedgerEntryView":
        """The entry as it is shown to someone who asks for one unit, or for all of them."""
        shown = sorted(entry.changes) if unit is None else [unit]
        changes = [
            LedgerChangeView.of(name, grant, nanos, grants.get(grant))
            for name in shown
            for grant, nanos in entry.changes.get(name, {}).items()
        ]
        after: Decimal | dict[str, Decimal]
        if unit is None:
            units = sorted({*entry.changes, *entry.remaining})
            after = {name: from_nanos(entry.balance_after(name)) for name in units}
        else:
            after = from_nanos(entry.balance_after(unit))
        return cls(
            version=entry.to_version,
            from_version=entry.from_version,
            at=entry.at,
            kind=entry.kind,
            cause=dict(entry.cause),
            changes=changes,
            amount=None if unit is None else sum((c.amount for c in changes), Decimal(0)),
            balance_after=after,
        )
