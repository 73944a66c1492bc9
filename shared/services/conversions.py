"""Asking a free plan's customers to pay, and moving those who confirm to the plan that they chose.

The rules ask from the accounts' stream and once a day; both look at the account as it stands, so
that an account version that was lost, or comes again, makes no difference.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Literal

from shared.domain.accounts import Account
from shared.domain.conversions import (
    Conversion,
    ConversionNotOpenError,
    PaymentMethod,
    conversion_chosen,
    conversion_due,
)
from shared.domain.errors import VersionConflictError
from shared.domain.subscriptions import Target
from shared.services.changes import Change, PutAudit, SaveConversion
from shared.services.clock import customer_now
from shared.services.entitlements import catalogue_of
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer
from shared.services.subscribing import change_at_once

Action = Literal["start", "confirm", "decline"]


@dataclass(frozen=True, slots=True)
class ConversionOrder:
    """What is asked for; only a confirmation names the payment method, and it must."""

    action: Action
    payment_method: PaymentMethod | None = None


@dataclass(frozen=True, slots=True)
class Converting:
    """How a customer stands, and its latest conversion, if any."""

    standing: Standing
    latest: Conversion | None


Render = Callable[[Converting], str]


def ask(books: Books, account: Account) -> bool:
    """Asks the customer to pay if its plan's rules say so now; whether it did.

    It is asked once, whoever calls this and however often.
    Raises: UnavailableError.
    """
    catalogue = catalogue_of(books, account)
    if account.current.plan_in(catalogue).converts_to is None:
        return False
    now = customer_now(books.store, books.clock, account)
    account = _with_validity(books, account)
    # In the usual case nothing is due even if nothing was asked before: one read less.
    if conversion_due(account, catalogue, None, now) is None:
        return False
    latest = books.store.conversion(account.customer)
    due = conversion_due(account, catalogue, latest, now)
    if due is None:
        return False
    try:
        books.store.commit([SaveConversion(due, None)])
    except VersionConflictError:
        return False
    return True


def read_conversion(books: Books, key: str) -> Converting:
    """What was last asked of the customer.

    Raises: NotFoundError, UnavailableError.
    """
    return Converting(books.standing(key).caught_up(), books.store.conversion(key))


def change_conversion(
    books: Books, write: MoneyWrite, order: ConversionOrder, render: Render
) -> StoredAnswer:
    """Starts a conversion by choice, confirms or declines the open one; `render` makes the answer.

    A confirmation changes the plan in the same commit; it and a refusal happen once, repeats
    change nothing.
    Raises: NotFoundError, NotConvertibleError, ConversionNotOpenError, ConflictError,
    UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        latest = books.store.conversion(write.customer)
        changes, after = _carry_out(books, Converting(before, latest), order)
        if changes and after.latest:
            changes.append(_audit(books, write, order, latest, after.latest))
        return Decision(changes, render(after))

    return commit_once(books.store, write, decide)


def _carry_out(
    books: Books, before: Converting, order: ConversionOrder
) -> tuple[list[Change], Converting]:
    """The changes and what is there after them; none for what has been done already."""
    standing, latest = before.standing, before.latest
    if order.action == "start":
        chosen = conversion_chosen(standing.account, standing.catalogue, latest, standing.now)
        changes: list[Change] = [] if chosen == latest else [SaveConversion(chosen, None)]
        return changes, Converting(standing, chosen)
    if latest is not None and _done(latest, standing, order):
        return [], before
    if latest is None or latest.status(standing.account.current, standing.now) != "asked":
        raise ConversionNotOpenError("Nothing is open that could be confirmed or declined.")
    if order.payment_method is None:
        declined = latest.declined(standing.now)
        return [SaveConversion(declined, "asked")], Converting(standing, declined)
    wanted = Target(standing.catalogue.latest_plan(latest.to), standing.subscription.quantity)
    changes, after = change_at_once(books, standing, wanted)
    confirmed = latest.confirmed(order.payment_method, standing.now)
    return [*changes, SaveConversion(confirmed, "asked")], Converting(after, confirmed)


def _done(latest: Conversion, standing: Standing, order: ConversionOrder) -> bool:
    """Whether the order has been carried out: a customer back on the free plan is asked anew."""
    if order.action == "decline":
        return latest.stored == "declined"
    return latest.stored == "confirmed" and standing.account.current.plan != latest.plan


def _with_validity(books: Books, account: Account) -> Account:
    """The account with the validity of all its grants: one written before it was kept has none."""
    missing = set(account.open_grants) - account.validity.keys()
    if not missing:
        return account
    found = books.store.grants(account.customer, missing)
    validity = {grant.id: grant.validity for grant in found.values()}
    return replace(account, validity={**account.validity, **validity})


def _audit(
    books: Books,
    write: MoneyWrite,
    order: ConversionOrder,
    before: Conversion | None,
    after: Conversion,
) -> PutAudit:
    return PutAudit(
        at=books.clock.now(),
        actor=write.actor,
        action=f"conversion.{order.action}",
        subject=write.customer,
        before=asdict(before) if before else {},
        after=asdict(after),
    )
