"""Customers on the wire."""

import zoneinfo
from functools import cache
from typing import Annotated

from pydantic import AfterValidator, Field

from shared.domain.customers import Customer
from shared.services.managing_customers import Profile
from shared.wire.common import Identifier, PageQuery, Slug, Text, Time, WireModel, refuse
from shared.wire.prices import Currency

MAX_TRAITS = 50


@cache
def _timezones() -> frozenset[str]:
    # Names that stand for no place: what the machine is set to, and what it came with.
    return frozenset(zoneinfo.available_timezones()) - {"localtime", "Factory"}


def known_timezone(name: str) -> str:
    """An IANA name."""
    if name not in _timezones():
        raise refuse("unknown-timezone")
    return name


def _address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not local or not domain or any(character.isspace() for character in text):
        raise refuse("not-an-email")
    return text


Timezone = Annotated[str, AfterValidator(known_timezone)]
Email = Annotated[Identifier, AfterValidator(_address)]


class CustomerBody(WireModel):
    """The whole profile: what is left out is cleared.

    `test_clock` places a new customer on that clock for good; left out, it changes nothing.
    """

    name: Text | None = None
    email: Email | None = None
    currency: Currency | None = None
    timezone: Timezone = "UTC"
    traits: dict[Identifier, Text] = Field(default_factory=dict, max_length=MAX_TRAITS)
    test_clock: Identifier | None = None

    def to_profile(self) -> Profile:
        """The profile."""
        return Profile(
            self.name, self.email, self.currency, self.timezone, self.traits, self.test_clock
        )


class CustomersQuery(PageQuery):
    """A page of a segment may hold fewer customers than asked for, and still not be the last."""

    segment: Slug | None = None


class CustomerView(WireModel):
    """A customer."""

    key: str
    name: str | None
    email: str | None
    currency: str | None
    timezone: str
    traits: dict[str, str]
    test_clock: str | None
    created_at: Time
    archived_at: Time | None

    @classmethod
    def of(cls, customer: Customer) -> "CustomerView":
        """The customer as it is shown."""
        return cls(
            key=customer.key,
            name=customer.name,
            email=customer.email,
            currency=customer.currency,
            timezone=customer.timezone,
            traits=dict(customer.traits),
            test_clock=customer.test_clock,
            created_at=customer.created_at,
            archived_at=customer.archived_at,
        )
