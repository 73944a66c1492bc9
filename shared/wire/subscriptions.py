"""Subscriptions on the wire."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

from shared.domain.catalogue import PhaseState
from shared.domain.money import from_nanos
from shared.services.standing import Standing
from shared.services.subscribing import Action, SubscriptionOrder
from shared.wire.common import DecimalText, Slug, Time, WireModel, refuse, rfc3339

MAX_SEATS = 100_000


def _moment(at: Any) -> Any:
    """A word, or an instant; fees are prorated by the second."""
    if at in ("now", "period_end"):
        return at
    instant = rfc3339(at)
    if instant.microsecond:
        raise refuse("not-a-whole-second")
    return instant


Moment = Annotated[Literal["now", "period_end"] | Time, BeforeValidator(_moment)]


class SubscriptionBody(WireModel):
    """A change of plan (to its newest version) or seats, a cancellation, a pause or its end.

    Without `at`, an upgrade, a pause and what resumes are made at once, a downgrade and a
    cancellation at the period's end; at an instant to come all of them are prorated, to the second.
    A cancellation leads to one seat of the default plan.
    """

    action: Action
    quantity: Annotated[int, Field(ge=1, le=MAX_SEATS)] | None = None
    plan: Slug | None = Field(default=None, validate_default=True)
    at: Moment | None = None

    @field_validator("quantity")
    @classmethod
    def _only_changes_name_a_quantity(
        cls, quantity: int | None, info: ValidationInfo
    ) -> int | None:
        if quantity is not None and info.data.get("action") not in ("change", None):
            raise refuse("only-for-change")
        return quantity

    @field_validator("plan")
    @classmethod
    def _only_changes_name_a_plan(cls, plan: str | None, info: ValidationInfo) -> str | None:
        action = info.data.get("action")
        unnamed = "quantity" in info.data and info.data["quantity"] is None
        if action == "change" and plan is None and unnamed:
            raise refuse("required")
        if action not in ("change", None) and plan is not None:
            raise refuse(f"not-for-{action}")
        return plan

    def to_order(self) -> SubscriptionOrder:
        """What is asked for."""
        return SubscriptionOrder(self.action, self.plan, self.at, self.quantity)


class SpanView(WireModel):
    """Half-open: `start` is in it, `end` is not."""

    start: Time
    end: Time


class PhaseView(SpanView):
    """A span under one plan version, numbered from 1; a trial and a pause are phases, too."""

    number: int
    state: PhaseState


class NextChangeView(WireModel):
    """What takes over `at` the period's end, or the instant that was asked for."""

    plan: str
    plan_version: int
    quantity: int
    paused: bool
    at: Time


class SubscribedAddOnView(WireModel):
    """A recurring add-on; `ends_at` is where it ends, if it was cancelled."""

    add_on: str
    version: int
    quantity: int
    ends_at: Time | None


class SubscriptionView(WireModel):
    """What a customer is on: the plan version in force, and what is scheduled.

    `credit` is what invoices below zero left over: it pays for the next ones.
    """

    customer: str
    plan: str
    plan_version: int
    quantity: int
    currency: str
    timezone: str
    period: SpanView
    period_number: int
    phase: PhaseView
    next_change: NextChangeView | None
    credit: DecimalText
    add_ons: list[SubscribedAddOnView]

    @classmethod
    def of(cls, standing: Standing) -> "SubscriptionView":
        """The subscription as it is shown."""
        phase = standing.account.current
        phases = [p for p in standing.account.phases if p.period == phase.period]
        return cls(
            customer=standing.customer.key,
            plan=phase.plan,
            plan_version=phase.plan_version,
            quantity=standing.subscription.quantity,
            currency=standing.plan.currency,
            timezone=standing.subscription.timezone,
            period=SpanView(start=phases[0].start, end=phase.end),
            period_number=phase.period,
            phase=PhaseView(
                number=phase.number, state=phase.state, start=phase.start, end=phase.end
            ),
            next_change=_next_change(standing),
            credit=from_nanos(standing.subscription.credit_nanos),
            add_ons=[
                SubscribedAddOnView(
                    add_on=held.add_on,
                    version=held.version,
                    quantity=held.quantity,
                    ends_at=None if held.until is None else phase.end,
                )
                for held in standing.subscription.add_ons
                if held.lasts(phase.period)
            ],
        )


def _next_change(standing: Standing) -> NextChangeView | None:
    terms = standing.subscription
    if standing.next_plan == standing.plan and not terms.scheduled:
        return None
    return NextChangeView(
        plan=standing.next_plan.key,
        plan_version=standing.next_plan.version,
        quantity=terms.next_quantity or terms.quantity,
        paused=terms.paused if terms.next_paused is None else terms.next_paused,
        at=standing.account.changes_at or standing.account.current.end,
    )
