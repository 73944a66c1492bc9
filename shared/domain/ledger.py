"""The ledger: one immutable entry for each version, or range of versions, of an account.

An entry holds what changed in each grant and what is left of each open grant after it, so balances
are explained line by line. Its key is the account version it leads to: whoever writes it, the first
one stands. Gap-free means that the ranges (from_version, to_version] are contiguous.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from shared.domain.accounts import Account

EntryKind = Literal[
    "usage",
    "opening",
    "grant",
    "add_on",
    "void",
    "close",
    "breakage",
    "subscription",
    "seats",
    "schedule",
    "repair",
    "hold",
    "reserve",
    "settle",
    "release",
    "expire",
]
Amounts = Mapping[str, Mapping[str, int]]  # unit -> grant id -> nanos


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """`changes` are signed nanos by unit and grant."""

    customer: str
    from_version: int
    to_version: int
    at: datetime
    kind: EntryKind
    changes: Amounts
    remaining: Amounts
    cause: Mapping[str, str]

    def balance_after(self, unit: str) -> int:
        """What all grants of the unit held together after this entry, in nanos."""
        return sum(self.remaining.get(unit, {}).values())


def entry_between(
    before: Account | None,
    after: Account,
    at: datetime,
    kind: EntryKind,
    cause: Mapping[str, str],
) -> LedgerEntry:
    """The entry that explains the step from one account version to a later one."""
    old: Amounts = before.grants if before else {}
    changes: dict[str, dict[str, int]] = {}
    for unit in sorted({*old, *after.grants}):
        was, now = old.get(unit, {}), after.grants.get(unit, {})
        moved = {g: now.get(g, 0) - was.get(g, 0) for g in sorted({*was, *now})}
        if any(moved.values()):
            changes[unit] = {g: nanos for g, nanos in moved.items() if nanos}
    return LedgerEntry(
        customer=after.customer,
        from_version=before.version if before else 0,
        to_version=after.version,
        at=at,
        kind=kind,
        changes=changes,
        remaining={unit: dict(left) for unit, left in after.grants.items()},
        cause=dict(cause),
    )
