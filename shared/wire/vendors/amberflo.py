"""Amberflo's customers and portal sessions."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from shared.domain.customers import Customer
from shared.services.managing_customers import Profile
from shared.wire.common import CustomerKey, Identifier, QueryModel, Text
from shared.wire.customers import MAX_TRAITS, Email
from shared.wire.vendors.common import CamelModel, EpochMillis, epoch_seconds


class CustomerQuery(QueryModel):
    """One customer, or all of them."""

    customer_id: Annotated[CustomerKey | None, Field(alias="customerId")] = None


class NewCustomerQuery(QueryModel):
    """Whether Stripe is to have the customer as well: never, here."""

    in_stripe: Annotated[str | None, Field(alias="autoCreateCustomerInStripe")] = None


class CustomerBody(CamelModel):
    """A customer. Left out, `enabled` is true; a customer that is not is archived."""

    customer_id: CustomerKey
    customer_name: Text
    customer_email: Email | None = None
    enabled: bool = True
    traits: dict[Identifier, Text] = Field(default_factory=dict, max_length=MAX_TRAITS)

    def to_profile(self, stored: Customer | None) -> Profile:
        """The profile; what their format does not say stays as it is stored."""
        return Profile(
            name=self.customer_name,
            email=self.customer_email,
            currency=stored.currency if stored else None,
            timezone=stored.timezone if stored else "UTC",
            traits=self.traits,
            test_clock=stored.test_clock if stored else None,
        )


def customer_answer(customer: Customer) -> dict[str, Any]:
    """A customer as they answer one."""
    return {
        "customerId": customer.key,
        "customerName": customer.name,
        "customerEmail": customer.email,
        "enabled": customer.archived_at is None,
        "traits": dict(customer.traits),
        "createTime": epoch_seconds(customer.created_at) * 1000,
    }


class SessionBody(CamelModel):
    """A session of the customer portal. Their portal links back to `returnUrl`; ours does not."""

    customer_id: CustomerKey
    expiration_epoch_milli_seconds: EpochMillis | None = None
    return_url: Annotated[str, Field(max_length=2048)] | None = None


def session_answer(url: str, token: str, expires_at: datetime) -> dict[str, Any]:
    """A session as they answer one."""
    expiration = epoch_seconds(expires_at) * 1000
    return {"url": url, "sessionToken": token, "expirationEpochMilliSeconds": expiration}
