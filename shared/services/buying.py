"""Buying add-on packs for a customer."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

from shared.domain.carrying import carry
from shared.domain.catalogue import AddOn
from shared.domain.customers import SubscribedAddOn, Subscription
from shared.domain.errors import ConflictError, InvalidError, NotFoundError, Problem
from shared.domain.events import canonical_json
from shared.domain.money import MAX_MINOR_UNITS, MINOR_PLACES, NANO_PLACES
from shared.domain.opening import period_span
from shared.domain.packs import Purchase, buy_pack
from shared.domain.periods import Span
from shared.domain.recurring import MAX_RECURRING, ended
from shared.services.changes import PutAudit, PutGrant, SaveSubscription
from shared.services.finalizing import finalize
from shared.services.granting import HeldGrant, held_grant
from shared.services.idempotency import Decision, MoneyWrite, commit_once
from shared.services.standing import Books, Standing
from shared.services.store import StoredAnswer


@dataclass(frozen=True, slots=True)
class BoughtPack:
    """A purchase as it is shown: the grants as they stand, and its invoice's id, if it has one."""

    add_on: AddOn
    quantity: int
    grants: tuple[HeldGrant, ...]
    invoice: str | None


Render = Callable[[BoughtPack], str]


def buy_add_on(
    books: Books, write: MoneyWrite, key: str, quantity: int, render: Render
) -> StoredAnswer:
    """Buys the newest version of an add-on: granted and invoiced in one commit.

    Raises: NotFoundError, InvalidError, ConflictError, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        add_on = _wanted(before, key, quantity)
        identity = canonical_json([write.customer, write.key])
        reference = "pk_" + hashlib.sha256(identity.encode()).hexdigest()[:24]
        purchase = buy_pack(
            before.account,
            add_on,
            quantity,
            reference,
            catalogue=before.catalogue,
            others=tuple(before.grants.values()),
            now=before.now,
            rest=_rest_of_period(before) if add_on.interval else None,
        )
        bought = BoughtPack(add_on, quantity, (), None)
        return _decision(books, write, before, bought, purchase, render=render)

    return commit_once(books.store, write, decide)


def end_add_on(
    books: Books, write: MoneyWrite, key: str, render: Callable[[Standing], str]
) -> StoredAnswer:
    """Ends the customer's recurring packs of an add-on with the period; again, it changes nothing.

    Raises: NotFoundError, ConflictError for a reused key, UnavailableError.
    """

    def decide() -> Decision:
        before = books.open_standing(write.customer)
        period = before.account.current.period
        terms = before.subscription
        if not any(held.add_on == key and held.lasts(period) for held in terms.add_ons):
            raise NotFoundError("The customer has no such recurring add-on.")
        changed = tuple(
            ended((held,), period + 1)[0] if held.add_on == key else held for held in terms.add_ons
        )
        if changed == terms.add_ons:
            return Decision([], render(before))
        after = replace(before, subscription=replace(terms, add_ons=changed))
        audit = PutAudit(
            at=books.clock.now(),
            actor=write.actor,
            action="add-on.cancel",
            subject=write.customer,
            after={"add_on": key},
        )
        return Decision([SaveSubscription(after.subscription), audit], render(after))

    return commit_once(books.store, write, decide)


def _wanted(standing: Standing, key: str, quantity: int) -> AddOn:
    versions = standing.catalogue.add_ons.get(key)
    if not versions:
        raise InvalidError("No such add-on.", [Problem("/add_on", "unknown-add-on")])
    add_on = versions[-1]
    most = MAX_MINOR_UNITS * 10 ** (NANO_PLACES - MINOR_PLACES[add_on.currency])
    if add_on.price_nanos * quantity > most:
        raise InvalidError("Too much at once.", [Problem("/quantity", "out-of-range")])
    billed = standing.subscription.currency
    if add_on.price_nanos and billed not in (None, add_on.currency):
        raise ConflictError("The add-on is sold in another currency.")
    to_come = standing.next_plan if standing.subscription.scheduled else standing.plan
    if add_on.price_nanos and to_come.bills and to_come.currency != add_on.currency:
        raise ConflictError(
            "The add-on is sold in another currency than the plan that is scheduled."
        )
    metered = {rate.meter for rate in standing.plan.rate_cards}
    if any(allowance.meter not in metered for allowance in add_on.allowances):
        raise ConflictError("The customer's plan does not meter what the add-on includes.")
    if add_on.interval:
        _check_recurring(standing, add_on)
    return add_on


def _check_recurring(standing: Standing, add_on: AddOn) -> None:
    """Raises: ConflictError."""
    if add_on.interval != standing.plan.interval:
        raise ConflictError("The add-on recurs by another interval than the customer's plan.")
    if standing.account.current.state != "active":
        raise ConflictError("A recurring add-on can be bought once the trial or the pause is over.")
    if len(standing.subscription.add_ons) >= MAX_RECURRING:
        raise ConflictError("The customer has too many recurring add-ons.")


def _rest_of_period(standing: Standing) -> Span:
    """By the second, as a fee would be prorated."""
    terms, phase = standing.subscription, standing.account.current
    whole = period_span(standing.plan, terms.anchor, terms.timezone, phase.start)
    return Span(min(standing.now, phase.end), phase.end, whole.whole_start)


def _with(before: Standing, bought: BoughtPack) -> Subscription:
    """The terms with the add-on, if it recurs."""
    terms, add_on = before.subscription, bought.add_on
    if add_on.interval is None:
        return terms
    period = before.account.current.period
    held = SubscribedAddOn(add_on.key, add_on.version, bought.quantity, since=period)
    return replace(terms, add_ons=(*terms.add_ons, held))


def _decision(
    books: Books,
    write: MoneyWrite,
    before: Standing,
    bought: BoughtPack,
    purchase: Purchase,
    *,
    render: Render,
) -> Decision:
    account = replace(purchase.account, version=before.account.version + 1)
    grants = {**before.grants, **{grant.id: grant for grant in purchase.grants}}
    cause = {"add_on": bought.add_on.key, "quantity": str(bought.quantity)}
    terms, invoice = _with(before, bought), purchase.invoice
    finalized = []
    if invoice is not None:
        carried, credit = carry(invoice, terms.credit_nanos)
        terms = replace(terms, currency=bought.add_on.currency, credit_nanos=credit)
        finalized.append(finalize(books.store, terms, carried, before.now))
        cause["invoice"] = str(finalized[0].document["number"])
    changes = books.posting(before, account, grants, "add_on", cause, terms=terms)
    changes += [*finalized, *map(PutGrant, purchase.grants)]
    audited = {"add_on": asdict(bought.add_on), "quantity": bought.quantity}
    changes.append(
        PutAudit(
            at=books.clock.now(),
            actor=write.actor,
            action="add-on.buy",
            subject=write.customer,
            after=audited,
        )
    )
    left = {key: nanos for held in account.grants.values() for key, nanos in held.items()}
    shown = (held_grant(grant, left.get(grant.id, 0), before.now) for grant in purchase.grants)
    invoice_id = invoice.id if invoice else None
    return Decision(changes, render(replace(bought, grants=tuple(shown), invoice=invoice_id)), 201)
