"""Reward rules on the wire, and how far a customer is under them."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from shared.domain.money import from_nanos, to_nanos
from shared.domain.periods import parse_days
from shared.domain.reward_rules import RewardCap, RewardRule
from shared.services.rewards import Standings
from shared.wire.catalogue import MAX_DIMENSIONS, PropertyName
from shared.wire.common import (
    EARLIEST,
    CustomerKey,
    DecimalText,
    Identifier,
    Slug,
    Text,
    Time,
    WireModel,
    refuse,
)
from shared.wire.credits import Amount

# One grant is open for each month of expiry, and a unit has at most 16 open grants.
MAX_EXPIRY_DAYS = 366
NEVER = "never"


def _days(text: str) -> str:
    try:
        days = parse_days(text)
    except ValueError:
        raise refuse("not-a-number-of-days") from None
    if days > MAX_EXPIRY_DAYS:
        raise refuse("out-of-range")
    return text


# ISO days such as "P90D".
Days = Annotated[str, AfterValidator(_days)]


class RewardCapBody(WireModel):
    """The most that a rule gives a customer: for the usage of a month (UTC), or in total."""

    per: Literal["month", "total"]
    amount: Amount


class RewardRuleBody(WireModel):
    """Gives `amount` of a unit for `every` so much of a meter's quantity, where dimensions match.

    Usage counts from the quarter hour in which the rule is made, or from `starts_at`. A reward can
    be used at once; it expires with the month (UTC) in which it is so many days old.
    """

    meter: Slug
    where: dict[PropertyName, Text] = Field(default_factory=dict, max_length=MAX_DIMENSIONS)
    every: Amount
    unit: Identifier
    amount: Amount
    cap: RewardCapBody | None = None
    expires: Literal["never"] | Days = NEVER
    priority: Annotated[int, Field(ge=0, le=255)] = 100
    starts_at: Time | None = None

    def to_rule(self, key: str) -> RewardRule:
        """The rule; when it is made is not known yet."""
        return RewardRule(
            key=key,
            meter=self.meter,
            every=self.every,
            unit=self.unit,
            nanos=to_nanos(self.amount),
            created_at=EARLIEST,
            where=self.where,
            cap=RewardCap(self.cap.per, to_nanos(self.cap.amount)) if self.cap else None,
            expires_days=None if self.expires == NEVER else parse_days(self.expires),
            priority=self.priority,
            starts_at=self.starts_at,
        )


class RewardRuleAnswer(RewardRuleBody):
    """A reward rule. An archived one gives nothing more."""

    key: str
    created_at: Time
    archived_at: Time | None

    @classmethod
    def of(cls, rule: RewardRule) -> "RewardRuleAnswer":
        """The rule as the wire has it."""
        cap = rule.cap
        return cls(
            key=rule.key,
            meter=rule.meter,
            where=dict(rule.where),
            every=rule.every,
            unit=rule.unit,
            amount=from_nanos(rule.nanos),
            cap=RewardCapBody(per=cap.per, amount=from_nanos(cap.nanos)) if cap else None,
            expires=NEVER if rule.expires_days is None else f"P{rule.expires_days}D",
            priority=rule.priority,
            starts_at=rule.starts_at,
            created_at=rule.created_at,
            archived_at=rule.archived_at,
        )


class RewardView(WireModel):
    """How far a customer is under a rule: `towards_next` of `every` of the meter's quantity.

    `counted` is all usage since `since`, `earned` what it comes to, `given` what was given of it.
    `waiting` is earned and not given yet, as too many grants are open; `ahead` was given for usage
    that was corrected since, and comes off the next rewards. `capped`: more usage earns nothing
    now.
    """

    rule: str
    meter: str
    where: dict[str, str]
    every: DecimalText
    unit: str
    amount: DecimalText
    counted: DecimalText
    towards_next: DecimalText
    earned: DecimalText
    given: DecimalText
    waiting: DecimalText
    ahead: DecimalText
    capped: bool
    archived: bool
    since: Time

    @classmethod
    def of(cls, standing: Standings) -> "RewardView":
        """The standing as it is shown."""
        rule, progress = standing.rule, standing.progress
        owed = standing.earned - progress.given
        return cls(
            rule=rule.key,
            meter=rule.meter,
            where=dict(rule.where),
            every=rule.every,
            unit=rule.unit,
            amount=from_nanos(rule.nanos),
            counted=progress.counted,
            towards_next=_rest(progress.counted, rule.every),
            earned=from_nanos(standing.earned),
            given=from_nanos(progress.given),
            waiting=from_nanos(max(owed, 0)),
            ahead=from_nanos(max(-owed, 0)),
            capped=standing.capped,
            archived=rule.archived_at is not None,
            since=progress.since,
        )


class RewardsView(WireModel):
    """The customer's standing under each rule."""

    data: list[RewardView]


class RecountBody(WireModel):
    """Whose usage is counted anew, and of when: [`from`, `to`), at most 31 days.

    Without `to` up to the customer's present, without `from` 31 days before that.
    """

    customer: CustomerKey
    start: Annotated[Time | None, Field(alias="from")] = None
    end: Annotated[Time | None, Field(alias="to")] = None


class RewardsRecountView(WireModel):
    """Under how many rules something was missing and is `given` now, or is `waiting` for room."""

    given: int
    waiting: int


def _rest(counted: Decimal, every: Decimal) -> Decimal:
    """What is there beyond the last whole time, exactly; nothing below zero."""
    return from_nanos(max(to_nanos(counted), 0) % to_nanos(every))
