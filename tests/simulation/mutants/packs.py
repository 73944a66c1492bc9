"""Planted bugs in packs: what they give, from when, and what is charged for them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from shared.domain import packs
from shared.domain.accounts import Account
from shared.domain.catalogue import AddOn
from shared.domain.credits import Grant
from shared.domain.errors import VersionConflictError
from shared.domain.granting import period_start
from shared.domain.packs import Purchase
from shared.services import buying
from shared.services.store import StoredAnswer
from tests.simulation.mutants.planting import Patch, mutant


@mutant
def pack_from_the_periods_start() -> Sequence[Patch]:
    """A pack covers what was used in the period before it was bought."""
    right = packs.buy_pack

    def wrong(account: Account, *arguments: Any, **options: Any) -> Purchase:
        return right(account, *arguments, **{**options, "now": period_start(account)})

    return [(buying, "buy_pack", wrong)]


@mutant
def pack_bought_again_by_a_resend() -> Sequence[Patch]:
    """A purchase has a name of its own each time, and is not looked up by its key."""
    names = iter(range(10**9))
    right = buying.canonical_json

    def commit(store: Any, write: Any, decide: Callable[[], Any]) -> StoredAnswer:
        while True:
            decision = decide()
            try:
                store.commit(decision.changes)
            except VersionConflictError:
                continue
            return StoredAnswer(write.request_hash, decision.status, decision.answer)

    return [
        (buying, "commit_once", commit),
        (buying, "canonical_json", lambda identity: right([*identity, str(next(names))])),
    ]


def _sold(change: Callable[[Purchase], Purchase]) -> Patch:
    right = packs.buy_pack
    return buying, "buy_pack", lambda *a, **options: change(right(*a, **options))


@mutant
def pack_not_invoiced() -> Sequence[Patch]:
    return [_sold(lambda purchase: replace(purchase, invoice=None))]


def _as_if(
    give: Callable[[AddOn, int], tuple[AddOn, int]],
    charge: Callable[[AddOn, int], tuple[AddOn, int]],
) -> Patch:
    """Grants are those of one order, the invoice is that of another."""
    right = packs.buy_pack

    def wrong(account: Account, add_on: AddOn, quantity: int, *a: Any, **options: Any) -> Purchase:
        given = right(account, *give(add_on, quantity), *a, **options)
        charged = right(account, *charge(add_on, quantity), *a, **options)
        return replace(given, invoice=charged.invoice)

    return buying, "buy_pack", wrong


@mutant
def packs_at_the_price_of_one() -> Sequence[Patch]:
    return [_as_if(lambda add_on, n: (add_on, n), lambda add_on, _: (add_on, 1))]


@mutant
def packs_hold_what_one_does() -> Sequence[Patch]:
    return [_as_if(lambda add_on, _: (add_on, 1), lambda add_on, n: (add_on, n))]


@mutant
def pack_over_with_the_period() -> Sequence[Patch]:
    """A pack that lasts so many days is over with the period that it was bought in."""
    right = packs._expiry

    def wrong(add_on: AddOn, account: Account, now: Any) -> Any:
        days = add_on.expires.startswith("P")
        return right(replace(add_on, expires="period_end") if days else add_on, account, now)

    return [(packs, "_expiry", wrong)]


@mutant
def pack_said_to_be_free() -> Sequence[Patch]:
    """What was paid for a pack is not its grant's cost basis."""

    def wrong(purchase: Purchase) -> Purchase:
        return replace(purchase, grants=tuple(map(_free, purchase.grants)))

    return [_sold(wrong)]


def _free(grant: Grant) -> Grant:
    return replace(grant, cost_basis=None, cost_currency=None)


@mutant
def credit_kept_from_packs() -> Sequence[Patch]:
    """What earlier invoices left over does not pay for packs."""
    return [(buying, "carry", lambda invoice, credit: (invoice, credit))]
