"""Planted bugs in what grants are drawn, expire and are voided."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from shared.domain import closing, granting
from shared.domain import credits as credits_module
from shared.domain.accounts import Account
from shared.domain.credits import Grant, Purse
from shared.domain.ledger import entry_between
from shared.services import billing_run
from shared.services import granting as granting_service
from shared.services.changes import PutIdempotencyKey
from tests.fakes.billing_store import MemoryBillingStore
from tests.simulation.mutants.planting import Patch, mutant, unconditional


@mutant
def expired_grant_drawn() -> Sequence[Patch]:
    def wrong(self: Grant, instant: Any) -> bool:
        return instant >= self.effective_at

    return [(Grant, "active_at", wrong)]


@mutant
def drawn_in_the_order_of_ids() -> Sequence[Patch]:
    return [(credits_module, "draw_order", lambda grant: grant.id)]


@mutant
def later_grants_never_drawn() -> Sequence[Patch]:
    draw = Purse.draw

    def wrong(self: Purse, unit: str, nanos: int, meter: str, at: Any) -> Any:
        first = sorted(self.grants, key=credits_module.draw_order)[:2]
        taken, _ = draw(Purse(first, self.remaining), unit, nanos, meter, at)
        after = draw(Purse(first, self.remaining), unit, taken, meter, at)[1]
        return taken, Purse(self.grants, after.remaining)

    return [(Purse, "draw", wrong)]


@mutant
def draw_not_taken_from_the_grant() -> Sequence[Patch]:
    draw = Purse.draw

    def wrong(self: Purse, unit: str, nanos: int, meter: str, at: Any) -> Any:
        taken, after = draw(self, unit, nanos, meter, at)
        return taken, after if taken != nanos else self

    return [(Purse, "draw", wrong)]


@mutant
def broken_before_its_usage() -> Sequence[Patch]:
    """A grant's remainder is breakage at once when it expires, without the grace."""
    right = closing.break_expired

    def wrong(account: Any, grants: Any, now: Any, grace: timedelta) -> Any:
        return right(account, grants, now, timedelta())

    return [(billing_run, "break_expired", wrong)]


@mutant
def breakage_posted_twice() -> Sequence[Patch]:
    def wrong(before: Any, after: Any, at: Any, kind: Any, cause: Any) -> Any:
        entry = entry_between(before, after, at, kind, cause)
        if kind != "breakage":
            return entry
        twice = {u: {g: 2 * n for g, n in moved.items()} for u, moved in entry.changes.items()}
        return replace(entry, changes=twice)

    return [(billing_run, "entry_between", wrong)]


@mutant
def void_leaves_the_rest() -> Sequence[Patch]:
    right = granting.void_grant

    def wrong(account: Account, grant: Grant, now: Any) -> Any:
        outcome = right(account, grant, now)
        return outcome and (replace(account, version=account.version + 1), outcome[1])

    return [(granting_service, "void_grant", wrong)]


@mutant
def idempotency_key_ignored() -> Sequence[Patch]:
    unused = (MemoryBillingStore, "idempotent_answer", lambda *_: None)
    return [unused, unconditional(PutIdempotencyKey)]
