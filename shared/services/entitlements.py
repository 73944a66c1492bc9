"""Answering entitlements from one read of the account."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from shared.domain import entitlements as domain
from shared.domain.accounts import Account
from shared.domain.catalogue import Catalogue
from shared.domain.entitlements import Entitlement
from shared.domain.errors import NotFoundError
from shared.services.clock import customer_now
from shared.services.standing import Books


def entitlement(books: Books, customer: str, name: str) -> Entitlement:
    """Whether the customer may use the feature or meter now.

    Raises: NotFoundError for an unknown customer, UnavailableError.
    """
    account, catalogue, now = _basis(books, customer)
    return domain.entitlement(account, catalogue, name, now)


def entitlements(books: Books, customer: str) -> Sequence[Entitlement]:
    """The same for every feature and meter of the customer's plan, by name.

    Raises: NotFoundError for an unknown customer, UnavailableError.
    """
    return domain.entitlements(*_basis(books, customer))


def _basis(books: Books, customer: str) -> tuple[Account, Catalogue, datetime]:
    """What is answered from: in the usual case the account, and a catalogue that is at hand."""
    account = books.store.account(customer)
    if account is None:
        raise NotFoundError("No such customer.")
    now = customer_now(books.store, books.clock, account)
    due = min(account.reserved_until or account.boundary, account.boundary)
    if now < due and account.validity.keys() >= set(account.open_grants):
        return account, catalogue_of(books, account), now
    # The period, the terms or a reservation are over, and nobody has taken that step yet.
    standing = books.standing(customer).caught_up()
    validity = {grant.id: grant.validity for grant in standing.grants.values()}
    return replace(standing.account, validity=validity), standing.catalogue, standing.now


def catalogue_of(books: Books, account: Account) -> Catalogue:
    """One that has the account's plans: published versions never change, so age does not matter."""
    catalogue = books.catalogue.fresh()
    try:
        for phase in account.phases:
            phase.plan_in(catalogue)
    except NotFoundError:
        return books.catalogue.newest()
    return catalogue
