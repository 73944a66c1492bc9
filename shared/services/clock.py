"""What time it is for a customer: the machine's time, or its test clock's."""

from datetime import datetime

from shared.domain.accounts import Account
from shared.domain.customers import Customer
from shared.domain.errors import UnavailableError
from shared.services.store import BillingStore, Clock


def customer_now(store: BillingStore, clock: Clock, customer: Customer | Account) -> datetime:
    """The customer's present, UTC.

    Raises: UnavailableError while its test clock is being removed.
    """
    return customer_time(store, clock.now(), customer)


def customer_time(store: BillingStore, now: datetime, customer: Customer | Account) -> datetime:
    """The customer's present when it is `now` on the machine's clock, UTC.

    Raises: UnavailableError while its test clock is being removed.
    """
    if customer.test_clock is None:
        return now
    shown = store.clock(customer.test_clock)
    if shown is None:
        raise UnavailableError("the customer's test clock is gone")
    return shown
