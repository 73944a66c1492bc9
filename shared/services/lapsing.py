"""Ending reservations whose time is over: by whoever comes first, the schedule at the latest."""

from datetime import datetime

from shared.domain.accounts import Account
from shared.domain.ledger import entry_between
from shared.domain.reservations import Ended, id_at, lapse
from shared.services.changes import Change, PutLedgerEntry, SaveAccount, SaveReservation
from shared.services.store import BillingStore


def lapsed(store: BillingStore, account: Account, now: datetime) -> Ended | None:
    """What ending the reservations whose time is over comes to; None if there are none."""
    if account.reserved_until is None or account.reserved_until > now:
        return None
    upcoming = store.reservations_from(account.customer, id_at(account.reserved_until))
    return lapse(account, upcoming, now)


def lapse_changes(account: Account, ended: Ended, now: datetime) -> list[Change]:
    """The changes that end them on an account read at this version, with the ledger entry."""
    cause = {"reservations": " ".join(each.id for each in ended.reservations)}
    return [
        SaveAccount(ended.account, account.version),
        PutLedgerEntry(entry_between(account, ended.account, now, "expire", cause)),
        *(SaveReservation(each, "open") for each in ended.reservations),
    ]
