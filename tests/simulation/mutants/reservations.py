"""Planted bugs in what is reserved, settled, released, and let expire."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shared.domain import folding
from shared.domain.accounts import Account
from shared.domain.credits import Purse
from shared.domain.folding import Fold
from shared.domain.reservations import Ended, Reservation, lapse, release, settle
from shared.services import billing_run, lapsing, reservations, standing
from tests.simulation.mutants.planting import Patch, mutant


@mutant
def reserved_twice_over() -> Sequence[Patch]:
    """What is reserved already is still available to the next who reserves."""
    return [(Account, "available", Account.usable)]


@mutant
def reserved_of_what_is_over() -> Sequence[Patch]:
    """Grants that are not active yet, or not any more, or for other meters, can be reserved."""

    def wrong(self: Account, unit: str, *_: Any) -> int:
        return self.remaining(unit)

    return [(Account, "usable", wrong)]


@mutant
def released_again_frees_again() -> Sequence[Patch]:
    """Whoever releases what has ended takes off what others hold."""

    def wrong(account: Account, reservation: Reservation, now: Any) -> Ended | None:
        if reservation.unit not in account.reserved:
            return release(account, reservation, now)
        return release(account, replace(reservation, status="open"), now)

    return [(reservations, "release", wrong)]


@mutant
def settled_again_draws_again() -> Sequence[Patch]:
    def wrong(account: Account, reservation: Reservation, *arguments: Any) -> Ended:
        settled = reservation.status == "settled"
        held = replace(reservation, status="expired") if settled else reservation
        return settle(account, held, *arguments)

    return [(reservations, "settle", wrong)]


@mutant
def settled_beyond_what_is_available() -> Sequence[Patch]:
    """Settling draws what there is, though others have reserved it, and calls that the amount."""

    def wrong(account: Account, held: Reservation, amount: int, grants: Any, now: Any) -> Ended:
        freed = settle(account, held, 0, grants, now)
        purse = Purse(tuple(grants.values()), account.grants)
        drawn, purse = purse.draw(held.unit, amount, held.meter or "", now)
        [settled] = freed.reservations
        after = replace(freed.account, grants=purse.remaining)
        return Ended(after, (replace(settled, drawn=drawn),))

    return [(reservations, "settle", wrong)]


@mutant
def settled_as_of_its_beginning() -> Sequence[Patch]:
    """Settling draws the grants that were active when it was reserved."""

    def wrong(account: Account, held: Reservation, amount: int, grants: Any, now: Any) -> Ended:
        ended = settle(account, held, amount, grants, held.created_at)
        return replace(ended, reservations=(replace(ended.reservations[0], ended_at=now),))

    return [(reservations, "settle", wrong)]


@mutant
def expired_stays_open() -> Sequence[Patch]:
    """Nobody ends a reservation whose time is over."""
    return [(place, "lapsed", lambda *_: None) for place in (standing, billing_run)]


@mutant
def expired_stays_reserved() -> Sequence[Patch]:
    """A reservation ends in time, and its amount stays set aside."""

    def wrong(account: Account, *arguments: Any) -> Ended:
        ended = lapse(account, *arguments)
        return replace(ended, account=replace(ended.account, reserved=account.reserved))

    return [(lapsing, "lapse", wrong)]


@mutant
def settling_event_frees_nothing() -> Sequence[Patch]:
    """An event that settles a reservation draws what it costs, and leaves the rest set aside."""
    right = folding.settle_by_usage

    def wrong(before: Account, after: Account, *arguments: Any) -> Ended:
        return replace(right(before, after, *arguments), account=after)

    return [(folding, "settle_by_usage", wrong)]


@mutant
def settling_event_draws_what_was_reserved() -> Sequence[Patch]:
    """A reservation that an event settled says that it was used in full."""
    right = folding.settle_by_usage

    def wrong(before: Account, after: Account, held: Reservation, event: Any) -> Ended:
        ended = right(before, after, held, event)
        return replace(ended, reservations=(replace(ended.reservations[0], drawn=held.amount),))

    return [(folding, "settle_by_usage", wrong)]


@mutant
def settling_event_settles_nothing() -> Sequence[Patch]:
    """An event draws what it costs, and the reservation that it names stays open."""
    return [(Fold, "_settle", lambda _self, after, _event: after)]
