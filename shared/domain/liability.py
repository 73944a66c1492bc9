"""What is owed in credits: issued, drawn, expired, voided and held, and what that is in money.

opening + issued = used + expired + voided + closing, for every kind of grant and any span of time.
Credits that were paid for are money received in advance: revenue as they are drawn (drawn × cost
basis), breakage as they expire, and a liability as long as they are held.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from shared.domain.credits import Grant, GrantSource
from shared.domain.ledger import EntryKind
from shared.domain.money import EXACT, from_nanos
from shared.domain.prices import ZERO
from shared.domain.recurring import is_renewal


class GrantKind(NamedTuple):
    """Grants that are alike to the books. `basis` is the money paid per unit, if any was."""

    unit: str
    source: GrantSource
    basis: Decimal | None
    currency: str | None


class Move(NamedTuple):
    """A signed posting on one grant, in nanos of its unit."""

    at: datetime
    kind: EntryKind
    grant: str
    nanos: int


@dataclass(frozen=True, slots=True)
class Flow:
    """What became of grants of a kind in a span of time, in nanos of their unit."""

    opening: int = 0
    issued: int = 0
    used: int = 0
    expired: int = 0
    voided: int = 0
    closing: int = 0

    def plus(self, other: "Flow") -> "Flow":
        """Both together."""
        return Flow(
            opening=self.opening + other.opening,
            issued=self.issued + other.issued,
            used=self.used + other.used,
            expired=self.expired + other.expired,
            voided=self.voided + other.voided,
            closing=self.closing + other.closing,
        )


def kind_of(grant: Grant) -> GrantKind:
    """The grant's kind. What renewals give is a part of their price, which is for the period."""
    if is_renewal(grant):
        return GrantKind(grant.unit, grant.source, None, None)
    return GrantKind(grant.unit, grant.source, grant.cost_basis, grant.cost_currency)


def is_owed(grant: Grant) -> bool:
    """Whether it is credit, or was paid for: a plan's allowances are a part of its fee."""
    return not (grant.source == "plan" and grant.unit.startswith("meter:"))


def flows(
    grants: Sequence[Grant],
    held: Mapping[str, int],
    moves: Sequence[Move],
    start: datetime,
    end: datetime,
) -> dict[GrantKind, Flow]:
    """What became of the grants in [start, end), by kind.

    `held` is what each holds after all the moves, which are those since `start` at least.
    """
    found: dict[GrantKind, Flow] = {}
    by_grant: dict[str, list[Move]] = {}
    for move in moves:
        by_grant.setdefault(move.grant, []).append(move)
    for grant in grants:
        flow = _flow(grant, held.get(grant.id, 0), by_grant.get(grant.id, []), start, end)
        if flow != Flow():
            kind = kind_of(grant)
            found[kind] = found.get(kind, Flow()).plus(flow)
    return found


def _flow(grant: Grant, held: int, moves: Sequence[Move], start: datetime, end: datetime) -> Flow:
    closing = held - sum(move.nanos for move in moves if move.at >= end)
    within = [move for move in moves if start <= move.at < end]
    moved = sum(move.nanos for move in within)
    expired = -sum(move.nanos for move in within if move.kind == "breakage")
    voided = -sum(move.nanos for move in within if move.kind == "void")
    issued = grant.amount if start <= grant.created_at < end and not _rolled_over(grant) else 0
    return Flow(
        opening=closing - moved,
        issued=issued,
        used=issued - moved - expired - voided,
        expired=expired,
        voided=voided,
        closing=closing,
    )


def _rolled_over(grant: Grant) -> bool:
    """Whether it was issued already, by the plan grants that it comes from."""
    return grant.source == "plan" and "-r-" in grant.id


def value_of(kind: GrantKind, nanos: int) -> Decimal:
    """The exact money paid for so much, nothing where nothing was."""
    return EXACT.multiply(from_nanos(nanos), kind.basis) if kind.basis is not None else ZERO
