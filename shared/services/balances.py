"""Balances and the ledger that explains them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.accounts import allowance_unit
from shared.domain.credits import draw_order
from shared.domain.errors import InvalidError, Problem
from shared.domain.ledger import LedgerEntry
from shared.domain.money import is_currency
from shared.services.granting import HeldGrant, held_grant
from shared.services.standing import Books, Standing
from shared.services.store import Page

# How many pages one request reads on to find entries of one unit.
MAX_PAGES_READ = 10


@dataclass(frozen=True, slots=True)
class Balance:
    """What a customer holds of a unit at an instant, in nanos.

    `settled` is what is left of the active `grants`, which are in the order that usage draws them.
    `overage` is what no grant covered in the current billing period, `reserved` what open
    reservations hold now.
    """

    unit: str
    settled: int
    reserved: int
    overage: int
    as_of: datetime
    grants: tuple[HeldGrant, ...]


def balance(books: Books, key: str, unit: str, at: datetime | None = None) -> Balance:
    """The balance in one unit, now or as the same grants will stand at a later instant.

    Raises: NotFoundError; InvalidError for an unknown unit or an instant in the past.
    """
    standing = books.standing(key).caught_up()
    if not _is_unit(standing, unit):
        raise InvalidError("No such unit.", [Problem("/unit", "unknown-unit")])
    return _balance(standing, unit, _instant(standing, at))


def balances(books: Books, key: str, at: datetime | None = None) -> Sequence[Balance]:
    """The balances in every unit that the customer holds or that its plan charges.

    Raises: NotFoundError; InvalidError for an instant in the past.
    """
    standing = books.standing(key).caught_up()
    charged = {rate.unit for rate in standing.plan.rate_cards if rate.price is not None}
    instant = _instant(standing, at)
    return [
        _balance(standing, unit, instant) for unit in sorted(charged | set(standing.account.grants))
    ]


def _instant(standing: Standing, at: datetime | None) -> datetime:
    if at is not None and at < standing.now:
        raise InvalidError("Past balances are in the ledger.", [Problem("/at", "unsupported")])
    return at or standing.now


def _is_unit(standing: Standing, unit: str) -> bool:
    allowances = map(allowance_unit, standing.catalogue.meters)
    return is_currency(unit) or unit in standing.catalogue.units or unit in allowances


def _balance(standing: Standing, unit: str, at: datetime) -> Balance:
    left = standing.account.grants.get(unit, {})
    active = [g for key in left if (g := standing.grants[key]).active_at(at)]
    held = tuple(held_grant(g, left[g.id], at) for g in sorted(active, key=draw_order))
    return Balance(
        unit=unit,
        settled=sum(item.remaining for item in held),
        reserved=standing.account.reserved.get(unit, 0),
        overage=_overage(standing, unit),
        as_of=at,
        grants=held,
    )


def _overage(standing: Standing, unit: str) -> int:
    account = standing.account
    total = 0
    for phase in account.phases:
        if phase.period == account.current.period:
            plan = phase.plan_in(standing.catalogue)
            cards = zip(plan.rate_cards, phase.totals, strict=True)
            total += sum(totals.overage for rate, totals in cards if rate.unit == unit)
    return total


def ledger(
    books: Books,
    key: str,
    unit: str | None,
    limit: int,
    cursor: str | None,
    *,
    newest_first: bool = False,
) -> Page[LedgerEntry]:
    """Ledger entries in order of the account's versions; with `unit`, those that moved it.

    A page may be shorter than `limit` before the end, where entries of the unit are far apart.
    Raises: NotFoundError.
    """
    books.customer(key)
    found: list[LedgerEntry] = []
    for _ in range(MAX_PAGES_READ):
        wanted = limit - len(found)
        page = books.store.ledger(key, wanted, cursor, newest_first=newest_first)
        found += [entry for entry in page.items if unit is None or unit in entry.changes]
        cursor = page.cursor
        if cursor is None or len(found) >= limit:
            break
    return Page(tuple(found), cursor)
