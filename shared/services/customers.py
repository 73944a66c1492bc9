"""Creating customers: by people through the API, or on first sight of an event."""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.domain.catalogue import Catalogue
from shared.domain.customers import Customer
from shared.domain.fees import period_fee
from shared.domain.ledger import entry_between
from shared.domain.opening import start_subscription
from shared.domain.subscriptions import fee_invoice
from shared.services.changes import (
    Change,
    CreateCustomer,
    PutGrant,
    PutLedgerEntry,
    SaveAccount,
    SaveSubscription,
)
from shared.services.finalizing import finalize
from shared.services.opening import with_due
from shared.services.store import BillingStore


def creation(
    store: BillingStore,
    catalogue: Catalogue,
    customer: Customer,
    started_at: datetime,
    grace: timedelta,
) -> list[Change]:
    """The changes that make a customer on the default plan, its first period opened.

    A fee of that plan is invoiced at once.
    """
    plan = catalogue.default_plan()
    opening, span = start_subscription(customer, plan, started_at)
    account = replace(opening.account, version=1)
    subscription = with_due(opening.subscription, account, opening.grants, grace)
    cause = {"plan": plan.key, "plan_version": str(plan.version)}
    changes: list[Change] = [
        CreateCustomer(customer),
        SaveAccount(account, read_version=0),
        SaveSubscription(subscription, new=True),
        PutLedgerEntry(entry_between(None, account, started_at, "opening", cause)),
        *(PutGrant(grant) for grant in opening.grants),
    ]
    fee = period_fee(account.current.plan_in(catalogue), span, 1, 1)
    invoice, _ = fee_invoice(account, "start", (fee,) if fee else (), opening.subscription)
    if invoice is not None:
        changes.append(finalize(store, subscription, invoice, started_at))
    return changes
