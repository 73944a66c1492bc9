"""Subscriptions on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from shared.domain.money import from_nanos
from shared.services.standing import Standing
from shared.services.subscribing import SubscriptionOrder
from shared.wire.common import DecimalText, Slug, Time, WireModel, refuse, rfc3339
from shared.wire.prices import Unsupported


def _supported_action(action: str) -> str:
    if action in ("pause", "resume"):
        raise refuse("unsupported")
    return action


def _supported_moment(at: Any) -> Any:
    """Any other moment than now and the period's end is refused: as unsupported if it is one."""
    if at not in ("now", "period_end", None):
        rfc3339(at)
        raise refuse("unsupported")
    return at


class SubscriptionBody(WireModel):
    """A change to a plan's newest version, or a cancellation, which leads to the default plan.

    Without `at`, an upgrade is made at once, a downgrade or a cancellation at the period's end.
    """

    action: Annotated[
        Literal["change", "cancel", "pause", "resume"], AfterValidator(_supported_action)
    ]
    plan: Slug | None = Field(default=None, validate_default=True)
    at: Annotated[Literal["now", "period_end"] | None, BeforeValidator(_supported_moment)] = None
    quantity: Unsupported = None

    @field_validator("plan")
    @classmethod
    def _only_changes_name_a_plan(cls, plan: str | None, info: ValidationInfo) -> str | None:
        action = info.data.get("action")
        if action == "change" and plan is None:
            raise refuse("required")
        if action == "cancel" and plan is not None:
            raise refuse("not-for-cancel")
        return plan

    def to_order(self) -> SubscriptionOrder:
        """What is asked for."""
        action: Literal["change", "cancel"] = "change" if self.action == "change" else "cancel"
        return SubscriptionOrder(action, self.plan, self.at)


class SpanView(WireModel):
    """Half-open: `start` is in it, `end` is not."""

    start: Time
    end: Time


class PhaseView(SpanView):
    """A span under one plan version, numbered from 1."""

    number: int


class NextChangeView(WireModel):
    """The plan that takes over at the period's end."""

    plan: str
    plan_version: int
    at: Time


class SubscriptionView(WireModel):
    """What a customer is on: the plan version in force, and what is scheduled.

    `credit` is what invoices below zero left over: it pays for the next ones.
    """

    customer: str
    plan: str
    plan_version: int
    currency: str
    timezone: str
    period: SpanView
    period_number: int
    phase: PhaseView
    next_change: NextChangeView | None
    credit: DecimalText

    @classmethod
    def of(cls, standing: Standing) -> "SubscriptionView":
        """The subscription as it is shown."""
        phase = standing.account.current
        phases = [p for p in standing.account.phases if p.period == phase.period]
        return cls(
            customer=standing.customer.key,
            plan=phase.plan,
            plan_version=phase.plan_version,
            currency=standing.plan.currency,
            timezone=standing.subscription.timezone,
            period=SpanView(start=phases[0].start, end=phase.end),
            period_number=phase.period,
            phase=PhaseView(number=phase.number, start=phase.start, end=phase.end),
            next_change=_next_change(standing),
            credit=from_nanos(standing.subscription.credit_nanos),
        )


def _next_change(standing: Standing) -> NextChangeView | None:
    plan = standing.next_plan
    if plan == standing.plan:
        return None
    return NextChangeView(plan=plan.key, plan_version=plan.version, at=standing.account.current.end)
