"""Conversions on the wire."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from shared.domain.conversions import Cause, PaymentMethod, Status
from shared.services.conversions import Action, ConversionOrder, Converting
from shared.wire.common import Identifier, Slug, Time, WireModel, refuse

_CARD_NUMBER = re.compile(r"(?:[0-9][ -]?){12,18}[0-9]")


def _no_card_number(reference: str) -> str:
    """A name that a provider gave; what looks like a card's number is never kept."""
    if _CARD_NUMBER.search(reference):
        raise refuse("card-number")
    return reference


class PaymentMethodBody(WireModel):
    """Who keeps the customer's payment details, and what it calls them; never the details."""

    provider: Slug
    reference: Annotated[Identifier, AfterValidator(_no_card_number)]


class ConversionBody(WireModel):
    """What is to happen: `start` by the customer's choice, `confirm`, or `decline` what is open.

    `confirm` names the payment method, which its provider has confirmed.
    """

    action: Action
    payment_method: PaymentMethodBody | None = Field(default=None, validate_default=True)

    @field_validator("payment_method")
    @classmethod
    def _only_confirm_names_a_method(
        cls, method: PaymentMethodBody | None, info: ValidationInfo
    ) -> PaymentMethodBody | None:
        action = info.data.get("action")
        if action == "confirm" and method is None:
            raise refuse("required")
        if action not in ("confirm", None) and method is not None:
            raise refuse(f"not-for-{action}")
        return method

    def to_order(self) -> ConversionOrder:
        """What is asked for."""
        method = self.payment_method
        return ConversionOrder(
            self.action, PaymentMethod(method.provider, method.reference) if method else None
        )


class AskedView(WireModel):
    """What was asked of the customer last, under which version of its plan and of its account.

    `asked` is open until `expires_at`; `superseded` means that the customer has left the plan.
    """

    status: Status
    cause: Cause
    plan: str
    plan_version: int
    converts_to: str
    account_version: int
    asked_at: Time
    expires_at: Time
    ended_at: Time | None
    payment_method: PaymentMethodBody | None


class ConversionView(WireModel):
    """The plan that the customer is on, the one that it converts to, and what was asked last."""

    customer: str
    plan: str
    converts_to: str | None
    conversion: AskedView | None

    @classmethod
    def of(cls, found: Converting) -> "ConversionView":
        """How the customer's conversion is shown."""
        standing = found.standing
        offer = standing.plan.converts_to
        return cls(
            customer=standing.customer.key,
            plan=standing.plan.key,
            converts_to=offer.plan if offer else None,
            conversion=_asked(found),
        )


def _asked(found: Converting) -> AskedView | None:
    latest, standing = found.latest, found.standing
    if latest is None:
        return None
    method = latest.payment_method
    return AskedView(
        status=latest.status(standing.account.current, standing.now),
        cause=latest.cause,
        plan=latest.plan,
        plan_version=latest.plan_version,
        converts_to=latest.to,
        account_version=latest.account_version,
        asked_at=latest.asked_at,
        expires_at=latest.expires_at,
        ended_at=latest.ended_at,
        payment_method=PaymentMethodBody(provider=method.provider, reference=method.reference)
        if method
        else None,
    )
